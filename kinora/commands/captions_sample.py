"""Print captions of a dataset so that a person can read them."""

from dataclasses import dataclass
from random import Random

from rich.console import Group
from rich.table import Table
from rich.text import Text

from kinora.cli.result import Exit, Result
from manifests import live_view
from manifests.dataset import Dataset
from manifests.records import Caption
from manifests.schemas import from_table


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    dataset: str
    """Folder of the dataset, or s3://bucket/prefix."""
    at: int | None = None
    """Number of a commit: show the dataset as it was then; as it is now when left out."""
    n: int = 5
    """How many captions to print."""
    seed: int = 0
    """Picks which ones: the same seed and dataset print the same captions."""
    version: str | None = None
    """Caption version; the newest of each clip when left out."""
    captioner: str | None = None
    """Only captions by this captioner: `embedded`, `facts` or `vlm`."""


def run(config: Config) -> Result:
    """Draw `n` captions, whatever their outcome, in a seeded order."""
    captions = from_table(
        Caption, live_view.captions(Dataset.open(config.dataset, at=config.at), config.version)
    )
    found = [c for c in captions if config.captioner in (None, c.captioner)]
    if not found:
        return Result({"captions": []}, "no captions here yet; `kinora caption` writes them", Exit.NOTHING)
    order = sorted(found, key=lambda caption: caption.media_id)
    drawn = Random(config.seed).sample(order, min(config.n, len(order)))
    rows = [
        {"clip_id": c.clip_id, "outcome": c.outcome, "captioner": c.captioner, "model": c.model}
        | {"short": c.short, "text": c.text, "version": c.version, "detail": c.detail}
        for c in drawn
    ]
    return Result(
        {"captions": rows, "of": len(found)}, Group(*map(_card, drawn), Text(f"{len(drawn)} of {len(found)}"))
    )


def _card(caption: Caption) -> Table:
    card = Table(box=None, show_header=False, padding=(0, 1, 1, 0), title_justify="left")
    card.title = Text(f"{caption.clip_id}  {caption.outcome}  {caption.captioner} ({caption.model})", "bold")
    card.add_column(style="dim", no_wrap=True)
    card.add_column(overflow="fold")
    if caption.text is None:
        card.add_row("why", Text(caption.detail or "no text"))
    else:
        card.add_row("short", Text(caption.short or ""))
        card.add_row("dense", Text(caption.text))
    return card
