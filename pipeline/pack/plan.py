"""Plan a shard set: assign clips to buckets, and samples to shards. Pure functions.

Works on Arrow columns; samples become objects one shard at a time, when they are written.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from manifests.arrow import combine, pc
from manifests.buckets import assign, frames_of, parse_bucket, rejection_reason, shard_folder
from manifests.digest import digest_parts
from manifests.records import Bucket
from manifests.shards import CAPTION_TARS, IMAGES, MEDIA_TARS, SPLIT, TARS, VIDEOS, sample_keys
from manifests.sql import connect
from pipeline.config import PackConfig, config_digest
from pipeline.pack.samples import COLUMNS
from pipeline.pack.tars import PlannedShard, sample_digests, tar_digests

_FORMER_MEDIA = 11
"""Number of columns of media that the first version packed."""
_SAMPLE_OVERHEAD = 2048
"""Bytes of a sample besides media and caption: three tar headers, padding and JSON."""


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
    config: str
    """Digest of the configuration."""

    @property
    def num_samples(self) -> int:
        """Number of samples."""
        return self.rows.num_rows

    def former_fingerprints(self) -> set[str]:
        """Return what earlier versions, which packed other records, called a set of the same content."""
        first = _digest_rows(self.rows, COLUMNS["media"][:_FORMER_MEDIA], ("bucket", "clip_id"), "bucket")
        second = _digest_rows(self.rows, COLUMNS["media"], ("folder", "key"), f"'{TARS}/' || folder")
        return {digest_parts("pack", self.config, first), digest_parts("pack 2", self.config, second)}


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
            (`caption_digests`), `chars` (`caption_lengths`) and `excluded`, why it is left out, or empty.
            In the split layout these count where tars are divided, so that tars without one stay the same.

    Raises ValueError for a bucket that is refused.
    """
    buckets = check_buckets(config)
    if config.layout != SPLIT:
        rows = rows.filter(pc.equal(rows["excluded"], ""))
    rows = rows.combine_chunks()
    shapes_N3 = _shapes(rows, config.fps)
    shape_N, names, reasons = _assign_buckets(shapes_N3, buckets, config.max_crop)
    packed_N = pc.equal(rows["excluded"], "").to_numpy()
    left_out = Counter(reasons[shape] for shape in shape_N[packed_N].tolist() if not names[shape])
    rows = rows.append_column("bucket", pa.array(names, pa.string()).take(pa.array(shape_N)))
    rows = rows.append_column("window_frames", pa.array(shapes_N3[:, 0]))
    rows = rows.filter(pc.not_equal(rows["bucket"], ""))
    rows = rows.append_column("folder", _folders(rows, config.fps))
    rows = rows.append_column("key", sample_keys(rows))
    rows = rows.take(pc.sort_indices(rows, [("folder", "ascending"), ("key", "ascending")])).combine_chunks()
    spans = _spans(rows, config)
    kept_N = pc.equal(rows["excluded"], "").to_numpy()
    rows = rows.filter(pa.array(kept_N)).combine_chunks()
    for name, digests in zip(("media_digest", "sample_digest"), sample_digests(rows, config), strict=True):
        rows = rows.append_column(name, digests)
    shards = _shards(rows, _without(spans, kept_N), config)
    name = config_digest(config)
    tars = (part for shard in shards for part in (shard.path, shard.digest, shard.sidecar_digest))
    return PackPlan(
        shards=shards,
        rows=rows,
        left_out=dict(sorted(left_out.items())),
        fingerprint=digest_parts("pack", name, *tars),
        config=name,
    )


def _spans(rows: pa.Table, config: PackConfig) -> list[tuple[str, int, int]]:
    """Return path, first and last row (exclusive) of each shard of sorted rows."""
    return [
        (f"{folder}/{number:06d}.tar", first, last)
        for folder, begin, end in _value_ranges(rows["folder"])
        for number, (first, last) in enumerate(_split(rows.slice(begin, end - begin), begin, config))
    ]


