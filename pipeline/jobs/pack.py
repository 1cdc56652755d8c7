"""Captioned clips to WebDataset shards, one folder a bucket, with an index beside them."""

import json
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import ray.data

from manifests.buckets import parse
from manifests.records import SampleRef
from manifests.redact import redact
from manifests.shards import FILE_NAME, write_index
from manifests.store import Dataset
from manifests.views import Current
from pipeline.config import PackConfig, PoolConfig, RayConfig
from pipeline.jobs.progress import Progress, silent
from pipeline.jobs.session import RaySession
from pipeline.packing import Plan, plan
from pipeline.sources import NothingToDo
from pipeline.stages.pack import add_pack
from pipeline.units import chunks, to_row

ABOUT = "pack.json"
"""Says that a folder is a shard set, and of what."""
_OURS = {ABOUT, FILE_NAME, "encoded"}
"""What may lie beside the buckets' folders (`encoded` holds what `kinora encode` made of them)."""


_TASK_SAMPLES = 4096
"""A task writes shards of about so many samples, or one larger shard."""


class OutputRefused(ValueError):
    """The output folder holds something that is not a shard set."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PackReport:
    """What one run did."""

    samples: int
    shards: int
    nothing_left: bool
    """The folder held exactly this already."""
    buckets: Mapping[str, int]
    """Samples by bucket."""
    left_out: Mapping[str, int]
    """Captioned clips that fit no bucket, by reason."""
    without_caption: int
    """Clips that were cut but have no good caption."""
    bytes: int = 0
    seconds: Mapping[str, float] = field(default_factory=dict)


def pack(
    dataset_uri: str,
    out_uri: str,
    config: PackConfig,
    ray_config: RayConfig,
    *,
    progress: Progress = silent,
) -> PackReport:
    """Pack every clip with a good caption. The same dataset gives the same bytes, whatever the machine.

    A shard set that is there already is replaced as a whole, when the new one is complete; one that holds
    exactly this is left alone. Raises OutputRefused for a folder of anything else, and NothingToDo when no
    clip has a caption or none fits a bucket.
    """
    begin = time.monotonic()
    if out_uri.startswith("s3://"):
        raise OutputRefused(
            f"{redact(out_uri)}: shards are packed into a folder; pack there, then copy it up"
        )
    out = Path(out_uri.removeprefix("file://"))
    before = _look(out)
    dataset = Dataset.open(dataset_uri)
    rows, num_media = _rows(dataset)
    planned = plan(rows, config)
    if not planned.shards:
        raise NothingToDo(_why_nothing(dataset, planned, num_media))
    seconds = {"plan": round(time.monotonic() - begin, 2)}
    same = before.get("fingerprint") == planned.fingerprint
    if not same:
        with RaySession(ray_config) as session:
            out.parent.mkdir(parents=True, exist_ok=True)
            session.check(("pack",), [dataset.uri, str(out.absolute().parent)])
            _write(planned, dataset.uri, out, config, ray_config.pack, session, progress)
        seconds["write"] = round(time.monotonic() - begin - seconds["plan"], 2)
    counts: dict[str, int] = {}
    for shard in planned.shards:
        counts[shard.bucket] = counts.get(shard.bucket, 0) + len(shard.samples)
    return PackReport(
        samples=planned.num_samples,
        shards=len(planned.shards),
        nothing_left=same,
        buckets=counts,
        left_out=planned.left_out,
        without_caption=num_media - len(rows),
        bytes=sum((out / shard.path).stat().st_size for shard in planned.shards),
        seconds=seconds,
    )


def _look(out: Path) -> dict[str, Any]:
    """Return what an existing shard set says of itself; nothing for a new or empty folder."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return {}
    if not out.is_dir():
        raise OutputRefused(f"{out}: is a file; name a folder for the shards")
    foreign = [p.name for p in out.iterdir() if p.name not in _OURS and not p.name.startswith("ar_")]
    if foreign or not (out / ABOUT).is_file():
        held = ", ".join(sorted(foreign)[:3]) or "no pack.json"
        raise OutputRefused(
            f"{out}: the folder already holds something that is not a shard set of Kinora ({held}); "
            "nothing was written. Name an empty or new folder"
        )
    return json.loads((out / ABOUT).read_text())


def _rows(dataset: Dataset) -> tuple[list[dict[str, Any]], int]:
    """Return media joined with clip and good caption, one row each, and how many media there are."""
    current = Current(dataset)
    clips = {row["clip_id"]: row for row in current.clips.to_pylist()}
    captions = {row["media_id"]: row for row in current.captions().to_pylist() if row["outcome"] == "ok"}
    media = current.media.to_pylist()
    came = current.sources.select(["source_key", "carried"]).to_pylist()
    carried = {row["source_key"]: row["carried"] for row in came}
    for clip in clips.values():
        clip["carried"] = carried.get(clip["source_key"], "{}")
    rows = [
        clips[row["clip_id"]] | captions[row["media_id"]] | row
        for row in media
        if row["media_id"] in captions
    ]
    return rows, len(media)


def _write(
    planned: Plan,
    uri: str,
    out: Path,
    config: PackConfig,
    pool: PoolConfig,
    session: RaySession,
    progress: Progress,
) -> None:
    """Write the whole set beside `out`, then let it take the place of what is there."""
    fresh = out.absolute().with_name(f".{out.name}.{uuid4().hex}.partial")
    fresh.mkdir(parents=True)
    try:
        progress("pack", 0, planned.num_samples)
        runs = chunks(planned.shards, cpus=session.cpus, most=_TASK_SAMPLES, weight=lambda s: len(s.samples))
        rows = [to_row(run) for run in runs]
        places: list[dict[str, Any]] = []
        units = ray.data.from_items(rows, override_num_blocks=len(rows))
        for place in add_pack(units, uri, str(fresh), pool).iter_rows():
            places.append(place)
            progress("pack", 1)
        places.sort(key=lambda place: (place["shard"], place["offset"]))
        write_index(fresh, [_ref(place) for place in places], fps=config.fps)
        (fresh / ABOUT).write_text(json.dumps(_about(planned, config), indent=1) + "\n")
        _replace(out, fresh)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _replace(out: Path, fresh: Path) -> None:
    """Give `fresh` the name `out`. What had it goes away afterwards: there is never half of one."""
    old = fresh.with_suffix(".old")
    if out.exists():
        out.rename(old)
    fresh.rename(out)
    shutil.rmtree(old, ignore_errors=True)


def _ref(place: Mapping[str, Any]) -> SampleRef:
    names = ("clip_id", "shard", "offset", "length")
    return SampleRef(bucket=parse(place["bucket"]), **{name: place[name] for name in names})


def _about(planned: Plan, config: PackConfig) -> dict[str, Any]:
    return {
        "format": "kinora-shards",
        "fingerprint": planned.fingerprint,
        "fps": config.fps,
        "buckets": list(config.buckets),
        "samples": planned.num_samples,
        "shards": [shard.path for shard in planned.shards],
    }


def _why_nothing(dataset: Dataset, planned: Plan, num_media: int) -> str:
    if not num_media:
        return f"{dataset.uri}: no clip was cut; run `kinora curate`, or see `kinora status`"
    if not planned.left_out:
        return f"{dataset.uri}: none of {num_media} clips has a caption; run `kinora caption` first"
    reasons = ", ".join(f"{count} {reason}" for reason, count in planned.left_out.items())
    return f"{dataset.uri}: no clip fits a bucket ({reasons}); change `buckets`, `fps` or `max_crop`"
