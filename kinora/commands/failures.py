"""What failed in a dataset and still counts: a code, the file, and what to do about it."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from kinora.cli.result import Result
from manifests import live_view
from manifests.dataset import Dataset


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    dataset: str
    """Folder of the dataset, or s3://bucket/prefix."""
    at: int | None = None
    """Number of a commit: show the dataset as it was then; as it is now when left out."""
    stage: str | None = None
    """Only failures of this stage: analyze, `score NAME`, cut or caption."""
    code: str | None = None
    """Only failures with this code, such as TRUNCATED."""
    limit: int = 20
    """How many to print; `--json` has them all."""


def run(config: Config) -> Result:
    """List failures, oldest first."""
    rows = [
        row
        for row in live_view.failures(Dataset.open(config.dataset, at=config.at)).to_pylist()
        if config.stage in (None, row["stage"]) and config.code in (None, row["code"])
    ]
    codes = Counter(row["code"] for row in rows)
    data = {"failures": rows, "codes": dict(codes.most_common())}
    if not rows:
        return Result(data, "nothing failed")
    cards = [part for row in rows[: config.limit] for part in (_card(row), Text(""))]
    counted = ", ".join(f"{count} {code}" for code, count in codes.most_common())
    rest = f", {config.limit} of them shown (--limit)" if len(rows) > config.limit else ""
    tail = f"{counted}{rest}. `kinora retry --dataset {config.dataset}` tries these again"
    if held := sum(bool(row.get("quarantined")) for row in rows):
        tail += f", but for {held} in quarantine: `--quarantined` tries those too"
    return Result(data, Group(*cards, Text(tail)))


def _card(row: dict[str, Any]) -> Table:
    card = Table(box=None, show_header=False, padding=(0, 1, 0, 0), title_justify="left")
    held = " (quarantined)" if row.get("quarantined") else ""
    card.title = Text(f"{row['code']}{held}  {row['uri']}", "bold", overflow="fold")
    card.add_column(style="dim", no_wrap=True)
    card.add_column(overflow="fold")
    card.add_row("stage", Text(row["stage"]))
    card.add_row("why", Text(row["message"]))
    card.add_row("do", Text(row["remedy"]))
    return card
