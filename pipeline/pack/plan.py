"""Plan a shard set: assign clips to buckets, and samples to shards. Pure functions.

Works on Arrow columns; samples become objects one shard at a time, when they are written.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from manifests.arrow import pc
from manifests.buckets import assign, frames_at, parse_bucket, rejection_reason, shard_folder
from manifests.digest import digest_parts
from manifests.records import LENGTH_COLUMNS, Bucket
from manifests.sql import connect
from pipeline.config import PackConfig, config_digest

_FORMAT = "pack 2"
"""Increment when the same content is packed into other bytes, so that older sets are packed again."""
_SAMPLE_OVERHEAD = 2048
"""Bytes of a sample besides media and caption: three tar headers, padding and JSON."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """One captioned clip, ready to be packed. Plain fields, so that it travels as JSON."""

    key: str
    clip_id: str
    media_id: str
    source: str
    """Digest of the source file's bytes."""
    window_frames: int
    """Frames of the medium at the set's frame rate."""
    path: str
    """Tar of the dataset that holds the media; `offset` and `length` locate it there."""
    offset: int
    length: int
    extension: str
    text: str
    """The chosen text of its caption."""
    record: Mapping[str, Any]
    """Content of the sample's JSON member."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Shard:
    """One tar to write."""

    path: str
    """Relative to the folder of the shard set."""
    bucket: str
    samples: tuple[Sample, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannedShard:
    """A shard before its samples are made: rows `first` to `last` (exclusive) of the plan."""

    path: str
    bucket: str
    first: int
    last: int

    @property
    def num_samples(self) -> int:
        """Number of samples."""
        return self.last - self.first


@dataclass(frozen=True, kw_only=True, slots=True)
class PackPlan:
    """All shards of one shard set."""

    shards: tuple[PlannedShard, ...]
    rows: pa.Table
    """The clips that fit a bucket, in shard order."""
    left_out: Mapping[str, int]
    """Number of captioned clips that fit no bucket, by reason."""
    fingerprint: str
    """Digest of everything that the bytes of the shards depend on."""

    @property
    def num_samples(self) -> int:
        """Number of samples."""
        return self.rows.num_rows


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
    ),
    "captions": ("text", "short", "medium", "captioner", "model", "revision", "prompt_digest", "version"),
}
"""Columns that a sample is made of, by table."""


def caption_digests(captions: pa.Table) -> pa.Array:
    """Return a digest of each caption's columns in `COLUMNS`."""
    rows = zip(*(captions[name].to_pylist() for name in COLUMNS["captions"]), strict=True)
    return pa.array([digest_parts(*row) for row in rows], pa.string())


def caption_lengths(captions: pa.Table) -> pa.ChunkedArray:
    """Return the length of the dense and medium texts of each caption, in characters."""
    lengths = (pc.coalesce(pc.utf8_length(captions[name]).cast(pa.int64()), 0) for name in ("text", "medium"))
    return pc.add(*lengths)


def plan_shards(rows: pa.Table, config: PackConfig) -> PackPlan:
    """Plan the shards of `rows`, one per captioned clip, in any order.

    Args:
        rows: the columns of sources, clips and media in `COLUMNS`, and for the caption `content`
            (`caption_digests`) and `chars` (`caption_lengths`).

    Raises ValueError for a bucket name that cannot be parsed.
    """
    buckets = [parse_bucket(name) for name in config.buckets]
    rows = rows.combine_chunks()
    shape_N, names, reasons = _assign_buckets(_shapes(rows, config.fps), buckets, config.max_crop)
    left_out = Counter(reasons[shape] for shape in shape_N.tolist() if not names[shape])
    rows = rows.append_column("bucket", pa.array(names, pa.string()).take(pa.array(shape_N)))
    rows = rows.filter(pc.not_equal(rows["bucket"], ""))
    rows = rows.take(
        pc.sort_indices(rows, [("bucket", "ascending"), ("clip_id", "ascending")])
    ).combine_chunks()
    shards = tuple(
        PlannedShard(
            path=f"{shard_folder(parse_bucket(name), config.fps)}/{number:06d}.tar",
            bucket=name,
            first=first,
            last=last,
        )
        for name, begin, end in _value_ranges(rows["bucket"])
        for number, (first, last) in enumerate(_split(rows, begin, end, config.shard_bytes))
    )
    fingerprint = digest_parts(_FORMAT, config_digest(config), _fingerprint(rows))
    left_out = dict(sorted(left_out.items()))
    return PackPlan(shards=shards, rows=rows, left_out=left_out, fingerprint=fingerprint)


def _shapes(rows: pa.Table, fps: float) -> np.ndarray:
    """Return number of frames at `fps`, height and width of each clip, N x 3."""
    frames_N = np.maximum(1, np.ceil(rows["duration_s"].to_numpy() * fps - 1e-6)).astype(np.int64)
    frames_N[pc.equal(rows["kind"], "image").to_numpy(zero_copy_only=False)] = 1
    return np.stack([frames_N, rows["height"].to_numpy(), rows["width"].to_numpy()], axis=1)


