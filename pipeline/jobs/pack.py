"""Captioned clips to WebDataset shards, one folder a bucket, with an index beside them."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from typing import Any

import pyarrow as pa
import ray.data

from manifests.arrow import combine, pc
from manifests.buckets import parse_bucket
from manifests.dataset import Commit, Dataset, DatasetError
from manifests.live_view import LiveView
from manifests.records import SampleRef
from manifests.redact import redact
from pipeline.config import PackConfig, PoolConfig, RayConfig, config_digest
from pipeline.errors import NothingToDo
from pipeline.pack.plan import COLUMNS, PackPlan, caption_digests, caption_lengths, fill_shard, plan_shards
from pipeline.pack.shard_sets import OutputRefused, ShardSet, open_shard_set
from pipeline.pack.stage import add_pack
from pipeline.planning.dry_run import StagePlan, plan_pack
from pipeline.runtime.progress import Progress, no_progress
from pipeline.runtime.run_stage import StageFailed
from pipeline.runtime.session import RaySession
from pipeline.runtime.units import batch_units, to_row

__all__ = ["OutputRefused", "PackReport", "pack"]

_TASK_SAMPLES = 4096
"""A task writes shards of about so many samples, or one larger shard."""
_WAVE_TASKS = 64
"""So many tasks are made and run at a time: what waits its turn has no texts in memory twice."""


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
    dry_run: bool = False
    plan: tuple[StagePlan, ...] = ()
    """Of a dry run: how much would be packed, how long it would take, and why."""
    unnoted: str = ""
    """Why the dataset's log could not note a set that was written; the set itself is whole."""


def pack(
    dataset_uri: str,
    out_uri: str,
    config: PackConfig,
    ray_config: RayConfig,
    *,
    dry_run: bool = False,
    progress: Progress = no_progress,
) -> PackReport:
    """Pack every clip with a good caption. The same dataset gives the same bytes, whatever the machine.

    A shard set that is there already is replaced as a whole, when the new one is complete; one that holds
    exactly this is left alone. Raises OutputRefused for a folder of anything else, and NothingToDo when no
    clip has a caption or none fits a bucket.
    """
    begin = time.monotonic()
    out = open_shard_set(out_uri)
    before = out.look()
    dataset = Dataset.open(dataset_uri)
    view = LiveView(dataset)
    rows, num_media = _rows(view)
    planned = plan_shards(rows, config)
    if not planned.shards:
        raise NothingToDo(_why_nothing(dataset, planned, num_media))
    seconds = {"plan": round(time.monotonic() - begin, 2)}
    same = before.get("fingerprint") == planned.fingerprint
    plans: tuple[StagePlan, ...] = ()
    unnoted = ""
    if dry_run:
        plans = (plan_pack(dataset.commits, planned.num_samples, num_media, before, config, same=same),)
    elif not same:
        try:
            with RaySession(ray_config) as session:
                session.check(("pack",), [dataset.uri, out.seen_from()])
                _write(planned, view, out, config, ray_config.pack, session, progress)
        finally:
            out.end()  # once no task is left that could still write
        seconds["write"] = round(time.monotonic() - begin - seconds["plan"], 2)
        unnoted = _note(dataset, planned, out, config, time.monotonic() - begin)
    counts: dict[str, int] = {}
    for shard in planned.shards:
        counts[shard.bucket] = counts.get(shard.bucket, 0) + shard.num_samples
    return PackReport(
        samples=planned.num_samples,
        shards=len(planned.shards),
        nothing_left=same,
        buckets=counts,
        left_out=planned.left_out,
        without_caption=num_media - len(rows),
        bytes=0 if dry_run else out.size([shard.path for shard in planned.shards]),
        seconds=seconds,
        dry_run=dry_run,
        plan=plans,
        unnoted=unnoted,
    )


