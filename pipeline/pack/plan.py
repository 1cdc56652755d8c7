"""Plan a shard set: assign clips to buckets, and samples to shards. Pure functions.

Works on Arrow columns; samples become objects one shard at a time, when they are written.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from manifests.arrow import combine, pc
from manifests.buckets import assign, parse_bucket, rejection_reason, shard_folder
from manifests.digest import digest_parts
from manifests.records import LENGTH_COLUMNS, Bucket
from manifests.shards import IMAGES, VIDEOS, sample_keys
from manifests.sql import connect
from pipeline.config import PackConfig, config_digest

_FORMER_MEDIA = 11
"""Number of columns of media that earlier versions packed."""
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
    packed_as: str
    """Extension in the shard: a still is converted to the picture format of the set."""
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
    former_fingerprint: str
    """What earlier versions, which had another layout, called a set with the same content."""

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
        "num_windows",
        "window_index",
        "window_start_pts",
        "window_end_pts",
    ),
    "captions": ("text", "short", "medium", "captioner", "model", "revision", "prompt_digest", "version"),
}
"""Columns that a sample is made of, by table."""


def caption_digests(captions: pa.Table) -> pa.Array:
    """Return a digest of each caption's columns in `COLUMNS`, as before `medium` for those without one."""
    names = COLUMNS["captions"]
    rows = [
        [cell for name, cell in zip(names, cells, strict=True) if name != "medium" or cell is not None]
        for cells in zip(*(captions[name].to_pylist() for name in names), strict=True)
    ]
    return pa.array([digest_parts(*row) for row in rows], pa.string())


def caption_lengths(captions: pa.Table) -> pa.ChunkedArray:
    """Return the length of the dense and medium texts of each caption, in characters."""
    lengths = (pc.coalesce(pc.utf8_length(captions[name]).cast(pa.int64()), 0) for name in ("text", "medium"))
    return pc.add(*lengths)


def check_buckets(config: PackConfig) -> list[Bucket]:
    """Return the buckets. Raises ValueError for one that cannot be parsed, or encoded by the VAE."""
    buckets = [parse_bucket(name) for name in dict.fromkeys(config.buckets)]
    for bucket in buckets:
        _check_time_factor(bucket, config.time_factor)
    return buckets


def _check_time_factor(bucket: Bucket, time_factor: int) -> None:
    extra = (bucket.num_frames - 1) % max(1, time_factor)
    if not extra:
        return
    shorter = replace(bucket, num_frames=bucket.num_frames - extra)
    longer = replace(shorter, num_frames=shorter.num_frames + time_factor)
    raise ValueError(
        f"bucket {bucket.name}: a video VAE that makes one latent of {time_factor} frames takes 1 + a "
        f"multiple of {time_factor} frames; use {shorter.name} or {longer.name}, or set time_factor to that "
        "of your VAE (0 allows any number)"
    )


def plan_shards(rows: pa.Table, config: PackConfig) -> PackPlan:
    """Plan the shards of `rows`, one per captioned medium, in any order.

    Args:
        rows: the columns of sources, clips and media in `COLUMNS`, and for the caption `content`
            (`caption_digests`) and `chars` (`caption_lengths`).

    Raises ValueError for a bucket that is refused.
    """
    buckets = check_buckets(config)
    rows = rows.combine_chunks()
    shapes_N3 = _shapes(rows, config.fps)
    shape_N, names, reasons = _assign_buckets(shapes_N3, buckets, config.max_crop)
    left_out = Counter(reasons[shape] for shape in shape_N.tolist() if not names[shape])
    rows = rows.append_column("bucket", pa.array(names, pa.string()).take(pa.array(shape_N)))
    rows = rows.append_column("window_frames", pa.array(shapes_N3[:, 0]))
    rows = rows.filter(pc.not_equal(rows["bucket"], ""))
    rows = rows.append_column("folder", _folders(rows, config.fps))
    rows = rows.append_column("key", sample_keys(rows))
    rows = rows.take(pc.sort_indices(rows, [("folder", "ascending"), ("key", "ascending")])).combine_chunks()
    shards = tuple(
        PlannedShard(
            path=f"{folder}/{number:06d}.tar", bucket=rows["bucket"][first].as_py(), first=first, last=last
        )
        for folder, begin, end in _value_ranges(rows["folder"])
        for number, (first, last) in enumerate(_split(rows.slice(begin, end - begin), begin, config))
    )
    name = config_digest(config)
    return PackPlan(
        shards=shards,
        rows=rows,
        left_out=dict(sorted(left_out.items())),
        fingerprint=digest_parts(_FORMAT, name, _digest_rows(rows, COLUMNS["media"], ("folder", "key"))),
        former_fingerprint=digest_parts(
            "pack", name, _digest_rows(rows, COLUMNS["media"][:_FORMER_MEDIA], ("bucket", "clip_id"))
        ),
    )


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


def _folders(rows: pa.Table, fps: float) -> pa.ChunkedArray:
    """Return the folder of each row's shards: videos and stills apart, one folder a bucket."""
    kinds = pc.if_else(pc.equal(rows["extension"], "mp4"), VIDEOS, IMAGES)
    encoded = combine(rows["bucket"]).dictionary_encode()
    names = [shard_folder(parse_bucket(name), fps) for name in encoded.dictionary.to_pylist()]
    return pc.binary_join_element_wise(kinds, pa.array(names, pa.string()).take(encoded.indices), "/")


