"""Decide what goes where: which bucket a clip is for, and which shard of that bucket. Pure functions.

All is decided by column; samples become objects a shard at a time, when they are written.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from manifests.arrow import pc
from manifests.buckets import assign, parse_bucket, rejection_reason, shard_folder
from manifests.records import Bucket, digest
from manifests.sql import connect
from pipeline.config import PackConfig, config_digest

_MEMBER_BYTES = 2048
"""What the members of a sample take beside its media: three headers, padding and the text."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """One captioned clip, ready to be packed; plain fields alone, so that it can travel as JSON."""

    clip_id: str
    media_id: str
    path: str
    """The tar of the dataset that holds the media, and where in it."""
    offset: int
    length: int
    extension: str
    short: str
    record: Mapping[str, Any]
    """What the sample's JSON member says."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Shard:
    """One tar to be written."""

    path: str
    """Relative to the shard set."""
    bucket: str
    samples: tuple[Sample, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Planned:
    """A shard whose samples are rows of a plan still: `first` to before `last`."""

    path: str
    bucket: str
    first: int
    last: int

    @property
    def num_samples(self) -> int:
        return self.last - self.first


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """All shards of one packed set."""

    shards: tuple[Planned, ...]
    rows: pa.Table
    """What was given, as far as it fits a bucket, in the order of the shards."""
    left_out: Mapping[str, int]
    """Captioned clips that fit no bucket, by reason."""
    fingerprint: str
    """Equal only if every byte of the shards is."""

    @property
    def num_samples(self) -> int:
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
    ),
    "captions": ("text", "short", "captioner", "model", "revision", "prompt_digest", "version"),
}
"""By table, what a sample is made of."""


def content_of(captions: pa.Table) -> pa.Array:
    """Return for each caption a digest of all that a sample takes from it."""
    rows = zip(*(captions[name].to_pylist() for name in COLUMNS["captions"]), strict=True)
    return pa.array([digest(*row) for row in rows], pa.string())


def length_of(captions: pa.Table) -> pa.ChunkedArray:
    """Return the number of characters of each dense caption."""
    return pc.utf8_length(captions["text"]).cast(pa.int64())


def plan(rows: pa.Table, config: PackConfig) -> Plan:
    """Plan the shards of `rows`, one a captioned clip, in any order.

    Args:
        rows: the columns of sources, clips and media in `COLUMNS`, and `content` and `chars` of the caption
            (`content_of`, `length_of`).

    Raises ValueError for a bucket that cannot be read.
    """
    buckets = [parse_bucket(name) for name in config.buckets]
    rows = rows.combine_chunks()
    duration_N = rows["duration_s"].to_numpy()
    frames_N = np.maximum(1, np.ceil(duration_N * config.fps - 1e-6)).astype(np.int64)  # `frames_at`
    frames_N[pc.equal(rows["kind"], "image").to_numpy(zero_copy_only=False)] = 1
    shapes = pa.table({"num_frames": frames_N, "height": rows["height"], "width": rows["width"]})
    shape_N, names, reasons = _assigned(shapes, buckets, config.max_crop)
    counts = Counter(reasons[shape] for shape in shape_N.tolist() if not names[shape])
    rows = rows.append_column("bucket", pa.array(names, pa.string()).take(pa.array(shape_N)))
    rows = rows.filter(pc.not_equal(rows["bucket"], ""))
    rows = rows.take(
        pc.sort_indices(rows, [("bucket", "ascending"), ("clip_id", "ascending")])
    ).combine_chunks()
    shards = tuple(
        Planned(
            path=f"{shard_folder(parse_bucket(name), config.fps)}/{number:06d}.tar",
            bucket=name,
            first=first,
            last=last,
        )
        for name, begin, end in _runs(rows["bucket"])
        for number, (first, last) in enumerate(_split(rows, begin, end, config.shard_bytes))
    )
    fingerprint = digest("pack", config_digest(config), _fingerprint(rows))
    return Plan(shards=shards, rows=rows, left_out=dict(sorted(counts.items())), fingerprint=fingerprint)


