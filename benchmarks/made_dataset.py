"""Make a dataset of any size without a video: the tables that a real run leaves, written directly as parts.

Ids, thumbnails and texts are of the length that real ones have, and do not compress better than those. Some
files failed, some were replaced since, some clips were dropped, failed to be cut or got no caption.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from manifests.parts import Part, Parts, Table
from manifests.records import digest
from manifests.store import Commit, Dataset
from pipeline.config import AnalyzeConfig, CutConfig, SelectConfig, config_digest
from pipeline.select import rules_digest

CLIPS_PER_SOURCE = 10
PARTS = 1000
"""Parts of each table."""
COMMITS = 10
"""Commits of each stage."""
VERSION = "made-captions"
_FAILED_EVERY, _REPLACED_EVERY, _DROPPED_EVERY, _UNCUT_EVERY, _MUTE_EVERY = 997, 499, 9, 1999, 499
_THUMBNAIL_BYTES = 1160
"""The mean of the clips of `kinora demo`."""
_TEXT_CHARS, _SHORT_CHARS = 469, 54
"""Likewise."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """What becomes one part of each table."""

    number: int
    raw: Sequence[tuple[str, int, str]]
    """(uri, bytes, modification time in nanoseconds) of each source."""


def make(root: Path, raw: Sequence[tuple[str, int, str]], *, parts: int = PARTS, commits: int = COMMITS) -> Dataset:
    """Make a dataset at `root` of `CLIPS_PER_SOURCE` clips for each of `raw`, curated and captioned."""
    dataset = Dataset.create(root)
    per = max(1, -(-len(raw) // parts))
    groups = [
        Group(number=number, raw=raw[start : start + per])
        for number, start in enumerate(range(0, len(raw), per))
    ]
    of_commit = max(1, -(-len(groups) // commits))
    stages: tuple[tuple[str, Callable[[Parts, Group], list[Part]], object, str], ...] = (
        ("analyze", _analyzed, AnalyzeConfig(), ""),
        ("select", _selected, SelectConfig(), ""),
        ("cut", _cut, CutConfig(), ""),
        ("caption", _captioned, None, VERSION),
    )
    with ThreadPoolExecutor(4) as threads:
        for start in range(0, len(groups), of_commit):
            some = groups[start : start + of_commit]
            for stage, write, config, named in stages:
                written = list(threads.map(lambda group, write=write: write(Parts(dataset.storage), group), some))
                added = tuple(part for parts in written for part in parts)
                counts = {"units": sum(part.rows for part in added if part.table == _UNITS[stage])}
                settings = {} if config is None else asdict(config)  # type: ignore[call-overload]
                dataset = dataset.commit(
                    Commit(
                        stage=stage,
                        added=added,
                        config=settings,
                        config_digest=named or config_digest(config),
                        counts=counts,
                        seconds=counts["units"] * _SECONDS[stage],
                    )
                )
    return dataset


_UNITS = {"analyze": "sources", "select": "selections", "cut": "media", "caption": "captions"}
_SECONDS = {"analyze": 0.5, "select": 1e-5, "cut": 0.05, "caption": 0.1}
"""What a unit is said to have taken: any number, for there was nothing to take it."""


def _analyzed(place: Parts, group: Group) -> list[Part]:
    rng = np.random.default_rng(group.number)
    analysis = config_digest(AnalyzeConfig())
    good = [place_of(group, index) % _FAILED_EVERY != 0 for index in range(len(group.raw))]
    rows = [_source(raw, analysis, ok=ok) for raw, ok in zip(group.raw, good, strict=True)]
    old = [
        _source((uri, size + 1, "1"), analysis, ok=True)
        for index, (uri, size, _) in enumerate(group.raw)
        if place_of(group, index) % _REPLACED_EVERY == 0
    ]
    found = [row for row in [*old, *rows] if row["status"] == "ok"]
    failures = [_failure("analyze", row["source_key"], row["uri"], analysis) for row in rows if row["status"] != "ok"]
    parts = [
        place.put("sources", _table([*old, *rows])),
        place.put("clips", _clips(found, analysis, rng)),
        place.put("gaps", _gaps(found, analysis)),
    ]
    return parts + ([place.put("failures", _table(failures))] if failures else [])


def place_of(group: Group, index: int) -> int:
    """Return the number of a source over all groups."""
    return group.number * 1_000_003 + index


def _source(raw: tuple[str, int, str], analysis: str, *, ok: bool) -> dict[str, object]:
    uri, size, etag = raw
    known = {"kind": "video", "codec": "h264", "width": 1280, "height": 720, "fps": 24.0, "start_pts": 0}
    known |= {"end_pts": 1000 * CLIPS_PER_SOURCE + 10, "time_base_num": 1, "time_base_den": 250}
    known |= {"num_frames": 96 * CLIPS_PER_SOURCE + 1, "source_digest": digest("bytes", uri, size)}
    about = {"source_key": digest("source", uri, size, etag), "uri": uri, "size_bytes": size, "etag": etag}
    status = {"carried": "{}", "analysis": analysis, "status": "ok" if ok else "failed"}
    return about | status | (known if ok else dict.fromkeys(known))


def _clips(sources: Sequence[dict], analysis: str, rng: np.random.Generator) -> pa.Table:
    num = len(sources) * CLIPS_PER_SOURCE
    starts = np.tile(np.arange(CLIPS_PER_SOURCE) * 1000, len(sources))

    def repeated(name: str) -> pa.Array:
        return pa.array([source[name] for source in sources]).take(pa.array(np.arange(num) // CLIPS_PER_SOURCE))

    def all_of(value: object) -> pa.Array:
        return pa.repeat(pa.scalar(value), num)

    keys = [source["source_key"] for source in sources]
    columns = {
        "clip_id": pa.array([_clip_id(key, index) for key in keys for index in range(CLIPS_PER_SOURCE)]),
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
        "black": pa.array(np.where(np.arange(num) % _DROPPED_EVERY == 0, 0.9, 0.0)),
        "static": all_of(0.0),
        "brightness": pa.array(rng.random(num)),
        "sharpness": pa.array(0.01 + rng.random(num)),
        "motion": pa.array(rng.random(num)),
        "thumbnail": _noise(rng, num, _THUMBNAIL_BYTES),
    }
    return pa.table(columns)


def _clip_id(source_key: str, index: int) -> str:
    name = digest("made", source_key, index)
    return "-".join((name[:8], name[8:12], name[12:16], name[16:20], name[20:]))


def _noise(rng: np.random.Generator, num: int, length: int) -> pa.Array:
    offsets = pa.array(np.arange(num + 1, dtype=np.int32) * length)
    return pa.BinaryArray.from_buffers(
        pa.binary(), num, [None, offsets.buffers()[1], pa.py_buffer(rng.bytes(num * length))]
    )


def _gaps(sources: Sequence[dict], analysis: str) -> pa.Table:
    end = 1000 * CLIPS_PER_SOURCE
    gap = {"start_pts": end, "end_pts": end + 10, "reason": "shot_too_short", "analysis": analysis}
    return _table([{"source_key": source["source_key"]} | gap for source in sources])


def _failure(stage: str, unit: str, uri: str, config: str) -> dict[str, object]:
    about = {"stage": stage, "unit": unit, "uri": uri, "config": config, "quarantined": False}
    return about | {"code": "TRUNCATED", "message": "ends in the middle of a frame", "remedy": "fetch it again"}


def _found(group: Group) -> Iterator[tuple[int, str, str]]:
    """Yield (index in its part, clip id, uri) of every clip that counts."""
    index = 0
    for number, (uri, size, etag) in enumerate(group.raw):
        if place_of(group, number) % _FAILED_EVERY:
            key = digest("source", uri, size, etag)
            for clip in range(CLIPS_PER_SOURCE):
                yield index, _clip_id(key, clip), uri
                index += 1


def _selected(place: Parts, group: Group) -> list[Part]:
    rules = rules_digest(SelectConfig(), config_digest(AnalyzeConfig()))
    rows = []
    for index, clip_id, _ in _found(group):
        kept = index % _DROPPED_EVERY != 0
        decision = ("kept", "") if kept else ("black", "0.9 > 0.5 of frames")
        rows.append({"clip_id": clip_id, "kept": kept, "reason": decision[0], "detail": decision[1], "rules": rules})
    return [place.put("selections", _table(rows))]


def _kept(group: Group) -> Iterator[tuple[int, str, str]]:
    for index, clip_id, uri in _found(group):
        if index % _DROPPED_EVERY:
            yield index, clip_id, uri


def _cut(place: Parts, group: Group) -> list[Part]:
    encoding = config_digest(CutConfig())
    path = f"media/{digest('tar', group.number)}.tar"
    rows, failures = [], []
    for index, clip_id, uri in _kept(group):
        if (index + group.number) % _UNCUT_EVERY == 0:
            failures.append(_failure("cut", clip_id, uri, encoding))
            continue
        row = {"media_id": digest("media", clip_id, encoding), "clip_id": clip_id, "encoding": encoding}
        row |= {"path": path, "offset": 512 + index * 900_000, "length": 890_000, "extension": "mp4"}
        row |= {"num_frames": 96, "height": 720, "width": 1280, "fps": 24.0, "duration_s": 4.0}
        rows.append(row | {"digest": digest("member", clip_id)})
    parts = [place.put("media", _table(rows))]
    return parts + ([place.put("failures", _table(failures))] if failures else [])


def _captioned(place: Parts, group: Group) -> list[Part]:
    encoding = config_digest(CutConfig())
    rng = np.random.default_rng(group.number)
    rows, failures = [], []
    for index, clip_id, uri in _kept(group):
        if (index + group.number) % _UNCUT_EVERY == 0:
            continue
        media_id = digest("media", clip_id, encoding)
        said = (index + group.number) % _MUTE_EVERY != 0
        text = rng.bytes(_TEXT_CHARS // 2 + 1).hex()[:_TEXT_CHARS] if said else None
        row = {"clip_id": clip_id, "media_id": media_id, "outcome": "ok" if said else "empty", "text": text}
        row |= {"short": text[:_SHORT_CHARS] if text else None, "captioner": "embedded", "model": "made"}
        row |= {"revision": "1", "prompt_digest": "p" * 33, "decoding": '{"max_new_tokens": 192}'}
        rows.append(row | {"frames_shown": list(range(0, 96, 12)), "detail": "", "version": VERSION})
        if not said:
            failures.append(_failure("caption", media_id, uri, VERSION))
    parts = [place.put("captions", _table(rows))]
    return parts + ([place.put("failures", _table(failures))] if failures else [])


def _table(rows: Sequence[dict]) -> pa.Table:
    return pa.Table.from_pylist(list(rows))


def touch(folder: Path, num: int) -> list[tuple[str, int, str]]:
    """Make `num` empty files to be listed, a thousand in each folder below; return what `make` takes."""
    raw = []
    for number in range(num):
        path = folder / f"{number // 1000:04d}" / f"{number % 1000:03d}.mp4"
        if number % 1000 == 0:
            path.parent.mkdir(parents=True)
        path.touch()
        found = path.stat()
        raw.append((str(path), found.st_size, str(found.st_mtime_ns)))
    return raw
