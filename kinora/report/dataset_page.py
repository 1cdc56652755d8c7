"""Render the report on a dataset."""

from pathlib import Path

from kinora.report.dataset_contents import DatasetContents, read
from kinora.report.page import clock, environment, frame, write
from kinora.report.reviews import review_sections
from manifests.dataset import Dataset

TITLE_PREFIX = "<title>Kinora: "
"""Identifies a report that may be overwritten."""


def write_dataset_report(dataset_uri: str, path: Path, *, at: int | str | None = None) -> Path:
    """Write the report on a dataset to `path`, and return the path.

    Raises DatasetError if there is no dataset, and ValueError if `path` exists and is not a report.
    """
    if path.is_dir() or (
        path.exists() and TITLE_PREFIX not in path.read_text(encoding="utf-8", errors="replace")[:4000]
    ):
        raise ValueError(f"--out {path}: exists and is not a report; choose another file")
    path.parent.mkdir(parents=True, exist_ok=True)
    return write(path, render(dataset_uri, at=at))


def render(dataset_uri: str, *, at: int | str | None = None) -> str:
    """Render the report on a dataset at commit `at`, by default the latest."""
    contents = read(Dataset.open(dataset_uri, at=at))
    shown = {} if contents.reviews is None else review_sections(contents.reviews)
    return (
        environment()
        .get_template("dataset.html.jinja")
        .render(**frame(), dataset=dataset_uri, outcome=_outcome(contents), it=contents, **shown)
    )


def _outcome(contents: DatasetContents) -> str:
    """Summarize the run in one sentence."""
    failed = sum(sum(stage.failed.values()) for stage in contents.funnel)
    share = f" ({contents.kept / contents.clips:.0%})" if contents.clips else ""
    tail = f"{failed:,} failed" if failed else "nothing failed"
    files = f"{contents.sources:,} file{'s' * (contents.sources != 1)}"
    footage = f": {clock(contents.kept_s)} of {clock(contents.footage_s)}" if contents.footage_s else ""
    return f"{files}, {contents.clips:,} clips, {contents.kept:,} kept{share}{footage}; {tail}."
