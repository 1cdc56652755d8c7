"""Write the report page of a finished demo run."""

from dataclasses import dataclass
from pathlib import Path

from kinora.report import write_report
from kinora.result import Result


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    demo: str = "demo"
    """Folder of a finished demo run."""


def run(config: Config) -> Result:
    """Write report.html into the folder of the run."""
    path = write_report(Path(config.demo))
    size = path.stat().st_size
    return Result({"report": str(path), "bytes": size}, f"{path}  ({size / 1e6:.1f} MB)")