def _split(rows: pa.Table, begin: int, config: PackConfig) -> Iterator[tuple[int, int]]:
    """Split the rows of one folder into the ranges of its shards; its first row is row `begin` of the plan.

    Split them into `min_shards` parts of about equal size, then each into ranges of at most `shard_bytes`, or
    one larger sample.
    """
    size_N = _sizes(rows, config)
    total_N = np.concatenate([[0], np.cumsum(size_N)])
    num_parts = min(config.min_shards, len(size_N))
    first = 0
    for part in range(1, num_parts + 1):
        middle = np.searchsorted(total_N, total_N[-1] * part / num_parts)
        end = int(np.clip(middle, first + 1, len(size_N) - num_parts + part))
        while first < end:
            last = int(np.searchsorted(total_N, total_N[first] + config.shard_bytes, side="right")) - 1
            last = min(max(last, first + 1), end)
            yield begin + first, begin + last
            first = last


def _sizes(rows: pa.Table, config: PackConfig) -> np.ndarray:
    """Return the size of each sample in its tar, in bytes; an upper bound for stills that change format."""
    media_N = rows["length"].to_numpy()
    pixels_N = rows["height"].to_numpy() * rows["width"].to_numpy() * 3
    kept_N = pc.is_in(rows["extension"], value_set=pa.array(["mp4", config.image_format])).to_numpy()
    media_N = np.where(kept_N, media_N, np.maximum(media_N, pixels_N + _SAMPLE_OVERHEAD))
    return media_N + rows["chars"].to_numpy() + _SAMPLE_OVERHEAD


def footage_used(rows: pa.Table) -> dict[str, float]:
    """Return by bucket the fraction of the packed footage that one sample each covers; `all` for all buckets.

    Stills have no footage. Samples start anywhere within their medium, so that this is what one epoch sees.
    """
    bucket = combine(rows["bucket"]).dictionary_encode()
    names = bucket.dictionary.to_pylist()
    index_N = bucket.indices.to_numpy()
    frames_N = np.array([parse_bucket(name).num_frames for name in names], np.int64)[index_N]
    is_still_N = pc.equal(rows["kind"], "image").to_numpy(zero_copy_only=False)
    total_N = np.where(is_still_N, 0.0, rows["duration_s"].to_numpy())
    used_N = total_N * np.minimum(1, frames_N / rows["window_frames"].to_numpy())
    groups = {"all": total_N >= 0} | {names[n]: index_N == n for n in np.argsort(names)}
    sums = {name: (used_N[mask].sum(), total_N[mask].sum()) for name, mask in groups.items()}
    return {name: float(used / total) for name, (used, total) in sums.items() if total > 0}


def _digest_rows(rows: pa.Table, media: Sequence[str], order: tuple[str, str]) -> str:
    """Return a digest of everything that the shards' bytes depend on, except the configuration.

    Args:
        media: the columns of media to take.
        order: what the samples are sorted by; the first is part of the digest.
    """
    names = [*COLUMNS["sources"], *COLUMNS["clips"], *media, "content", order[0]]
    location = {"source_key", "path", "offset"}  # does not change the bytes
    texts = [f"coalesce({name}::VARCHAR, chr(0))" for name in names if name not in location]
    sql = f"""
        SELECT md5(string_agg(row, '' ORDER BY {order[0]}, {order[1]})) FROM
        (SELECT {order[0]}, {order[1]}, md5(concat_ws(chr(31), {", ".join(texts)})) AS row FROM rows)"""
    with connect() as connection:
        connection.register("rows", rows)
        return str(connection.sql(sql).fetchall()[0][0])


def fill_shard(shard: PlannedShard, plan: PackPlan, captions: pa.Table, config: PackConfig) -> Shard:
    """Make the samples of a shard.

    Args:
        captions: the columns of captions in `COLUMNS`, a row for each row of the plan.
    """
    rows = plan.rows.slice(shard.first, shard.num_samples).to_pylist()
    texts = captions.slice(shard.first, shard.num_samples).to_pylist()
    bucket = parse_bucket(shard.bucket)
    samples = tuple(make_sample(row | text, bucket, config) for row, text in zip(rows, texts, strict=True))
    return Shard(path=shard.path, bucket=shard.bucket, samples=samples)


def make_sample(row: Mapping[str, Any], bucket: Bucket, config: PackConfig) -> Sample:
    """Make the sample of one row of the plan, joined with its caption.

    The records of all samples have the same keys with values of the same types: readers take the schema of a
    set from its first samples.
    """
    unit_s = row["time_base_num"] / row["time_base_den"]
    whole = row["window_start_pts"] is None
    start, end = (row[name if whole else f"window_{name}"] for name in ("start_pts", "end_pts"))
    record: dict[str, Any] = {
        "key": row["key"],
        "clip_id": row["clip_id"],
        "media_id": row["media_id"],
        "source": {
            "uri": row["uri"],
            "digest": row["source_digest"],
            "start_s": start * unit_s,
            "end_s": end * unit_s,
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
        },
    }
    names = ("key", "clip_id", "media_id", "window_frames", "path", "offset", "length", "extension")
    return Sample(
        **{name: row[name] for name in names},
        text=row[LENGTH_COLUMNS[row["text_length"]]],
        source=row["source_digest"],
        packed_as="mp4" if row["extension"] == "mp4" else config.image_format,
        record=record,
    )
