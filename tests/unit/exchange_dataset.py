"""Make a small dataset of real videos for the tests of imports and exports.

a/car-test-1.mp4   24 fps, one clip                   b/one.mp4    29.97 fps, two clips
c/long.mp4         25 fps, one clip in two windows    c/vfr.mp4    a variable frame rate, one clip
c/part.mp4         25 fps, two clips, one dropped     still.png    a still
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa

from kinora.exchange.export_rows import CLAIMS_TYPE
from manifests import schemas
from manifests.dataset import Commit, Dataset, Part
from manifests.digest import digest_bytes, digest_file
from manifests.live_view import LiveView
from manifests.records import (
    Caption,
    Clip,
    Media,
    Outcome,
    Review,
    Selection,
    Source,
    SourceRow,
    SourceStatus,
    Verdict,
    caption_digest,
    clip_id,
)
from pipeline.cut.windows import media_id_of
from pipeline.media.tar import TarWriter
from video.cut import CutClip, cut
from video.encode import VideoWriter
from video.probe import probe

SIZE = (48, 64)
MEDIUM = 'Größer, 红色; a, "b"\nand 🎈'
CLAIMS = [
    {"text": "a square is there", "verdict": "supported", "start_s": 0.0, "end_s": 0.96},
    {"text": "it is red", "verdict": "unsupported", "start_s": 0.25, "end_s": 0.5},
]


@dataclass(frozen=True, kw_only=True)
class Raw:
    """A source: where its frames lie, in its time base, and its clips."""

    name: str
    time_base: Fraction
    pts: tuple[int, ...]
    end_pts: int
    clips: tuple[tuple[int, int], ...]
    """[start, end) in pts."""
    windows: int = 1
    dropped: tuple[int, ...] = ()
    carried: str = "{}"


def _constant(name: str, fps: Fraction | int, frames: int, cuts: Sequence[int] = (), **about: object) -> Raw:
    bounds = [0, *cuts, frames]
    spans = tuple(pairwise(bounds))
    return Raw(
        name=name,
        time_base=1 / Fraction(fps),
        pts=tuple(range(frames)),
        end_pts=frames,
        clips=spans,
        **about,  # type: ignore[arg-type]
    )


VARIABLE = (0, 20, 40, 60, 160, 260, 360, 460, 480, 500, 520, 540, 560, 580)
"""Of 1/200 s: frames 0.1 and 0.5 s apart."""
RAW = (
    _constant("a/car-test-1.mp4", 24, 24, carried=json.dumps({"licence": "CC-BY", "url": "https://x.org/1"})),
    _constant("b/one.mp4", Fraction(30000, 1001), 60, (30,), carried=json.dumps({"licence": "CC0"})),
    _constant("c/long.mp4", 25, 100, windows=2),
    _constant("c/part.mp4", 25, 40, (20,), dropped=(1,)),
    Raw(
        name="c/vfr.mp4",
        time_base=Fraction(1, 200),
        pts=VARIABLE,
        end_pts=600,
        clips=((0, 600),),
        carried=json.dumps({"licence": "CC-BY", "year": 1999}),
    ),
)


def make_dataset(root: Path, *, uri: str = "", captions: bool = True) -> Dataset:
    """Write sources below `root/raw`, and a dataset of their clips at `uri`, by default `root/data`."""
    raw = root / "raw"
    dataset = Dataset.create(uri or root / "data")
    tables: dict[str, list[object]] = {name: [] for name in ("sources", "clips", "selections", "media")}
    with TarWriter(dataset.storage, "media/first.tar") as tar:
        for each in RAW:
            path = raw / each.name
            path.parent.mkdir(parents=True, exist_ok=True)
            _write_video(path, each, RAW.index(each))
            _add(tables, tar, path, each)
        _write_still(raw / "still.png")
        still = Raw(name="still.png", time_base=Fraction(1, 25), pts=(0,), end_pts=1, clips=((0, 1),))
        _add(tables, tar, raw / "still.png", still)
    added = [_clips_part(dataset, tables.pop("clips"))]
    added += [dataset.write_records(name, rows) for name, rows in tables.items()]  # type: ignore[arg-type]
    dataset = dataset.commit(Commit(stage="test", added=tuple(added)))
    if captions:
        rows = [caption_of(row, "v1") for row in tables["media"]]
        dataset = commit_captions(dataset, rows, "v1")
        some = [row for row in tables["media"] if row.num_frames in (24, 30, len(VARIABLE))]  # type: ignore[attr-defined]
        rows = [caption_of(row, "v2", medium=MEDIUM) for row in some]
        dataset = commit_captions(dataset, rows, "v2", claims=True)
    return dataset


def add_reviews(dataset: Dataset) -> Dataset:
    """Edit the short text of the first clip, reject the still, and mend the span of the variable one."""
    rows = {row["num_frames"]: row for row in LiveView(dataset).media.to_pylist()}
    edit = _review(dataset, rows[24], Verdict.EDIT, length="short", new_text="A white square.")
    reject = _review(dataset, rows[1], Verdict.REJECT, reason="blurred")
    span = _review(dataset, rows[len(VARIABLE)], Verdict.SPAN, start_s=0.3, end_s=2.4)
    part = dataset.write_records("reviews", [edit, reject, span])
    return dataset.commit(Commit(stage="review", added=(part,)))


def _review(dataset: Dataset, media: dict[str, Any], verdict: Verdict, **about: Any) -> Review:
    captions = LiveView(dataset).captions().to_pylist()
    [shown] = [row for row in captions if row["media_id"] == media["media_id"]]
    return Review(
        review_id=f"{verdict}-of-{media['num_frames']}",
        clip_id=media["clip_id"],
        media_id=media["media_id"],
        reviewer="ada",
        at="2026-01-02T03:04:05+00:00",
        verdict=verdict,
        caption_version=shown["version"],
        caption_digest=caption_digest(shown["short"], shown["medium"], shown["text"]),
        **about,
    )


def commit_captions(
    dataset: Dataset, rows: Sequence[Caption], version: str, *, claims: bool = False
) -> Dataset:
    table = schemas.to_table(Caption, rows)
    if claims:
        table = table.append_column("claims", pa.array([CLAIMS] * len(rows), CLAIMS_TYPE))
    part = dataset.write_part("captions", table)
    return dataset.commit(Commit(stage="caption", added=(part,), config_digest=version))


PARTS = '{"subjects": ["a square"], "actions": ["it moves", "it stops"]}'


def caption_of(media: object, version: str, medium: str | None = None) -> Caption:
    media_id, clip = media.media_id, media.clip_id  # type: ignore[attr-defined]
    return Caption(
        clip_id=clip,
        media_id=media_id,
        outcome=Outcome.OK,
        text=f"A square moves in media {media_id}, as {version} tells.",
        short=f"A square, {version}.",
        medium=medium,
        parts=PARTS if version == "v2" else None,
        heard="A voice counts." if version == "v2" else "",
        captioner="vlm",
        model="someone/model",
        revision="r1",
        prompt_digest="p1+p2",
        decoding="{}",
        frames_shown=(0, 3),
        version=version,
    )


def _add(tables: dict[str, list[object]], tar: TarWriter, path: Path, raw: Raw) -> None:
    stat, digest, kind = path.stat(), digest_file(path), "image" if path.suffix == ".png" else "video"
    source = Source(uri=str(path), size_bytes=stat.st_size, etag=str(stat.st_mtime_ns), carried=raw.carried)
    base = {"time_base_num": raw.time_base.numerator, "time_base_den": raw.time_base.denominator}
    about: dict[str, Any] = {"source_key": source.source_key, "uri": source.uri}
    about |= {"source_digest": digest, "kind": kind}
    about |= {"height": SIZE[0], "width": SIZE[1], "analysis": "a1", **base}
    fps = 0.0 if kind == "image" else float(len(raw.pts) / (raw.end_pts * raw.time_base))
    found = probe(path)
    assert kind == "image" or (found.time_base * 1, found.start_pts) == (found.time_base, 0)
    tables["sources"].append(
        SourceRow(
            **about,
            size_bytes=source.size_bytes,
            etag=source.etag,
            carried=raw.carried,
            status=SourceStatus.OK,
            codec=found.codec,
            fps=fps,
            start_pts=0,
            end_pts=raw.end_pts,
            num_frames=len(raw.pts),
        )
    )
    unit = round(raw.time_base / found.time_base) if kind == "video" else 1
    spans = [(start * unit, end * unit) for start, end in raw.clips]
    pieces = list(cut(path, spans, windows=[raw.windows] * len(spans)))
    for number, (start, end) in enumerate(raw.clips):
        name = clip_id(digest, 0, start, end)
        frames = sum(start <= pts < end for pts in raw.pts)
        span: dict[str, Any] = {"stream_index": 0, "start_pts": start, "end_pts": end, "num_frames": frames}
        tables["clips"].append(Clip(clip_id=name, **about, **span))
        kept = number not in raw.dropped
        reason = "kept" if kept else "too_dark"
        tables["selections"].append(Selection(clip_id=name, kept=kept, reason=reason, detail="", rules="r1"))
        for piece in pieces if kept else ():
            if piece.span == number:
                tables["media"].append(_media(name, piece, raw, unit, tar))


def _media(name: str, piece: CutClip, raw: Raw, unit: int, tar: TarWriter) -> Media:
    start, end = piece.start_pts // unit, piece.end_pts // unit
    _, offset = tar.add(f"{name}-{piece.window:03d}.{piece.suffix}", piece.media)
    return Media(
        media_id=media_id_of(name, None, (start, end)),
        clip_id=name,
        encoding="e1",
        path="media/first.tar",
        offset=offset,
        length=len(piece.media),
        extension=piece.suffix,
        num_frames=piece.num_frames,
        height=piece.height,
        width=piece.width,
        fps=float(piece.fps),
        duration_s=float((end - start) * raw.time_base),
        digest=digest_bytes(piece.media),
        window_index=piece.window,
        num_windows=raw.windows,
        window_start_pts=start,
        window_end_pts=end,
    )


def _clips_part(dataset: Dataset, clips: Sequence[object]) -> Part:
    """Write clips with two columns of scores, one of which is null in places."""
    table = schemas.to_table(Clip, clips)
    values = [round(0.1 * n + 0.037, 3) for n in range(len(clips))]
    table = table.append_column("brightness", pa.array(values, pa.float64()))
    motion = [None if n == 2 else 1.5 * n for n in range(len(clips))]
    return dataset.write_part("clips", table.append_column("motion", pa.array(motion, pa.float64())))


def _write_video(path: Path, raw: Raw, number: int) -> None:
    step = VARIABLE[1] * raw.time_base if raw.pts == VARIABLE else raw.time_base
    with VideoWriter(path, height=SIZE[0], width=SIZE[1], fps=1 / step, time_base=raw.time_base) as out:
        for index, pts in enumerate(raw.pts):
            rgb_HWC = np.full((*SIZE, 3), (40 + 30 * number, 90, 120), np.uint8)
            left = 2 * index % 50
            rgb_HWC[10:24, left : left + 12] = 240
            out.write(rgb_HWC, pts)


def _write_still(path: Path) -> None:
    tiles = np.random.default_rng(1).integers(0, 255, (6, 8, 3), np.uint8)
    cv2.imwrite(str(path), cv2.resize(tiles, (SIZE[1], SIZE[0]), interpolation=cv2.INTER_NEAREST))