def _assigned(
    shapes: pa.Table, buckets: Sequence[Bucket], max_crop: float
) -> tuple[np.ndarray, list[str], list[str]]:
    """Return the number of each row's shape; by shape, its bucket (or nothing) and why there is none."""
    columns = [shapes[name].to_numpy() for name in ("num_frames", "height", "width")]
    distinct, shape_N = np.unique(np.stack(columns, axis=1), axis=0, return_inverse=True)
    names, reasons = [], []
    for num_frames, height, width in distinct.tolist():
        shape = {"num_frames": num_frames, "height": height, "width": width}
        bucket = assign(**shape, buckets=buckets, max_crop=max_crop)
        names.append(bucket.name if bucket else "")
        reasons.append("" if bucket else rejection_reason(**shape, buckets=buckets, max_crop=max_crop))
    return shape_N.reshape(-1), names, reasons


def _runs(column: pa.ChunkedArray) -> Iterator[tuple[str, int, int]]:
    """Yield each value of a sorted column, and where its rows begin and end."""
    first = 0
    for row in sorted(pc.value_counts(column).to_pylist(), key=lambda row: row["values"]):
        yield row["values"], first, first + row["counts"]
        first += row["counts"]


def _split(rows: pa.Table, begin: int, end: int, most_bytes: int) -> Iterator[tuple[int, int]]:
    """Cut rows `begin` to `end` into shards of at most `most_bytes`, or one sample that is larger."""
    some = rows.slice(begin, end - begin)
    size_N = some["length"].to_numpy() + some["chars"].to_numpy() + _MEMBER_BYTES
    total_N = np.concatenate([[0], np.cumsum(size_N)])
    first = 0
    while first < len(size_N):
        last = int(np.searchsorted(total_N, total_N[first] + most_bytes, side="right")) - 1
        last = max(last, first + 1)
        yield begin + first, begin + last
        first = last


def _fingerprint(rows: pa.Table) -> str:
    """Return a digest of all that the shards' bytes depend on, besides the configuration."""
    names = [*COLUMNS["sources"], *COLUMNS["clips"], *COLUMNS["media"], "content", "bucket"]
    where = {"source_key", "path", "offset"}  # the same bytes may lie elsewhere
    texts = [f"coalesce({name}::VARCHAR, chr(0))" for name in names if name not in where]
    sql = f"""
        SELECT md5(string_agg(row, '' ORDER BY bucket, clip_id)) FROM
        (SELECT bucket, clip_id, md5(concat_ws(chr(31), {", ".join(texts)})) AS row FROM rows)"""
    with connect() as connection:
        connection.register("rows", rows)
        return str(connection.sql(sql).fetchall()[0][0])


def fill(shard: Planned, planned: Plan, captions: pa.Table, fps: float) -> Shard:
    """Return `shard` with its samples; `captions` has a row of `COLUMNS` for each row of the plan."""
    num = shard.num_samples
    both = zip(
        planned.rows.slice(shard.first, num).to_pylist(),
        captions.slice(shard.first, num).to_pylist(),
        strict=True,
    )
    bucket = parse_bucket(shard.bucket)
    samples = tuple(sample(row | caption, bucket, fps) for row, caption in both)
    return Shard(path=shard.path, bucket=shard.bucket, samples=samples)


def sample(row: Mapping[str, Any], bucket: Bucket, fps: float) -> Sample:
    """Return the sample of one row."""
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
            "short": row["short"],
            "dense": row["text"],
            "captioner": row["captioner"],
            "model": row["model"],
            "revision": row["revision"],
            "prompt_digest": row["prompt_digest"],
            "version": row["version"],
        },
    }
    if carried := json.loads(row.get("carried") or "{}"):
        record["source"]["carried"] = carried
    fields = ("clip_id", "media_id", "path", "offset", "length", "extension", "short")
    return Sample(**{name: row[name] for name in fields}, record=record)
