"""List the current failures of a dataset, each with its code, file and remedy."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from kinora.cli.result import Result
from kinora.cli.snapshot import Snapshot
from manifests.live_view import LiveView


@dataclass(frozen=True, kw_only=True, slots=True)
class Config(Snapshot):
    stage: str | None = None
    """Only failures of this stage: analyze, `score NAME`, cut or caption."""
    code: str | None = None
    """Only failures with this code, such as TRUNCATED."""
    limit: int = 20
    """Maximum number to print; `--json` lists all."""


def run(config: Config) -> Result:
    """List failures, oldest first."""
    rows = [
        row
        for row in LiveView(config.open()).failures.to_pylist()
        if config.stage in (None, row["stage"]) and config.code in (None, row["code"])
    ]
    codes = Counter(row["code"] for row in rows)
    data = {"failures": rows, "codes": dict(codes.most_common())}
    if not rows:
        return Result(data, "no failures")
    cards = [part for row in rows[: config.limit] for part in (_card(row), Text(""))]
    counted = ", ".join(f"{count} {code}" for code, count in codes.most_common())
    rest = f", {config.limit} shown (--limit)" if len(rows) > config.limit else ""
    tail = f"{counted}{rest}. Retry with `kinora retry --dataset {config.dataset}`"
    if quarantined := sum(bool(row.get("quarantined")) for row in rows):
        tail += f"; add `--quarantined` for the {quarantined} in quarantine"
    return Result(data, Group(*cards, Text(tail)))


def _card(row: dict[str, Any]) -> Table:
    card = Table(box=None, show_header=False, padding=(0, 1, 0, 0), title_justify="left")
    quarantined = " (quarantined)" if row.get("quarantined") else ""
    card.title = Text(f"{row['code']}{quarantined}  {row['uri']}", "bold", overflow="fold")
    card.add_column(style="dim", no_wrap=True)
    card.add_column(overflow="fold")
    card.add_row("stage", Text(row["stage"]))
    card.add_row("cause", Text(row["message"]))
    card.add_row("remedy", Text(row["remedy"]))
    return card
