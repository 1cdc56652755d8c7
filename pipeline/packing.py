"""Decide what goes where: which bucket a clip is for, and which shard of that bucket. Pure functions."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from manifests.buckets import assign, folder, frames_at, parse, why_not
from manifests.records import Bucket, digest
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
class Plan:
    """All shards of one packed set."""

    shards: tuple[Shard, ...]
    left_out: Mapping[str, int]
    """Captioned clips that fit no bucket, by reason."""
    fingerprint: str
    """Equal only if every byte of the shards is."""

    @property
    def num_samples(self) -> int:
        return sum(len(shard.samples) for shard in self.shards)


def plan(rows: Sequence[Mapping[str, Any]], config: PackConfig) -> Plan:
    """Plan the shards of `rows`: media joined with their clip and their caption, one row each, in any order.

    Raises ValueError for a bucket that cannot be read.
    """
    buckets = [parse(name) for name in config.buckets]
    by_bucket: dict[Bucket, list[Sample]] = {}
    left_out = Counter[str]()
    for row in sorted(rows, key=lambda row: row["clip_id"]):
        shape = {
            "num_frames": 1 if row["kind"] == "image" else frames_at(row["duration_s"], config.fps),
            "height": row["height"],
            "width": row["width"],
        }
        bucket = assign(**shape, buckets=buckets, max_crop=config.max_crop)
        if bucket is None:
            left_out[why_not(**shape, buckets=buckets, max_crop=config.max_crop)] += 1
            continue
        by_bucket.setdefault(bucket, []).append(sample(row, bucket, config.fps))
    shards = tuple(
        Shard(path=f"{folder(bucket, config.fps)}/{number:06d}.tar", bucket=bucket.name, samples=tuple(run))
        for bucket in sorted(by_bucket, key=lambda bucket: bucket.name)
        for number, run in enumerate(_split(by_bucket[bucket], config.shard_bytes))
    )
    content = [(s.clip_id, s.media_id, s.short, s.record) for shard in shards for s in shard.samples]
    fingerprint = digest("pack", config_digest(config), content)
    return Plan(shards=shards, left_out=dict(sorted(left_out.items())), fingerprint=fingerprint)


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


def _split(samples: Sequence[Sample], most_bytes: int) -> Iterator[list[Sample]]:
    """Cut samples into shards of at most `most_bytes`, or one sample that is larger."""
    run: list[Sample] = []
    total = 0
    for each in samples:
        size = each.length + len(each.record["caption"]["dense"]) + _MEMBER_BYTES
        if run and total + size > most_bytes:
            yield run
            run, total = [], 0
        run.append(each)
        total += size
    if run:
        yield run