def _without(spans: Sequence[tuple[str, int, int]], kept_N: np.ndarray) -> list[tuple[str, int, int]]:
    """Return the spans among the kept rows; those that have none are gone."""
    before_N = np.concatenate([[0], np.cumsum(kept_N)])
    moved = ((path, int(before_N[first]), int(before_N[last])) for path, first, last in spans)
    return [span for span in moved if span[1] < span[2]]


def _shards(
    rows: pa.Table, spans: Sequence[tuple[str, int, int]], config: PackConfig
) -> tuple[PlannedShard, ...]:
    """Return the shards of sorted rows, which have `media_digest` and `sample_digest`."""
    ranges = [(first, last) for _, first, last in spans]
    media, whole = (tar_digests(combine(rows[name]), ranges) for name in ("media_digest", "sample_digest"))
    is_split = config.layout == SPLIT
    return tuple(
        PlannedShard(
            path=f"{MEDIA_TARS if is_split else TARS}/{path}",
            sidecar=f"{CAPTION_TARS}/{path}" if is_split else "",
            bucket=rows["bucket"][first].as_py(),
            first=first,
            last=last,
            digest=media[number] if is_split else whole[number],
            sidecar_digest=whole[number] if is_split else "",
        )
        for number, (path, first, last) in enumerate(spans)
    )


def _shapes(rows: pa.Table, fps: float) -> np.ndarray:
    """Return number of frames at `fps`, height and width of each clip, N x 3."""
    frames_N = frames_of(rows["duration_s"].to_numpy(), fps)
    frames_N[pc.equal(rows["kind"], "image").to_numpy(zero_copy_only=False)] = 1
    return np.stack([frames_N, rows["height"].to_numpy(), rows["width"].to_numpy()], axis=1)


def _assign_buckets(
    shape_N3: np.ndarray, buckets: Sequence[Bucket], max_crop: float
) -> tuple[np.ndarray, list[str], list[str]]:
    """Return the index of each clip's shape, and per shape its bucket (or "") and why it has none (or "")."""
    code_N = np.ravel_multi_index(tuple(shape_N3.T), 1 + shape_N3.max(axis=0, initial=0))
    _, first_S, shape_N = np.unique(code_N, return_index=True, return_inverse=True)
    names, reasons = [], []
    for num_frames, height, width in shape_N3[first_S].tolist():
        shape = {"num_frames": num_frames, "height": height, "width": width}
        bucket = assign(**shape, buckets=buckets, max_crop=max_crop)
        names.append(bucket.name if bucket else "")
        reasons.append("" if bucket else rejection_reason(**shape, buckets=buckets, max_crop=max_crop))
    return shape_N, names, reasons


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
    texts_N = 0 if config.layout == SPLIT else rows["chars"].to_numpy()
    return media_N + texts_N + _SAMPLE_OVERHEAD


def trimmed_to_one_frame(rows: pa.Table) -> list[str]:
    """Return the media ids of videos that are packed as one frame since a reviewer mended their span."""
    encoded = combine(rows["bucket"]).dictionary_encode()
    single = [name for name in encoded.dictionary.to_pylist() if parse_bucket(name).num_frames == 1]
    is_single = pc.is_in(rows["bucket"], value_set=pa.array(single, pa.string()))
    return rows.filter(pc.and_(is_single, pc.is_valid(rows["trim_start_s"])))["media_id"].to_pylist()


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


def _digest_rows(rows: pa.Table, media: Sequence[str], order: tuple[str, str], group: str) -> str:
    """Return the digest that earlier versions gave to rows.

    Args:
        media: the columns of media to take.
        order: what the samples are sorted by.
        group: SQL of the first of these, as it was then; it is part of the digest.
    """
    names = [*COLUMNS["sources"], *COLUMNS["clips"], *media, "content"]
    location = {"source_key", "path", "offset"}
    texts = [f"coalesce({name}::VARCHAR, chr(0))" for name in names if name not in location]
    sql = f"""
        SELECT md5(string_agg(row, '' ORDER BY {order[0]}, {order[1]})) FROM
        (SELECT {order[0]}, {order[1]}, md5(concat_ws(chr(31), {", ".join([*texts, group])})) AS row
         FROM rows)"""
    with connect() as connection:
        connection.register("rows", rows)
        return str(connection.sql(sql).fetchall()[0][0])
