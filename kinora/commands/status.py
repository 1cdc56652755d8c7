"""The funnel of a dataset: what came in, and what was kept, dropped and failed at each stage.

Exit code 4 when something does not add up.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from kinora.cli.result import Exit, Result
from manifests import conservation
from manifests.dataset import Dataset


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    dataset: str
    """Folder of the dataset, or s3://bucket/prefix."""
    at: int | None = None
    """Number of a commit: show the dataset as it was then; as it is now when left out."""


def run(config: Config) -> Result:
    """Count, and check that everything adds up."""
    dataset = Dataset.open(config.dataset, at=config.at)
    funnel, violations = conservation.look(dataset)
    data = {"commit": dataset.number, **funnel, "violations": violations}
    verdict = Text("everything adds up", "green")
    if violations:
        verdict = Text("\n".join(["does NOT add up:", *violations]), "red")
    text = Group(_table(funnel), Text(f"commit {dataset.number} of {config.dataset}; ", end=""), verdict)
    return Result(data, text, Exit.INTEGRITY if violations else Exit.DONE)


def _table(funnel: Mapping[str, Any]) -> Table:
    table = Table("stage", "in", "out", "not", box=None, padding=(0, 2, 0, 0))
    table.columns[1].justify = table.columns[2].justify = "right"
    table.columns[3].overflow = "fold"
    sources, clips, selection = funnel["sources"], funnel["clips"], funnel["selection"]
    cut, captions = funnel["cut"], funnel["captions"]
    table.add_row("files", str(sources["listed"]), str(sources["ok"]), _reasons("failed", sources["failed"]))
    gaps = _reasons("gap", clips["gaps"]) + _reasons("repeated", {"equal files": clips["repeated"]})
    table.add_row("clips", str(sources["ok"]), str(clips["found"]), gaps)
    undecided = _reasons("undecided", {"": selection["undecided"]})
    dropped = _reasons("dropped", selection["dropped"]) + undecided
    table.add_row("select", str(clips["found"]), str(selection["kept"]), dropped)
    uncut = _reasons("failed", cut["failed"]) + _reasons("to do", {"": cut["to_do"]})
    table.add_row("cut", str(selection["kept"]), str(cut["done"]), uncut)
    mute = _reasons("not ok", captions["other"]) + _reasons("to do", {"": captions["to_do"]})
    table.add_row("caption", str(cut["done"]), str(captions["ok"]), mute)
    return table


def _reasons(label: str, counts: Mapping[str, int]) -> str:
    shown = ", ".join(f"{count} {reason}".strip() for reason, count in counts.items() if count)
    return f"{label}: {shown}  " if shown else ""
