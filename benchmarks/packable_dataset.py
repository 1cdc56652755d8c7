"""Write a dataset that `kinora pack` can pack, from media that the caller makes: rows, tars and captions.

No video is analysed and no captioner runs, so that packing alone is measured and tested.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from manifests.dataset import Commit, Dataset
from manifests.digest import digest_bytes, digest_parts
from manifests.parts import Part, TableName
from manifests.records import clip_id
from pipeline.media.tar import TarWriter

CLIPS_PER_SOURCE = 10
CLIPS_PER_TAR = 2000
TEXT_CHARS = {"short": 54, "medium": 180, "text": 469}
"""Mean lengths of texts: short and dense as those of the captions of `kinora demo`."""
_UNITS_PER_S = 1000
_SOURCE_END = 10**7
_ANALYSIS = "made"


@dataclass(frozen=True, kw_only=True, slots=True)
class MadeMedium:
    """The bytes of a clip or window, and what its row says of them."""

    content: bytes
    extension: str = "mp4"
    num_frames: int = 54
    height: int = 64
    width: int = 96
    fps: float = 24.0

    @property
    def duration_s(self) -> float:
        """Duration in seconds."""
        return self.num_frames / self.fps


@dataclass(frozen=True, kw_only=True, slots=True)
class _MadeClip:
    number: int
    clip_id: str
    source: Mapping[str, Any]
    start_pts: int
    end_pts: int
    media: Sequence[MadeMedium]


def random_medium(num_bytes: int) -> Callable[[int, int], MadeMedium]:
    """Return a maker of media of that many random bytes, which no decoder reads."""
    return lambda clip, window: MadeMedium(content=np.random.default_rng([clip, window]).bytes(num_bytes))


def make(
    root: Path | str,
    *,
    clips: int,
    medium: Callable[[int, int], MadeMedium],
    windows: Callable[[int], int] = lambda clip: 1,
    versions: Sequence[str] = ("made-1",),
) -> Dataset:
    """Write a dataset with `clips` kept, cut and captioned clips.

    Args:
        medium: makes the medium of a clip and window, by their numbers.
        windows: number of windows of a clip.
        versions: caption versions; each gives every medium texts of its own.
    """
    dataset = Dataset.create(root)
    rows: defaultdict[TableName, list[dict[str, Any]]] = defaultdict(list)
    for first in range(0, clips, CLIPS_PER_TAR):
        path = f"media/{digest_parts('made', first)}.tar"
        with TarWriter(dataset.storage, path) as tar:
            for made in _clips(range(first, min(first + CLIPS_PER_TAR, clips)), medium, windows):
                if made.number % CLIPS_PER_SOURCE == 0:
                    rows["sources"].append(dict(made.source))
                rows["clips"].append(_clip_row(made))
                if made.number % CLIPS_PER_SOURCE == CLIPS_PER_SOURCE - 1 or made.number == clips - 1:
                    rows["gaps"].append(_gap(made))
                rows["selections"].append(_selection(made.clip_id))
                rows["media"] += _media_rows(made, tar, path)
    stages: dict[str, tuple[TableName, ...]] = {"analyze": ("sources", "clips", "gaps")}
    stages |= {"select": ("selections",), "cut": ("media",)}
    for stage, tables in stages.items():
        dataset = _commit(dataset, stage, {table: pa.Table.from_pylist(rows[table]) for table in tables})
    for version in versions:
        dataset = add_captions(dataset, rows["media"], version)
    return dataset


def _clips(
    numbers: range, medium: Callable[[int, int], MadeMedium], windows: Callable[[int], int]
) -> Iterator[_MadeClip]:
    source, start = _source(0), 0
    for number in numbers:
        if number % CLIPS_PER_SOURCE == 0:
            source, start = _source(number // CLIPS_PER_SOURCE), 0
        media = [medium(number, window) for window in range(windows(number))]
        end = start + sum(round(each.duration_s * _UNITS_PER_S) for each in media)
        name = clip_id(source["source_digest"], 0, start, end)
        yield _MadeClip(number=number, clip_id=name, source=source, start_pts=start, end_pts=end, media=media)
        start = end


def _source(number: int) -> dict[str, Any]:
    uri = f"/made/{number:06d}.mp4"
    about = {"source_key": digest_parts("source", uri), "uri": uri, "size_bytes": 1, "etag": "1"}
    about |= {"carried": '{"licence": "CC-BY"}' if number % 2 else "{}", "analysis": _ANALYSIS}
    about |= {"status": "ok", "source_digest": digest_parts("bytes", uri), "kind": "video", "codec": "h264"}
    about |= {"width": 96, "height": 64, "fps": 24.0, "start_pts": 0, "end_pts": _SOURCE_END}
    return about | {"time_base_num": 1, "time_base_den": _UNITS_PER_S, "num_frames": 240_000}


def _clip_row(made: _MadeClip) -> dict[str, Any]:
    first = made.media[0]
    is_still = first.extension != "mp4"
    row = {name: made.source[name] for name in ("source_key", "source_digest", "uri", "time_base_num")}
    row |= {"clip_id": made.clip_id, "kind": "image" if is_still else "video", "stream_index": 0}
    row |= {"start_pts": made.start_pts, "end_pts": made.end_pts, "time_base_den": _UNITS_PER_S}
    row |= {"num_frames": sum(each.num_frames for each in made.media), "analysis": _ANALYSIS}
    return row | {"height": first.height, "width": first.width}


def _gap(made: _MadeClip) -> dict[str, Any]:
    """Return the rest of a source behind its last clip."""
    span = {"source_key": made.source["source_key"], "start_pts": made.end_pts, "end_pts": _SOURCE_END}
    return span | {"reason": "shot_too_short", "analysis": _ANALYSIS}


def _selection(name: str) -> dict[str, Any]:
    return {"clip_id": name, "kept": True, "reason": "kept", "detail": "", "rules": "made", "review": ""}


def _media_rows(made: _MadeClip, tar: TarWriter, path: str) -> Iterator[dict[str, Any]]:
    start = made.start_pts
    for window, each in enumerate(made.media):
        name = digest_parts("media", made.clip_id, window)
        _, offset = tar.add(f"{name}.{each.extension}", each.content)
        end = start + round(each.duration_s * _UNITS_PER_S)
        row = {"media_id": name, "clip_id": made.clip_id, "encoding": "made", "path": path}
        row |= {"offset": offset, "length": len(each.content), "digest": digest_bytes(each.content)}
        row |= {"duration_s": each.duration_s, "window_index": window, "num_windows": len(made.media)}
        row |= {"window_start_pts": start, "window_end_pts": end, "audio": ""}
        names = ("extension", "num_frames", "height", "width", "fps")
        yield row | {name: getattr(each, name) for name in names}
        start = end


def add_captions(dataset: Dataset, media: Sequence[Mapping[str, Any]], version: str) -> Dataset:
    """Commit a caption of each of `media`; odd ones of `made-` versions lack the medium text."""
    rows = [caption_row(row, version) for row in media]
    return _commit(dataset, "caption", {"captions": pa.Table.from_pylist(rows)}, version)


def caption_row(media: Mapping[str, Any], version: str, words: str = "") -> dict[str, Any]:
    """Return an OK caption of a row of media; equal arguments give equal texts."""
    row: dict[str, Any] = {"clip_id": media["clip_id"], "media_id": media["media_id"], "outcome": "ok"}
    key = digest_parts(version, media["media_id"], words)
    factor = 0.75 + int(key[1:3], 16) / 510
    for column, mean in TEXT_CHARS.items():
        chars = round(mean * factor)
        filler = f"{key} " * (chars // len(key) + 1)
        row[column] = f"{words or version} {column} {filler}"[:chars].strip()
    if int(key[0], 16) % 2:
        row["medium"] = None
    row |= {"captioner": "made", "model": "made", "revision": "1", "prompt_digest": "p" * 32}
    row |= {"parts": None, "heard": ""}
    return row | {"decoding": "{}", "frames_shown": [0, 8], "detail": "", "version": version}


def _commit(
    dataset: Dataset, stage: str, tables: Mapping[TableName, pa.Table], config_digest: str = ""
) -> Dataset:
    added: tuple[Part, ...] = tuple(dataset.write_part(table, rows) for table, rows in tables.items())
    counts = {"units": sum(part.rows for part in added)}
    return dataset.commit(
        Commit(stage=stage, added=added, counts=counts, config_digest=config_digest, seconds=1.0)
    )
