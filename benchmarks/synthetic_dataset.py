"""Write a dataset of any size without videos: the tables of a real run, directly as parts.

Ids, thumbnails and texts have the length of real ones and compress no better. The dataset has failed and
replaced files; dropped, duplicate and uncut clips; and clips without a caption. Duplicates have the hashes of
their keepers; all others are random.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from manifests import schemas
from manifests.dataset import Commit, Dataset
from manifests.digest import digest_parts
from manifests.parts import Part, PartStore
from manifests.records import Duplicate
from pipeline.config import (
    AnalyzeConfig,
    CaptionConfig,
    CutConfig,
    DedupConfig,
    SelectConfig,
    config_digest,
)
from pipeline.dedup.decisions import dedup_digest
from pipeline.fingerprint_format import HASHES, LOOK_BYTES
from pipeline.select.select import rules_digest

CLIPS_PER_SOURCE = 10
PARTS = 1000
"""PartStore of each table."""
COMMITS = 10
"""Commits of each stage."""
VERSION = "made-captions"
_FAILED_EVERY, _REPLACED_EVERY, _UNCUT_EVERY, _UNCAPTIONED_EVERY = 997, 499, 1999, 499
_BLACK = 0
"""Index of the clip of each source that is black, and dropped."""
_COPIES_OF = {19: 1, 29: 1}
"""Copy -> keeper, in each 50 clips of a part; the keeper is from another file."""
_COPIES_SPAN = 50
_COPY_MOTION = 0.01
"""Largest difference in motion between a copy and its keeper, so that a limit can separate the two."""
_FINGERPRINT_FRAMES = 25
"""Fingerprinted frames per clip: 300 bytes of hashes and 9,600 of incompressible small pictures. Clips of Big
Buck Bunny take 311 and 9,452 compressed bytes; those of the demo's raw videos 142 and 1,495."""
_THUMBNAIL_BYTES = 1160
"""Mean over the clips of `kinora demo`."""
_TEXT_CHARS, _SHORT_CHARS = 469, 54
"""Means over the captions of `kinora demo`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """Sources that become one part of each table."""

    number: int
    raw: Sequence[tuple[str, int, str]]
    """(uri, bytes, modification time in nanoseconds) of each source."""


def make(
    root: Path, raw: Sequence[tuple[str, int, str]], *, parts: int = PARTS, commits: int = COMMITS
) -> Dataset:
    """Write a curated and captioned dataset at `root`, with `CLIPS_PER_SOURCE` clips for each of `raw`."""
    dataset = Dataset.create(root)
    sources_per_part = max(1, -(-len(raw) // parts))
    groups = [
        Group(number=number, raw=raw[start : start + sources_per_part])
        for number, start in enumerate(range(0, len(raw), sources_per_part))
    ]
    groups_per_commit = max(1, -(-len(groups) // commits))
    stages: tuple[tuple[str, Callable[[PartStore, Group], list[Part]], object, str], ...] = (
        ("analyze", _analyzed, AnalyzeConfig(), ""),
        ("dedup", _compared, DedupConfig(), ""),
        ("select", _selected, SelectConfig(), ""),
        ("cut", _cut, CutConfig(), ""),
        ("caption", _captioned, CaptionConfig(), VERSION),
    )
    store = PartStore(dataset.storage)
    with ThreadPoolExecutor(4) as threads:
        for start in range(0, len(groups), groups_per_commit):
            batch = groups[start : start + groups_per_commit]
            for stage, write, config, version in stages:
                written = list(threads.map(lambda group, write=write: write(store, group), batch))
                added = tuple(part for parts in written for part in parts)
                counts = {"units": sum(part.rows for part in added if part.table == _UNITS[stage])}
                settings = asdict(config)  # type: ignore[call-overload]
                dataset = dataset.commit(
                    Commit(
                        stage=stage,
                        added=added,
                        config=settings,
                        config_digest=version or config_digest(config),
                        counts=counts,
                        seconds=counts["units"] * _SECONDS[stage],
                    )
                )
    return dataset


_UNITS = {
    "analyze": "sources",
    "dedup": "duplicates",
    "select": "selections",
    "cut": "media",
    "caption": "captions",
}
_SECONDS = {"analyze": 0.5, "dedup": 1e-4, "select": 1e-5, "cut": 0.05, "caption": 0.1}
"""Arbitrary seconds per unit for the log."""


def _analyzed(store: PartStore, group: Group) -> list[Part]:
    rng = np.random.default_rng(group.number)
    analysis = config_digest(AnalyzeConfig())
    readable = [source_number(group, index) % _FAILED_EVERY != 0 for index in range(len(group.raw))]
    rows = [_source(raw, analysis, ok=ok) for raw, ok in zip(group.raw, readable, strict=True)]
    old = [
        _source((uri, size + 1, "1"), analysis, ok=True)
        for index, (uri, size, _) in enumerate(group.raw)
        if source_number(group, index) % _REPLACED_EVERY == 0
    ]
    analyzed = [row for row in [*old, *rows] if row["status"] == "ok"]
    failures = [
        _failure("analyze", row["source_key"], row["uri"], analysis) for row in rows if row["status"] != "ok"
    ]
    parts = [
        store.write_part("sources", _table([*old, *rows])),
        store.write_part("clips", _clips(analyzed, analysis, rng, _copies(group))),
        store.write_part("gaps", _gaps(analyzed, analysis)),
    ]
    return parts + ([store.write_part("failures", _table(failures))] if failures else [])


def source_number(group: Group, index: int) -> int:
    """Return a number of a source that is unique over all groups."""
    return group.number * 1_000_003 + index


def _source(raw: tuple[str, int, str], analysis: str, *, ok: bool) -> dict[str, Any]:
    uri, size, etag = raw
    known = {"kind": "video", "codec": "h264", "width": 1280, "height": 720, "fps": 24.0, "start_pts": 0}
    known |= {"end_pts": 1000 * CLIPS_PER_SOURCE + 10, "time_base_num": 1, "time_base_den": 250}
    known |= {"num_frames": 96 * CLIPS_PER_SOURCE + 1, "source_digest": digest_parts("bytes", uri, size)}
    about = {
        "source_key": digest_parts("source", uri, size, etag),
        "uri": uri,
        "size_bytes": size,
        "etag": etag,
    }
    status = {"carried": "{}", "analysis": analysis, "status": "ok" if ok else "failed"}
    return about | status | (known if ok else dict.fromkeys(known))


def _clips(
    sources: Sequence[dict], analysis: str, rng: np.random.Generator, copies: dict[str, str]
) -> pa.Table:
    num = len(sources) * CLIPS_PER_SOURCE
    starts = np.tile(np.arange(CLIPS_PER_SOURCE) * 1000, len(sources))

    def repeated(name: str) -> pa.Array:
        return pa.array([source[name] for source in sources]).take(
            pa.array(np.arange(num) // CLIPS_PER_SOURCE)
        )

    def all_of(value: object) -> pa.Array:
        return pa.repeat(pa.scalar(value), num)

    keys = [source["source_key"] for source in sources]
    names = [_clip_id(key, index) for key in keys for index in range(CLIPS_PER_SOURCE)]
    hashes, looks = _fingerprints(names, copies, rng)
    row_of = {name: row for row, name in enumerate(names)}
    motion_N = rng.random(num)
    for copy, keeper in copies.items():
        motion_N[row_of[copy]] = motion_N[row_of[keeper]] + rng.uniform(-1, 1) * _COPY_MOTION
    columns = {
        "clip_id": pa.array(names),
        "source_key": repeated("source_key"),
        "source_digest": repeated("source_digest"),
        "uri": repeated("uri"),
        "kind": all_of("video"),
        "stream_index": all_of(0),
        "start_pts": pa.array(starts),
        "end_pts": pa.array(starts + 1000),
        "time_base_num": all_of(1),
        "time_base_den": all_of(250),
        "num_frames": all_of(96),
        "height": all_of(720),
        "width": all_of(1280),
        "analysis": all_of(analysis),
        "black": pa.array(np.where(np.arange(num) % CLIPS_PER_SOURCE == _BLACK, 0.9, 0.0)),
        "static": all_of(0.0),
        "brightness": pa.array(rng.random(num)),
        "sharpness": pa.array(0.01 + rng.random(num)),
        "motion": pa.array(motion_N),
        "thumbnail": _binary(rng.bytes(num * _THUMBNAIL_BYTES), num),
        "frame_hashes": hashes,
        "frame_looks": looks,
    }
    return pa.table(columns)


def _clip_id(source_key: str, index: int) -> str:
    name = digest_parts("made", source_key, index)
    return "-".join((name[:8], name[8:12], name[12:16], name[16:20], name[20:]))


def _fingerprints(
    names: Sequence[str], copies: dict[str, str], rng: np.random.Generator
) -> tuple[pa.Array, pa.Array]:
    """Return fingerprints of clips: hashes that drift within a clip, and small pictures."""
    num = len(names)
    hashes = np.zeros((num, _FINGERPRINT_FRAMES), HASHES)
    hashes["ms"] = np.arange(_FINGERPRINT_FRAMES) * 160
    first_N1 = rng.integers(0, 2**63, (num, 1), np.uint64)
    flipped_NT = np.uint64(1) << rng.integers(0, 63, (num, _FINGERPRINT_FRAMES), np.uint64)
    hashes["hash"] = first_N1 ^ np.bitwise_xor.accumulate(flipped_NT, axis=1)
    looks_ND = rng.integers(0, 256, (num, _FINGERPRINT_FRAMES * LOOK_BYTES), np.uint8)
    row_of = {name: row for row, name in enumerate(names)}
    for copy, keeper in copies.items():
        hashes[row_of[copy]], looks_ND[row_of[copy]] = hashes[row_of[keeper]], looks_ND[row_of[keeper]]
    return _binary(hashes.tobytes(), num), _binary(looks_ND.tobytes(), num)


def _binary(data: bytes, num: int) -> pa.Array:
    """Split `data` into `num` values of equal length."""
    offsets = pa.array(np.arange(num + 1, dtype=np.int32) * (len(data) // max(1, num)))
    return pa.BinaryArray.from_buffers(pa.binary(), num, [None, offsets.buffers()[1], pa.py_buffer(data)])


def _gaps(sources: Sequence[dict], analysis: str) -> pa.Table:
    end = 1000 * CLIPS_PER_SOURCE
    gap = {"start_pts": end, "end_pts": end + 10, "reason": "shot_too_short", "analysis": analysis}
    return _table([{"source_key": source["source_key"]} | gap for source in sources])


def _failure(stage: str, unit: str, uri: str, config: str) -> dict[str, Any]:
    about = {"stage": stage, "unit": unit, "uri": uri, "config": config, "quarantined": False}
    return about | {
        "code": "TRUNCATED",
        "message": "ends in the middle of a frame",
        "remedy": "fetch it again",
    }


def _current_clips(group: Group) -> Iterator[tuple[int, str, str]]:
    """Yield (index in its part, clip id, uri) of every clip of a readable, current source."""
    index = 0
    for number, (uri, size, etag) in enumerate(group.raw):
        if source_number(group, number) % _FAILED_EVERY:
            key = digest_parts("source", uri, size, etag)
            for clip in range(CLIPS_PER_SOURCE):
                yield index, _clip_id(key, clip), uri
                index += 1


def _copies(group: Group) -> dict[str, str]:
    """Return copy -> keeper of a group's clip ids."""
    names = [clip_id for _, clip_id, _ in _current_clips(group)]
    return {
        names[start + copy]: names[start + keeper]
        for start in range(0, len(names) - _COPIES_SPAN + 1, _COPIES_SPAN)
        for copy, keeper in _COPIES_OF.items()
    }


