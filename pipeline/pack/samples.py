"""Samples of a shard set: the columns that they are made of, and the content of their tars. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import pyarrow as pa

from manifests.arrow import digest_texts, pc
from manifests.buckets import parse_bucket
from manifests.digest import UNIT_SEPARATOR
from manifests.records import LENGTH_COLUMNS, LENGTHS, Bucket
from pipeline.config import PackConfig
from pipeline.pack.reviews import EDITED, TRIM

TarKind = Literal["joined", "media", "captions"]
"""What a tar holds of each sample: all, the media alone, or its text and record."""

COLUMNS = {
    "sources": ("carried",),
    "clips": (
        "source_key",
        "kind",
        "uri",
        "source_digest",
        "start_pts",
        "end_pts",
        "time_base_num",
        "time_base_den",
    ),
    "media": (
        "clip_id",
        "media_id",
        "path",
        "offset",
        "length",
        "extension",
        "num_frames",
        "height",
        "width",
        "fps",
        "duration_s",
        "encoding",
        "digest",
        "num_windows",
        "window_index",
        "window_start_pts",
        "window_end_pts",
    ),
    "captions": (
        "text",
        "short",
        "medium",
        "captioner",
        "model",
        "revision",
        "prompt_digest",
        "version",
        "parts",
    ),
}
"""Columns that a sample is made of, by table. Digests of samples depend on their order: it never changes."""

_ADDED = ("medium", "parts")
"""Columns of captions that came later; captions without them keep their digest."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """What one tar holds of a captioned clip. Plain fields, so that it travels as JSON."""

    key: str
    clip_id: str
    path: str
    """Tar of the dataset that holds the media; `offset` and `length` locate it there."""
    offset: int
    length: int
    extension: str
    packed_as: str
    """Extension in the shard: a still is converted to the picture format of the set."""
    trim_s: tuple[float, float] | None = None
    """Span of the media to pack, in seconds; None for all of it."""
    text: str = ""
    """The chosen text of its caption."""
    record: Mapping[str, Any] = field(default_factory=dict)
    """Content of the sample's JSON member."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tar:
    """One tar to write."""

    path: str
    """Relative to the folder of the shard set."""
    kind: TarKind
    samples: tuple[Sample, ...]


def caption_digests(captions: pa.Table) -> pa.Array:
    """Return a digest of each caption's columns in `COLUMNS`, without those of `_ADDED` that are null."""
    cells = (
        captions[name] if name in _ADDED else pc.fill_null(captions[name], "None")
        for name in COLUMNS["captions"]
    )
    return digest_texts(pc.binary_join_element_wise(*cells, UNIT_SEPARATOR, null_handling="skip"))


def caption_lengths(captions: pa.Table) -> pa.ChunkedArray:
    """Return the length of the dense and medium texts of each caption, in characters."""
    lengths = (pc.coalesce(pc.utf8_length(captions[name]).cast(pa.int64()), 0) for name in ("text", "medium"))
    return pc.add(*lengths)


def fill_tar(path: str, kind: TarKind, rows: pa.Table, captions: pa.Table | None, config: PackConfig) -> Tar:
    """Make the samples of a tar.

    Args:
        rows: its rows of the plan.
        captions: the columns of captions in `COLUMNS` for each of them; a tar of media needs none.
    """
    if captions is None:
        return Tar(path=path, kind=kind, samples=tuple(_media(row, config) for row in rows.to_pylist()))
    return Tar(path=path, kind=kind, samples=tuple(make_samples(rows, captions, config)))


def make_samples(rows: pa.Table, captions: pa.Table, config: PackConfig) -> list[Sample]:
    """Make the samples of rows of the plan, with the columns of captions in `COLUMNS` for each."""
    joined = zip(rows.to_pylist(), captions.to_pylist(), strict=True)
    return [make_sample(row | text, parse_bucket(row["bucket"]), config) for row, text in joined]


def _media(row: Mapping[str, Any], config: PackConfig, **more: Any) -> Sample:
    names = ("key", "clip_id", "path", "offset", "length", "extension")
    about = {name: row[name] for name in names}
    about["packed_as"] = "mp4" if row["extension"] == "mp4" else config.image_format
    return Sample(**about, trim_s=_trim_of(row), **more)


def _trim_of(row: Mapping[str, Any]) -> tuple[float, float] | None:
    start_s, end_s = (row[name] for name in TRIM)
    return None if start_s is None else (start_s, end_s)


def make_sample(row: Mapping[str, Any], bucket: Bucket, config: PackConfig) -> Sample:
    """Make the sample of one row of the plan, joined with its caption.

    The records of all samples have the same keys with values of the same types: readers take the schema of a
    set from its first samples.
    """
    unit_s = row["time_base_num"] / row["time_base_den"]
    whole = row["window_start_pts"] is None
    start, end = (row[name if whole else f"window_{name}"] for name in ("start_pts", "end_pts"))
    start_s, end_s, trim_s = start * unit_s, end * unit_s, _trim_of(row)
    if trim_s:
        start_s, end_s = start_s + trim_s[0], start_s + trim_s[1]
    record: dict[str, Any] = {
        "key": row["key"],
        "clip_id": row["clip_id"],
        "media_id": row["media_id"],
        "source": {
            "uri": row["uri"],
            "digest": row["source_digest"],
            "start_s": start_s,
            "end_s": end_s,
            "carried": row.get("carried") or "{}",
        },
        "num_frames": row["num_frames"],
        "height": row["height"],
        "width": row["width"],
        "fps": float(row["fps"]),
        "duration_s": float(row["duration_s"]),
        "window_frames": row["window_frames"],
        "bucket": {"name": bucket.name, "fps": float(config.fps)},
        "caption": {
            "length": row["text_length"],
            "fixed_length": row["fixed_length"],
            **{length: row[column] or "" for length, column in LENGTH_COLUMNS.items()},
            "captioner": row["captioner"],
            "model": row["model"],
            "revision": row["revision"],
            "prompt_digest": row["prompt_digest"],
            "version": row["version"],
            "parts": row["parts"] or "{}",
        },
        "review": {
            "verdict": row["review_verdict"],
            "ids": row["review_ids"],
            "edited": " ".join(length for length in LENGTHS if row[EDITED[length]] is not None),
            "span": " ".join(map(str, trim_s or ())),
        },
    }
    return _media(row, config, text=row[LENGTH_COLUMNS[row["text_length"]]], record=record)
