"""Assemble the report page of a dataset: what came in, what was kept, dropped and failed, and why."""

from pathlib import Path

from kinora.report.dataset_contents import DatasetContents, read
from kinora.report.page import clock, environment, frame, write
from manifests.dataset import Dataset

MARK = "<title>Kinora: "
"""Every page of ours holds this; a file without it is somebody else's."""


def write_dataset_report(dataset_uri: str, path: Path, *, at: int | None = None) -> Path:
    """Write the page on the dataset at `dataset_uri` to `path`, and return the path.

    Raises DatasetError when there is no dataset, and ValueError when `path` is a file that is no report.
    """
    if path.is_dir() or (
        path.exists() and MARK not in path.read_text(encoding="utf-8", errors="replace")[:4000]
    ):
        raise ValueError(f"--out {path}: there is something else than a report; name another file")
    path.parent.mkdir(parents=True, exist_ok=True)
    return write(path, render(dataset_uri, at=at))


def render(dataset_uri: str, *, at: int | None = None) -> str:
    """Return the page on the dataset at `dataset_uri`, as of commit `at` where that is given."""
    contents = read(Dataset.open(dataset_uri, at=at))
    return (
        environment()
        .get_template("dataset.html.jinja")
        .render(**frame(), dataset=dataset_uri, outcome=_outcome(contents), it=contents)
    )


def _outcome(contents: DatasetContents) -> str:
    """Say in one sentence what came out."""
    failed = sum(sum(stage.failed.values()) for stage in contents.funnel)
    share = f" ({contents.kept / contents.clips:.0%})" if contents.clips else ""
    tail = f"{failed:,} failed" if failed else "nothing failed"
    files = f"{contents.sources:,} file{'s' * (contents.sources != 1)}"
    return (
        f"{files}, {contents.clips:,} clips, {contents.kept:,} kept{share}: "
        f"{clock(contents.kept_s)} of {clock(contents.footage_s)}; {tail}."
    )