def _rows(view: LiveView) -> tuple[pa.Table, int]:
    """Return media joined with clip and good caption, one row each, and how many media there are.

    Of the caption there is a digest and a length alone: texts are long, and no decision is about them.
    """
    media = view.read("media", COLUMNS["media"])
    view.derive("captions", "content", COLUMNS["captions"], caption_digests)
    view.derive("captions", "chars", ("text",), caption_lengths)
    captions = view.read("captions", ("media_id", "outcome", "content", "chars"))
    captions = captions.filter(pc.equal(captions["outcome"], "ok"))
    rows = _beside(media, captions, "media_id", ("content", "chars"))
    rows = rows.filter(pc.is_valid(rows["content"]))
    clips = view.read("clips", ("clip_id", *COLUMNS["clips"]))
    rows = _beside(rows, clips, "clip_id", COLUMNS["clips"])
    sources = view.read("sources", ("source_key", *COLUMNS["sources"]))
    return _beside(rows, sources, "source_key", COLUMNS["sources"]), media.num_rows


def _beside(rows: pa.Table, other: pa.Table, key: str, columns: Sequence[str]) -> pa.Table:
    """Append columns of the row of `other` that has the same key; null where there is none."""
    at = pc.index_in(rows[key], value_set=combine(other[key]))
    for name in columns:
        rows = rows.append_column(name, other[name].take(at))
    return rows


def _write(
    planned: PackPlan,
    view: LiveView,
    out: ShardSet,
    config: PackConfig,
    pool: PoolConfig,
    session: RaySession,
    progress: Progress,
) -> None:
    """Write the whole set, then let it take the place of what is there."""
    fresh = out.begin(planned.fingerprint)
    progress("pack", 0, planned.num_samples)
    batches = batch_units(
        planned.shards, cpus=session.cpus, max_weight=_TASK_SAMPLES, weight=lambda s: s.num_samples
    )
    captions = view.read("captions", ("media_id", *COLUMNS["captions"]))
    texts = _beside(planned.rows.select(["media_id"]), captions, "media_id", COLUMNS["captions"])
    tasks = (to_row([fill_shard(shard, planned, texts, config.fps) for shard in batch]) for batch in batches)
    places: list[dict[str, Any]] = []
    while rows := list(islice(tasks, _WAVE_TASKS)):
        units = ray.data.from_items(rows, override_num_blocks=len(rows))
        for done in add_pack(units, view.dataset.uri, fresh, pool).iter_rows():
            if done["full"]:
                raise StageFailed(f"pack: {redact(done['full'].replace(fresh, out.uri))}")
            new = json.loads(done["places"])
            places += new
            progress("pack", len(new))
    places.sort(key=lambda place: (place["shard"], place["offset"]))
    out.publish([_ref(place) for place in places], _about(planned, config), config.fps)


def _note(dataset: Dataset, planned: PackPlan, out: ShardSet, config: PackConfig, seconds: float) -> str:
    """Note in the dataset's log what was packed; return why that was not possible, or nothing."""
    commit = Commit(
        stage="pack",
        config=asdict(config) | {"out": out.uri, "fingerprint": planned.fingerprint},
        config_digest=config_digest(config),
        counts={"units": planned.num_samples, "shards": len(planned.shards)},
        seconds=round(seconds, 3),
    )
    try:
        dataset.commit(commit, rebase=True)
    except (OSError, DatasetError) as error:  # a dataset that may only be read can be packed all the same
        return str(error)
    return ""


def _ref(place: Mapping[str, Any]) -> SampleRef:
    names = ("clip_id", "shard", "offset", "length")
    return SampleRef(bucket=parse_bucket(place["bucket"]), **{name: place[name] for name in names})


def _about(planned: PackPlan, config: PackConfig) -> dict[str, Any]:
    return {
        "format": "kinora-shards",
        "fingerprint": planned.fingerprint,
        "fps": config.fps,
        "buckets": list(config.buckets),
        "samples": planned.num_samples,
        "shards": [shard.path for shard in planned.shards],
    }


def _why_nothing(dataset: Dataset, planned: PackPlan, num_media: int) -> str:
    if not num_media:
        return f"{dataset.uri}: no clip was cut; run `kinora curate`, or see `kinora status`"
    if not planned.left_out:
        return f"{dataset.uri}: none of {num_media} clips has a caption; run `kinora caption` first"
    reasons = ", ".join(f"{count} {reason}" for reason, count in planned.left_out.items())
    return f"{dataset.uri}: no clip fits a bucket ({reasons}); change `buckets`, `fps` or `max_crop`"