def _compared(store: PartStore, group: Group) -> list[Part]:
    config = dedup_digest(config_digest(DedupConfig()), config_digest(AnalyzeConfig()))
    copies, rows = _copies(group), []
    for index, clip_id, _ in _current_clips(group):
        if index % CLIPS_PER_SOURCE != _BLACK:
            keeper = copies.get(clip_id)
            row = {"clip_id": clip_id, "kind": "near" if keeper else "none", "keeper": keeper or clip_id}
            row |= {"distance": 0.0, "offset_s": 0.0} if keeper else {"distance": None, "offset_s": None}
            rows.append(row | {"detail": f"of {keeper}: {_SAME}" if keeper else "", "config": config})
    return [
        store.write_part("duplicates", pa.Table.from_pylist(rows, schema=schemas.arrow_schema(Duplicate)))
    ]


_SAME = "0 of 15 different at +0.00 s, 100% of it"


def _selected(store: PartStore, group: Group) -> list[Part]:
    analysis = config_digest(AnalyzeConfig())
    rules, copies, rows = rules_digest(config_digest(SelectConfig()), analysis), _copies(group), []
    for index, clip_id, _ in _current_clips(group):
        reason, detail, own = "kept", "", rules
        if index % CLIPS_PER_SOURCE == _BLACK:
            reason, detail = "black", "0.9 > 0.5 of frames"
        elif keeper := copies.get(clip_id):
            own = rules_digest(config_digest(SelectConfig()), analysis, "near", keeper)
            reason, detail = "duplicate_near", f"of {keeper}: {_SAME}"
        row = {"clip_id": clip_id, "kept": reason == "kept", "reason": reason, "detail": detail}
        rows.append(row | {"rules": own, "review": ""})
    return [store.write_part("selections", _table(rows))]


