"""Show figures of each caption version: outcomes, lengths, words, repetition, reviews."""

from dataclasses import dataclass
from typing import Any, Literal

from rich.console import Group
from rich.table import Table
from rich.text import Text

from kinora.captions.figures import caption_figures
from kinora.cli.result import Exit, Result
from kinora.cli.snapshot import Snapshot
from manifests.live_view import LiveView


@dataclass(frozen=True, kw_only=True, slots=True)
class Config(Snapshot):
    length: Literal["short", "medium", "dense"] | None = None
    """Count the texts of this length. Default: the longest text of each caption."""


def run(config: Config) -> Result:
    """Count; exit with code 3 if there are no captions."""
    figures = caption_figures(LiveView(config.open()), config.length)
    if not figures:
        return Result({"versions": {}}, "no captions found; run `kinora caption` first", Exit.NOTHING)
    return Result(
        {"versions": figures}, Group(*(part for item in figures.items() for part in (_card(*item), Text(""))))
    )


def _card(version: str, figures: dict[str, Any]) -> Table:
    card = Table(box=None, show_header=False, padding=(0, 2, 0, 0), title_justify="left")
    card.title = Text(version, "bold")
    card.add_column(style="dim", no_wrap=True)
    card.add_column(overflow="fold")
    outcomes = ", ".join(f"{count} {name}" for name, count in figures["outcomes"].items())
    lines = {"captions": f"{figures['captions']}: {outcomes}; {figures['counts']} count"}
    if figures["texts"]:
        low, middle, high = (figures[f"words_{share}"] for share in (5, 50, 95))
        chars = f"{figures['chars_50']:g} characters"
        lines["length"] = f"{middle:g} words (5 % have at most {low}, 95 % at most {high}), {chars}"
        lines["words"] = f"{figures['distinct_words']} distinct"
        lines["repetition"] = f"{figures['same_text']:.0%} have a text that another caption has too"
        if figures["same_opening"] is not None:
            lines["opening"] = f"{figures['same_opening']:.0%} begin with “{figures['opening']}”"
    verdicts = ", ".join(f"{figures[name]} {name}" for name in ("approved", "edited", "rejected"))
    share = f"{figures['reviewed']} ({figures['reviewed_share']:.0%})"
    lines["reviewed"] = f"{share}: {verdicts}" if figures["reviewed"] else share
    for name, text in lines.items():
        card.add_row(name, Text(text))
    return card
