"""Print a random sample of a dataset's captions."""

from dataclasses import dataclass
from random import Random

from rich.console import Group
from rich.table import Table
from rich.text import Text

from kinora.cli.result import Exit, Result
from kinora.cli.snapshot import Snapshot
from manifests.live_view import LiveView
from manifests.records import Caption
from manifests.schemas import from_table


@dataclass(frozen=True, kw_only=True, slots=True)
class Config(Snapshot):
    n: int = 5
    """Number of captions to print."""
    seed: int = 0
    """Random seed of the sample."""
    version: str | None = None
    """Caption version. Default: for each clip the one that counts, its newest OK caption."""
    captioner: str | None = None
    """Only captions from this captioner: `embedded`, `facts` or `vlm`."""


def run(config: Config) -> Result:
    """Print `n` captions of any outcome."""
    captions = from_table(Caption, LiveView(config.open()).captions(config.version))
    matching = [c for c in captions if config.captioner in (None, c.captioner)]
    if not matching:
        return Result({"captions": []}, "no captions found; run `kinora caption` first", Exit.NOTHING)
    ordered = sorted(matching, key=lambda caption: caption.media_id)
    sample = Random(config.seed).sample(ordered, min(config.n, len(ordered)))
    rows = [
        {"clip_id": c.clip_id, "outcome": c.outcome, "captioner": c.captioner, "model": c.model}
        | {"short": c.short, "medium": c.medium, "text": c.text, "version": c.version, "detail": c.detail}
        for c in sample
    ]
    return Result(
        {"captions": rows, "of": len(matching)},
        Group(*map(_card, sample), Text(f"{len(sample)} of {len(matching)} captions")),
    )


def _card(caption: Caption) -> Table:
    card = Table(box=None, show_header=False, padding=(0, 1, 1, 0), title_justify="left")
    card.title = Text(f"{caption.clip_id}  {caption.outcome}  {caption.captioner} ({caption.model})", "bold")
    card.add_column(style="dim", no_wrap=True)
    card.add_column(overflow="fold")
    if not caption.texts:
        card.add_row("why", Text(caption.detail or "no text"))
    for length, text in caption.texts.items():
        card.add_row(length, Text(text))
    return card