def _kept(group: Group) -> Iterator[tuple[int, str, str]]:
    copies = _copies(group)
    for index, clip_id, uri in _current_clips(group):
        if index % CLIPS_PER_SOURCE != _BLACK and clip_id not in copies:
            yield index, clip_id, uri


def _cut(store: PartStore, group: Group) -> list[Part]:
    encoding = config_digest(CutConfig())
    path = f"media/{digest_parts('tar', group.number)}.tar"
    rows, failures = [], []
    for index, clip_id, uri in _kept(group):
        if (index + group.number) % _UNCUT_EVERY == 0:
            failures.append(_failure("cut", clip_id, uri, encoding))
            continue
        row = {"media_id": digest_parts("media", clip_id, encoding), "clip_id": clip_id, "encoding": encoding}
        row |= {"path": path, "offset": 512 + index * 900_000, "length": 890_000, "extension": "mp4"}
        row |= {"num_frames": 96, "height": 720, "width": 1280, "fps": 24.0, "duration_s": 4.0}
        row |= {"window_index": 0, "num_windows": 0, "window_start_pts": None, "window_end_pts": None}
        rows.append(row | {"digest": digest_parts("member", clip_id), "audio": ""})
    parts = [store.write_part("media", _table(rows))]
    return parts + ([store.write_part("failures", _table(failures))] if failures else [])


