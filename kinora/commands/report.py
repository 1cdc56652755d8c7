"""Write a report page: of a dataset, or of a finished demo run."""

from dataclasses import dataclass
from pathlib import Path

from kinora.cli.result import Result
from kinora.report import write_dataset_report, write_report


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    dataset: str | None = None
    """Folder of a dataset, or s3://bucket/prefix: its funnel, distributions, drops, failures and files."""
    at: int | None = None
    """Number of a commit: show the dataset as it was then; as it is now when left out."""
    out: str = "report.html"
    """The page on a dataset; an older report there is replaced."""
    demo: str = "demo"
    """Without --dataset: folder of a finished demo run, which gets its report.html."""


def run(config: Config) -> Result:
    """Write the page."""
    if config.dataset is None:
        path = write_report(Path(config.demo))
    else:
        path = write_dataset_report(config.dataset, Path(config.out), at=config.at)
    size = path.stat().st_size
    return Result({"report": str(path), "bytes": size}, f"{path}  ({size / 1e6:.1f} MB)")
