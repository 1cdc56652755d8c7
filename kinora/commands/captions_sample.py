"""Print a random sample of a dataset's captions, or write it as a contact sheet with the frames."""

from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from rich.console import Group
from rich.table import Table
from rich.text import Text

from kinora.captions.buckets import bucket_names
from kinora.captions.seen_frames import SeenFrames
from kinora.captions.sheet import SheetRow, caption_sheet, picture_bytes, picture_kind
from kinora.cli.result import Exit, Result
from kinora.cli.snapshot import Snapshot
from manifests.arrow import pc
from manifests.live_view import COMMIT_COLUMN, LiveView
from manifests.ranges import PositiveInt
from manifests.records import LENGTH_COLUMNS, longest_text
from manifests.replacing import replacing
from manifests.sandboxed_sql import sandboxed

_COLUMNS = ("clip_id", "media_id", "outcome", "captioner", "model", *LENGTH_COLUMNS.values())


@dataclass(frozen=True, kw_only=True, slots=True)
class Config(Snapshot):
    n: PositiveInt = 5
    """Number of captions to print."""
    seed: int = 0
    """Random seed of the sample."""
    version: str | None = None
    """Caption version. Default: for each clip the one that counts, its newest OK caption."""
    captioner: str | None = None
    """Only captions from this captioner, such as `embedded`, `facts`, `vlm`."""
    outcome: Literal["ok", "refused", "empty", "truncated", "degenerate", "timeout", "error"] | None = None
    """Only captions with this outcome."""
    bucket: str | None = None
    """Only clips of this bucket, such as 17x48x80, of the last `kinora pack` or of its defaults."""
    where: str | None = None
    """Only clips for which this SQL condition over the view `captioned` holds (docs/manifests.md)."""
    sheet: str | None = None
    """File (.jpg, .png or .webp) to write a contact sheet to: the frames that the captioner saw, and the
    caption beside them."""


def run(config: Config) -> Result:
    """Sample captions; exit with code 3 if none matches, 4 if media of the sheet is missing."""
    sheet = Path(config.sheet) if config.sheet is not None else None
    kind = picture_kind(sheet) if sheet else ""
    view = LiveView(config.open())
    names = [*_COLUMNS, "version", "detail", "frames_shown", COMMIT_COLUMN]
    matching = _filter(
        view, view.read("captions", ["media_id", "outcome", "captioner"], version=config.version), config
    )
    if not len(matching):
        return _nothing(view, config)
    ids = sorted(matching["media_id"].to_pylist())
    chosen = Random(config.seed).sample(ids, min(config.n, len(ids)))
    captions = view.read("captions", names, version=config.version)
    captions = captions.filter(pc.is_in(captions["media_id"], value_set=pa.array(chosen)))
    by_media = {row["media_id"]: row for row in captions.to_pylist()}
    rows = [by_media[media_id] for media_id in chosen]
    data: dict[str, Any] = {"captions": [_plain(row) for row in rows], "of": len(ids)}
    parts: list[Any] = [_card(row) for row in rows]
    missing: list[str] = []
    if sheet is not None:
        picture_HWC, missing = _sheet(view, rows)
        with replacing(sheet) as partial:
            partial.write_bytes(picture_bytes(picture_HWC, kind))
        data |= {"sheet": config.sheet, "missing_media": missing}
        parts = [Text(line, "red") for line in missing] + [Text(f"contact sheet: {config.sheet}")]
    text = Group(*parts, Text(f"{len(rows)} of {len(ids)} captions"))
    return Result(data, text, Exit.INTEGRITY if missing else Exit.DONE)


def _filter(view: LiveView, captions: pa.Table, config: Config) -> pa.Table:
    if config.captioner is not None:
        captions = captions.filter(pc.equal(captions["captioner"], config.captioner))
    if config.outcome is not None:
        captions = captions.filter(pc.equal(captions["outcome"], config.outcome))
    if config.bucket is not None:
        media_id, bucket = bucket_names(view, config.bucket)
        inside = media_id.filter(pc.equal(bucket, config.bucket))
        captions = captions.filter(pc.is_in(captions["media_id"], value_set=inside))
    if config.where is not None and len(captions):
        with sandboxed(view) as connection:
            found = pa.array(connection.matching(config.where), pa.string())
        captions = captions.filter(pc.is_in(captions["media_id"], value_set=found))
    return captions


def _nothing(view: LiveView, config: Config) -> Result:
    """Return what there is instead of the captions that were asked for."""
    versions = pc.unique(view.read("caption_attempts", ["version"])["version"]).to_pylist()
    if not versions:
        return Result({"captions": []}, "no captions found; run `kinora caption` first", Exit.NOTHING)
    if config.version is not None and config.version not in versions:
        text = f"no caption version {config.version!r}; there are {', '.join(sorted(versions))}"
        return Result({"captions": []}, text, Exit.NOTHING)
    return Result({"captions": []}, "no caption matches; relax the filters", Exit.NOTHING)


def _sheet(view: LiveView, rows: list[dict[str, Any]]) -> tuple[np.ndarray, list[str]]:
    """Return the contact sheet, and a sentence for each clip whose media cannot be read."""
    frames, missing, strips = SeenFrames(view), list[str](), list[SheetRow]()
    for row in rows:
        seen, how = (
            [],
            "frames that the captioner saw" if len(row["frames_shown"]) else "frames, evenly spaced",
        )
        try:
            seen = frames.read(row)
        except (OSError, ValueError) as error:
            how = "its media cannot be read"
            missing.append(f"{row['media_id']}: {error}")
        strips.append(
            SheetRow(
                title=f"{row['clip_id']}  {row['outcome']}",
                about=f"{row['version']}, {how}",
                text=longest_text(row) or row["detail"] or "no text",
                frames_HWC=seen,
            )
        )
    return caption_sheet(strips), missing


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in (*_COLUMNS, "version", "detail", "frames_shown")}


def _card(row: dict[str, Any]) -> Table:
    card = Table(box=None, show_header=False, padding=(0, 1, 1, 0), title_justify="left")
    made = f"{row['captioner']} ({row['model']})" if row["model"] else row["captioner"]
    card.title = Text(f"{row['clip_id']}  {row['outcome']}  {made}", "bold")
    card.add_column(style="dim", no_wrap=True)
    card.add_column(overflow="fold")
    texts = {length: row[column] for length, column in LENGTH_COLUMNS.items() if row[column] is not None}
    if not texts:
        card.add_row("why", Text(row["detail"] or "no text"))
    for length, text in texts.items():
        card.add_row(length, Text(text))
    return card
