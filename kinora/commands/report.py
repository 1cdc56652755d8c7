"""Write an HTML report on a dataset, or on a finished demo run."""

from dataclasses import dataclass
from pathlib import Path

from kinora.cli.result import Result
from kinora.report import write_dataset_report, write_report


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    dataset: str | None = None
    """Dataset to report on: a folder or s3://bucket/prefix."""
    at: int | str | None = None
    """Commit number to read the dataset at, or a time such as 2026-11-29T12:00 (UTC). Default: the latest."""
    out: str = "report.html"
    """Output file of a dataset report; an existing report is replaced."""
    demo: str = "demo"
    """Folder of a finished demo run, used without --dataset; report.html is written into it."""


def run(config: Config) -> Result:
    """Write the report."""
    if config.dataset is None:
        path = write_report(Path(config.demo))
    else:
        path = write_dataset_report(config.dataset, Path(config.out), at=config.at)
    size = path.stat().st_size
    shown = f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{size / 1e3:.0f} kB"
    return Result({"report": str(path), "bytes": size}, f"{path}  ({shown})")