def _assign_buckets(
    shape_N3: np.ndarray, buckets: Sequence[Bucket], max_crop: float
) -> tuple[np.ndarray, list[str], list[str]]:
    """Return the index of each clip's shape, and per shape its bucket (or "") and why it has none (or "")."""
    distinct, shape_N = np.unique(shape_N3, axis=0, return_inverse=True)
    names, reasons = [], []
    for num_frames, height, width in distinct.tolist():
        shape = {"num_frames": num_frames, "height": height, "width": width}
        bucket = assign(**shape, buckets=buckets, max_crop=max_crop)
        names.append(bucket.name if bucket else "")
        reasons.append("" if bucket else rejection_reason(**shape, buckets=buckets, max_crop=max_crop))
    return shape_N.reshape(-1), names, reasons


def _value_ranges(column: pa.ChunkedArray) -> Iterator[tuple[str, int, int]]:
    """Yield each value of a sorted column with its range of rows."""
    first = 0
    for row in sorted(pc.value_counts(column).to_pylist(), key=lambda row: row["values"]):
        yield row["values"], first, first + row["counts"]
        first += row["counts"]


def _split(rows: pa.Table, begin: int, end: int, max_bytes: int) -> Iterator[tuple[int, int]]:
    """Split rows `begin` to `end` into ranges of at most `max_bytes`, or one larger sample."""
    bucket_rows = rows.slice(begin, end - begin)
    size_N = bucket_rows["length"].to_numpy() + bucket_rows["chars"].to_numpy() + _SAMPLE_OVERHEAD
    total_N = np.concatenate([[0], np.cumsum(size_N)])
    first = 0
    while first < len(size_N):
        last = int(np.searchsorted(total_N, total_N[first] + max_bytes, side="right")) - 1
        last = max(last, first + 1)
        yield begin + first, begin + last
        first = last


def _fingerprint(rows: pa.Table) -> str:
    """Return a digest of everything that the shards' bytes depend on, except the configuration."""
    names = [*COLUMNS["sources"], *COLUMNS["clips"], *COLUMNS["media"], "content", "bucket"]
    location = {"source_key", "path", "offset"}  # does not change the bytes
    texts = [f"coalesce({name}::VARCHAR, chr(0))" for name in names if name not in location]
    sql = f"""
        SELECT md5(string_agg(row, '' ORDER BY bucket, clip_id)) FROM
        (SELECT bucket, clip_id, md5(concat_ws(chr(31), {", ".join(texts)})) AS row FROM rows)"""
    with connect() as connection:
        connection.register("rows", rows)
        return str(connection.sql(sql).fetchall()[0][0])


def fill_shard(shard: PlannedShard, plan: PackPlan, captions: pa.Table, fps: float) -> Shard:
    """Make the samples of a shard.

    Args:
        captions: the columns of captions in `COLUMNS`, a row for each row of the plan.
    """
    rows = plan.rows.slice(shard.first, shard.num_samples).to_pylist()
    texts = captions.slice(shard.first, shard.num_samples).to_pylist()
    bucket = parse_bucket(shard.bucket)
    samples = tuple(make_sample(row | text, bucket, fps) for row, text in zip(rows, texts, strict=True))
    return Shard(path=shard.path, bucket=shard.bucket, samples=samples)


def make_sample(row: Mapping[str, Any], bucket: Bucket, fps: float) -> Sample:
    """Make the sample of one row of the plan, joined with its caption."""
    unit_s = row["time_base_num"] / row["time_base_den"]
    record: dict[str, Any] = {
        "clip_id": row["clip_id"],
        "media_id": row["media_id"],
        "source": {
            "uri": row["uri"],
            "digest": row["source_digest"],
            "start_s": row["start_pts"] * unit_s,
            "end_s": row["end_pts"] * unit_s,
        },
        "num_frames": row["num_frames"],
        "height": row["height"],
        "width": row["width"],
        "fps": row["fps"],
        "duration_s": row["duration_s"],
        "bucket": {"name": bucket.name, "fps": fps},
        "caption": {
            "length": row["text_length"],
            "fixed_length": row["fixed_length"],
            **{length: row[column] for length, column in LENGTH_COLUMNS.items()},
            "captioner": row["captioner"],
            "model": row["model"],
            "revision": row["revision"],
            "prompt_digest": row["prompt_digest"],
            "version": row["version"],
        },
    }
    if carried := json.loads(row.get("carried") or "{}"):
        record["source"]["carried"] = carried
    fields = ("clip_id", "media_id", "path", "offset", "length", "extension")
    return Sample(
        **{name: row[name] for name in fields},
        text=row[LENGTH_COLUMNS[row["text_length"]]],
        key=row["clip_id"],
        source=row["source_digest"],
        window_frames=1 if row["kind"] == "image" else frames_at(row["duration_s"], fps),
        record=record,
    )