def _captioned(store: PartStore, group: Group) -> list[Part]:
    encoding = config_digest(CutConfig())
    rng = np.random.default_rng(group.number)
    rows, failures = [], []
    for index, clip_id, uri in _kept(group):
        if (index + group.number) % _UNCUT_EVERY == 0:
            continue
        media_id = digest_parts("media", clip_id, encoding)
        has_text = (index + group.number) % _UNCAPTIONED_EVERY != 0
        text = rng.bytes(_TEXT_CHARS // 2 + 1).hex()[:_TEXT_CHARS] if has_text else None
        row = {
            "clip_id": clip_id,
            "media_id": media_id,
            "outcome": "ok" if has_text else "empty",
            "text": text,
        }
        row |= {
            "medium": None,
            "parts": None,
            "heard": "",
            "short": text[:_SHORT_CHARS] if text else None,
            "captioner": "embedded",
            "model": "made",
        }
        row |= {"revision": "1", "prompt_digest": "p" * 33, "decoding": '{"max_new_tokens": 192}'}
        rows.append(row | {"frames_shown": list(range(0, 96, 12)), "detail": "", "version": VERSION})
        if not has_text:
            failures.append(_failure("caption", media_id, uri, VERSION))
    parts = [store.write_part("captions", _table(rows))]
    return parts + ([store.write_part("failures", _table(failures))] if failures else [])


def _table(rows: Sequence[dict]) -> pa.Table:
    return pa.Table.from_pylist(list(rows))


def touch(folder: Path, num: int) -> list[tuple[str, int, str]]:
    """Create `num` empty files, a thousand per folder; return (uri, bytes, modification time) for `make`."""
    raw = []
    for number in range(num):
        path = folder / f"{number // 1000:04d}" / f"{number % 1000:03d}.mp4"
        if number % 1000 == 0:
            path.parent.mkdir(parents=True)
        path.touch()
        stat = path.stat()
        raw.append((str(path), stat.st_size, str(stat.st_mtime_ns)))
    return raw
