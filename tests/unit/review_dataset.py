"""Write a small curated and captioned dataset for tests of the review page, without running the pipeline."""

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
from report_demo import mp4

from manifests import schemas
from manifests.dataset import Commit, Dataset
from manifests.digest import digest_bytes, digest_parts
from manifests.records import (
    Caption,
    Clip,
    Duplicate,
    Media,
    Outcome,
    Selection,
    Source,
    SourceRow,
    SourceStatus,
    clip_id,
)

FRAMES, FPS = 17, 8
UNITS = 16384
"""Of a second in the sources' time base, as in their files."""
FRAME_PTS = UNITS // FPS
OLD, NEW = "facts-00000001", "vlm-00000002"
COLORS = ("red", "green", "blue", "yellow")


def caption_text(number: int, version: str) -> str:
    """Return the dense caption of a clip."""
    color = COLORS[number % len(COLORS)]
    if version == OLD:
        return f"A {color} square, number {number}, moves over a dark floor."
    where = "to the right over a dark grey floor. The camera is still."
    return f"A small {color} square, number {number}, moves {where}"


def write_dataset(
    root: Path,
    num_clips: int = 24,
    *,
    text: Callable[[int, str], str] = caption_text,
    names: Sequence[str] = (),
) -> Dataset:
    """Write a dataset whose sources lie in `root`/raw and whose other files in `root`/data.

    Args:
        num_clips: four to a source; every seventh has no caption of the new version.
        names: file names of the sources; `0.mp4` and so on by default.
    """
    (root / "raw").mkdir(parents=True)
    dataset = Dataset.create(root / "data")
    content = [
        mp4(width=96, height=54, num_frames=FRAMES, color=60 + 45 * shade, fps=FPS) for shade in range(4)
    ]
    num_sources = -(-num_clips // 4)
    sources = [_source(root / "raw" / (names[n] if names else f"{n}.mp4")) for n in range(num_sources)]
    clips = [_clip(sources[n // 4], n % 4) for n in range(num_clips)]
    with dataset.storage.open_writer("media/clips.tar") as tar:
        tar.write(b"".join(content))
    offsets = np.cumsum([0, *map(len, content)])
    media = [_media(clip, int(offsets[n % 4]), content[n % 4]) for n, clip in enumerate(clips)]
    captions = [
        caption
        for version in (OLD, NEW)
        for n, each in enumerate(media)
        for caption in [_caption(each, version, text(n, version), ok=version == OLD or n % 7 != 6)]
    ]
    selections = [
        Selection(clip_id=clip.clip_id, kept=True, reason="kept", detail="", rules="r") for clip in clips
    ]
    thumbnail = cv2.imencode(".jpg", np.full((54, 96, 3), 60, np.uint8))[1].tobytes()
    table = schemas.to_table(Clip, clips)
    columns = {
        "sharpness": [0.004 + 0.01 * n for n in range(num_clips)],
        "thumbnail": [thumbnail] * num_clips,
    }
    for name, values in columns.items():
        table = table.append_column(name, pa.array(values))
    copy = Duplicate(
        clip_id=clips[1].clip_id, kind="none", keeper=clips[1].clip_id, distance=None, offset_s=None,
        detail="", config="c",
    )  # fmt: skip
    first = (
        dataset.write_records("sources", [row for _, row in sources]),
        dataset.write_part("clips", table),
        dataset.write_records("selections", selections),
        dataset.write_records("duplicates", [copy]),
        dataset.write_records("media", media),
    )
    dataset = dataset.commit(Commit(stage="cut", added=first))
    for version in (OLD, NEW):
        part = dataset.write_records("captions", [each for each in captions if each.version == version])
        dataset = dataset.commit(Commit(stage="caption", added=(part,), config_digest=version))
    return dataset


def _source(path: Path) -> tuple[Source, SourceRow]:
    path.write_bytes(mp4(width=96, height=54, num_frames=4 * FRAMES, fps=FPS))
    stat = os.stat(path)
    source = Source(uri=str(path), size_bytes=stat.st_size, etag=str(stat.st_mtime_ns))
    row = SourceRow(
        source_key=source.source_key, uri=source.uri, size_bytes=source.size_bytes, etag=source.etag,
        carried='{"licence": "CC0"}', analysis="a", status=SourceStatus.OK, source_digest=source.source_key,
        kind="video", codec="h264", width=96, height=54, fps=float(FPS), start_pts=0,
        end_pts=4 * FRAMES * FRAME_PTS, time_base_num=1, time_base_den=UNITS, num_frames=4 * FRAMES,
    )  # fmt: skip
    return source, row


def _clip(source: tuple[Source, SourceRow], index: int) -> Clip:
    key, span = source[0].source_key, (FRAMES * FRAME_PTS * index, FRAMES * FRAME_PTS * (index + 1))
    return Clip(
        clip_id=clip_id(key, 0, *span), source_key=key, source_digest=key, uri=source[0].uri, kind="video",
        stream_index=0, start_pts=span[0], end_pts=span[1], time_base_num=1, time_base_den=UNITS,
        num_frames=FRAMES, height=54, width=96, analysis="a",
    )  # fmt: skip


def _media(clip: Clip, offset: int, content: bytes) -> Media:
    return Media(
        media_id=digest_parts("media", clip.clip_id), clip_id=clip.clip_id, encoding="e",
        path="media/clips.tar", offset=offset, length=len(content), extension="mp4", num_frames=FRAMES,
        height=54, width=96, fps=float(FPS), duration_s=float(Fraction(FRAMES, FPS)),
        digest=digest_bytes(content), num_windows=1, window_start_pts=clip.start_pts,
        window_end_pts=clip.end_pts,
    )  # fmt: skip


def _caption(media: Media, version: str, text: str, *, ok: bool) -> Caption:
    caption = Caption(
        clip_id=media.clip_id, media_id=media.media_id, outcome=Outcome.OK, text=text,
        short=text.partition(".")[0], captioner=version.partition("-")[0], model="model", revision="r",
        prompt_digest="p", decoding="{}", frames_shown=(0, 4, 8, 12, 16), version=version,
    )  # fmt: skip
    if ok:
        return caption
    return replace(caption, outcome=Outcome.DEGENERATE, text=None, short=None, detail="repeats one word")
