"""Compare two caption versions, or the captions that count at two commits, word by word.

Each side is a version, a commit number, or a time such as 2026-11-29T12:00 (UTC).
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

import pyarrow as pa
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from kinora.captions.compare import Comparison, Difference, compare, word_changes
from kinora.cli.result import Exit, Result
from kinora.cli.snapshot import Snapshot
from manifests.dataset import Dataset
from manifests.live_view import LiveView
from manifests.ranges import NonNegativeInt
from manifests.records import LENGTH_COLUMNS
from manifests.snapshots import parse_at

POSITIONAL = ("a", "b")
_STYLES = {"same": "", "removed": "red strike", "added": "green"}
_MARKS = {"same": ("", ""), "removed": ("[-", "-]"), "added": ("{+", "+}")}


@dataclass(frozen=True, kw_only=True, slots=True)
class Config(Snapshot):
    a: str
    """Version or commit on the left."""
    b: str
    """Version or commit on the right."""
    length: Literal["short", "medium", "dense"] | None = None
    """Compare the texts of this length. Default: the longest text of each caption."""
    n: NonNegativeInt = 5
    """Number of captions to print, those that changed most."""


def run(config: Config) -> Result:
    """Compare; exit with code 3 if no media has a caption on both sides."""
    dataset = config.open()
    view = LiveView(dataset)
    versions = set(view.read("caption_attempts", ["version"])["version"].to_pylist())
    sides = [_captions(side, view, versions, dataset) for side in (config.a, config.b)]
    found = compare(*sides, length=config.length, most=config.n)
    data = {"a": config.a, "b": config.b, **asdict(found)}
    if not found.counts["both"]:
        return Result(data, f"no clip has a text of both {config.a} and {config.b}", Exit.NOTHING)
    return Result(data, Group(_counts(found, config), *map(_render, found.differences)))


def _captions(side: str, view: LiveView, versions: set[str], dataset: Dataset) -> pa.Table:
    """Return the captions of one side. Raises ValueError, with what there is, for an unknown one."""
    names = ["media_id", "clip_id", "outcome", *LENGTH_COLUMNS.values()]
    if side in versions:
        return view.read("captions", names, version=side)
    try:
        parse_at(side)
    except ValueError as error:
        known = ", ".join(sorted(versions)) or "none yet"
        raise ValueError(
            f"{side!r} is no caption version ({known}), no commit number and no time such as 2026-11-29T12:00"
        ) from error
    return LiveView(Dataset.open(dataset.uri, at=side)).read("captions", names)


def _counts(found: Comparison, config: Config) -> RenderableType:
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(justify="right")
    counts = found.counts
    share = counts["changed"] / counts["both"]
    table.add_row(str(counts["both"]), "clips with a text on both sides")
    table.add_row(
        str(counts["changed"]), f"of them differ ({share:.0%}); {found.mean_changed:.0%} of words do"
    )
    table.add_row(str(counts["only_before"]), Text(f"have a text only in {config.a}"))
    table.add_row(str(counts["only_after"]), Text(f"have a text only in {config.b}"))
    for move, count in found.outcomes.items():
        table.add_row(str(count), f"went from {move.replace('->', 'to')}")
    return table


def _render(difference: Difference) -> Group:
    head = Text(f"\n{difference.clip_id}", "bold").append(f"  {difference.changed:.0%} of words", "dim")
    return Group(head, WordDiff(difference.before, difference.after))


@dataclass(frozen=True, slots=True)
class WordDiff:
    """The words of two texts: in colour on a terminal, else marked as `[-removed-]{+added+}`."""

    before: str
    after: str

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Text.assemble(*self._pieces(colored=console.color_system is not None and not console.no_color))

    def _pieces(self, *, colored: bool) -> Iterator[tuple[str, str]]:
        for change, text in word_changes(self.before, self.after):
            opening, closing = ("", "") if colored else _MARKS[change]
            yield f"{opening}{text}{closing}", _STYLES[change]


def plain_diff(before: str, after: str) -> str:
    """Return the differences of two texts without colour."""
    return "".join(text for text, _ in WordDiff(before, after)._pieces(colored=False))


__all__: list[Any] = ["Config", "plain_diff", "run"]
