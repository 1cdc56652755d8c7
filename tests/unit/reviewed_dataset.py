"""A small dataset to review: clips of two sources, captions of two versions, without any video."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from manifests.dataset import Commit, Dataset
from manifests.records import (
    Caption,
    Clip,
    Duplicate,
    Media,
    Outcome,
    Review,
    Selection,
    SourceRow,
    SourceStatus,
    Verdict,
)
from manifests.review.config import ReviewConfig
from manifests.review.desk import ReviewDesk
from manifests.review.messages import DecisionRequest
from manifests.schemas import to_table

OLD, NEW = "old-captions", "new-captions"
NEVER = ReviewConfig(commit_every_s=0)
TWO = ReviewConfig(commit_every_s=0, reviews_per_clip=2)
M = [f"m{number:03d}" for number in range(20)]
"""Media ids of the dataset."""


def media_id(number: int) -> str:
    return f"m{number:03d}"


def text(number: int, version: str = NEW) -> str:
    """The dense text of a clip; of an even one the same in both versions."""
    same = number % 2 == 0
    return f"A red ball number {number} rolls." if same or version == NEW else f"A ball {number}."


def caption(number: int, version: str = NEW, **fields: Any) -> Caption:
    values: dict[str, Any] = {
        "clip_id": f"c{number:03d}",
        "media_id": media_id(number),
        "outcome": Outcome.OK,
        "text": text(number, version),
        "short": f"Ball {number}.",
        "captioner": "vlm",
        "model": "model",
        "revision": "r",
        "prompt_digest": "p",
        "decoding": "{}",
        "frames_shown": (0, 3),
        "version": version,
    }
    return Caption(**(values | fields))


def make(uri: str | Path, count: int = 20, *, failed: Sequence[int] = (3,)) -> Dataset:
    """Write `count` kept clips with captions of both versions; the new one failed for `failed`."""
    dataset = Dataset.create(uri)
    sources = [source(name, count) for name in ("a", "b")]
    clips = [clip(number) for number in (*range(count), 99)]
    table = to_table(Clip, clips).append_column(
        "motion", pa.array([0.005 + number / 100 for number in range(count + 1)])
    )
    selections = [
        Selection(
            clip_id=each.clip_id,
            kept=True,
            reason="kept",
            detail="nsfw 0.4 > 0.3" if number == 5 else "",
            rules="r",
            review="nsfw" if number == 5 else "",
        )
        for number, each in enumerate(clips[:-1])
    ]
    selections.append(Selection(clip_id="c099", kept=False, reason="duplicate_near", detail="", rules="r"))
    copy = Duplicate(
        clip_id="c099",
        kind="near",
        keeper="c001",
        distance=1.0,
        offset_s=0.0,
        detail="a near copy",
        config="d",
    )
    dataset = commit(dataset, "analyze", sources=to_table(SourceRow, sources), clips=table)
    dataset = commit(dataset, "select", selections=selections, duplicates=[copy])
    dataset = commit(dataset, "cut", media=[media(number) for number in range(count)])
    for version in (OLD, NEW):
        rows = [
            caption(number, version, outcome=Outcome.REFUSED, text=None, short=None, detail="no")
            if version == NEW and number in failed
            else caption(number, version)
            for number in range(count)
        ]
        dataset = commit(dataset, "caption", captions=rows)
    return dataset


def commit(dataset: Dataset, stage: str, **tables: Any) -> Dataset:
    """Commit rows, records or a table each, by table name."""
    added = tuple(
        dataset.write_part(name, rows) if isinstance(rows, pa.Table) else dataset.write_records(name, rows)  # type: ignore[arg-type]
        for name, rows in tables.items()
    )
    return dataset.commit(Commit(stage=stage, added=added), rebase=True)


def source(name: str, count: int) -> SourceRow:
    return SourceRow(
        source_key=f"key-{name}",
        uri=f"/videos/{name}.mp4",
        size_bytes=1,
        etag="e",
        carried="{}",
        analysis="an",
        status=SourceStatus.OK,
        source_digest=f"d-{name}",
        kind="video",
        codec="h264",
        width=640,
        height=360,
        fps=25.0,
        start_pts=0,
        end_pts=50 * count,
        time_base_num=1,
        time_base_den=25,
        num_frames=50 * count,
    )


def clip(number: int) -> Clip:
    name = "ab"[number % 2]
    return Clip(
        clip_id=f"c{number:03d}",
        source_key=f"key-{name}",
        source_digest=f"d-{name}",
        uri=f"/videos/{name}.mp4",
        kind="video",
        stream_index=0,
        start_pts=50 * number,
        end_pts=50 * number + 50,
        time_base_num=1,
        time_base_den=25,
        num_frames=50,
        height=360,
        width=640,
        analysis="an",
    )


def media(number: int, **fields: Any) -> Media:
    values: dict[str, Any] = {
        "media_id": media_id(number),
        "clip_id": f"c{number:03d}",
        "encoding": "e",
        "path": "media/t.tar",
        "offset": 512 * number,
        "length": 100,
        "extension": "mp4",
        "num_frames": 50,
        "height": 360 if number < 15 else 640,
        "width": 640 if number < 15 else 360,
        "fps": 25.0,
        "duration_s": 2.0,
        "digest": f"bytes-{number}",
        "num_windows": 1,
        "window_start_pts": 50 * number,
        "window_end_pts": 50 * number + 50,
    }
    return Media(**(values | fields))


def committed_reviews(uri: str | Path) -> list[Review]:
    """The rows of the table `reviews`, as they lie in the parts."""
    return Dataset.open(uri).records("reviews")


def open_desk(uri: str, tmp_path: Path, config: ReviewConfig = NEVER, **options) -> ReviewDesk:
    return ReviewDesk(uri, tmp_path / "state", config=config, **options)


def new_id(value: int) -> str:
    return f"{value:08x}"


def request(desk: ReviewDesk, media_id: str, verdict: str, *, reviewer: str = "ann", id: int = 1, **fields):
    """A decision by somebody who looks at the card now."""
    card = desk.card(media_id, reviewer=reviewer, hold=False)
    seen = {"saw": card.saw, "caption_version": card.caption_version, "caption_digest": card.caption_digest}
    values = {"review_id": new_id(id), "media_id": media_id, "reviewer": reviewer}
    return DecisionRequest(verdict=Verdict(verdict), **(values | seen | fields))


def edit(desk: ReviewDesk, media_id: str, text: str, *, length: str = "dense", **fields):
    return request(desk, media_id, "edit", new_text=text, length=length, **fields)


def texts_of(desk: ReviewDesk, media_id: str, reviewer: str = "ann") -> dict[str, str]:
    return dict(desk.card(media_id, reviewer=reviewer, hold=False).texts)
