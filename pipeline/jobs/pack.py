"""Captioned clips to WebDataset shards, one folder a bucket, with an index beside them."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
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
from manifests.snapshots import At
from pipeline.config import PackConfig, RayConfig, config_digest
from pipeline.errors import NothingToDo
from pipeline.jobs.report import PackReport
from pipeline.pack.caption_rows import choose_captions, count_texts, read_texts
from pipeline.pack.captions import CaptionChoice
from pipeline.pack.plan import COLUMNS, PackPlan, check_buckets, fill_shard, footage_used, plan_shards
from pipeline.pack.shard_sets import OutputRefused, ShardSet, damage, open_shard_set
from pipeline.pack.stage import add_pack
from pipeline.planning.dry_run import StagePlan, plan_pack
from pipeline.runtime.context import StageContext
from pipeline.runtime.progress import Progress, no_progress
from pipeline.runtime.run_stage import StageFailed
from pipeline.runtime.session import RaySession
from pipeline.runtime.units import batch_units, to_row

__all__ = ["OutputRefused", "pack"]

_TASK_SAMPLES = 4096
"""Samples of one task, unless one shard is larger."""
_WAVE_TASKS = 64
"""Tasks built and run at a time: bounds the texts in memory."""


def pack(
    dataset_uri: str,
    out_uri: str,
    config: PackConfig,
    ray_config: RayConfig,
    *,
    at: At = None,
    dry_run: bool = False,
    progress: Progress = no_progress,
) -> PackReport:
    """Pack every clip with a caption of the policy `config.captions`.

    The same dataset and configuration give the same bytes on any machine.

    Replaces a shard set at `out_uri` once the new one is complete; leaves a whole one that is the same alone.

    Raises:
        OutputRefused: the folder holds something else.
        NothingToDo: no clip has a caption of the policy, or none fits a bucket.
        ValueError: the policy names a caption version or length that does not exist.
    """
    begin = time.monotonic()
    check_buckets(config)
    out = open_shard_set(out_uri)
    before = out.read_description()
    dataset = Dataset.open(dataset_uri, at=at)
    view = LiveView(dataset)
    rows, choice = _rows(view, config)
    num_media = rows.num_rows + sum(choice.left_out.values())
    planned = plan_shards(rows, config)
    if not planned.shards:
        raise NothingToDo(_nothing_to_do(dataset, planned, num_media, choice))
    seconds = {"plan": round(time.monotonic() - begin, 2)}
    former = before.get("fingerprint") == planned.former_fingerprint
    same = former or before.get("fingerprint") == planned.fingerprint
    damaged = damage(out) if same else ""
    same = same and not damaged
    plans: tuple[StagePlan, ...] = ()
    unnoted = ""
    if dry_run:
        plans = (
            plan_pack(
                dataset.commits, planned.num_samples, num_media, before, config, same=same, damaged=damaged
            ),
        )
    elif not same:
        try:
            with RaySession(ray_config) as session:
                session.check(("pack",), [dataset.uri, out.shared_uri()])
                context = StageContext(dataset_uri=dataset.uri, pool=ray_config.pack)
                samples = _write(planned, view, out, context, config, session.cpus, progress)
                out.publish(samples, _description(planned, config), config.fps)
        finally:
            out.clean_up()  # when no task can still write
        seconds["write"] = round(time.monotonic() - begin - seconds["plan"], 2)
        unnoted = _record(dataset, planned, out, config, time.monotonic() - begin)
    shards = before["shards"] if same else [shard.path for shard in planned.shards]
    counts: dict[str, int] = {}
    for shard in planned.shards:
        counts[shard.bucket] = counts.get(shard.bucket, 0) + shard.num_samples
    return PackReport(
        samples=planned.num_samples,
        shards=len(shards),
        nothing_left=same,
        former_layout=former and same,
        buckets=counts,
        footage_used=footage_used(planned.rows),
        left_out=planned.left_out,
        without_caption=num_media - len(rows),
        policy=config.captions,
        captions=count_texts(planned.rows),
        without_caption_why=choice.left_out,
        redrawn=choice.redrawn,
        bytes=0 if dry_run else sum(out.sizes(shards).values()),
        seconds=seconds,
        dry_run=dry_run,
        plan=plans,
        unnoted=unnoted,
    )


def _rows(view: LiveView, config: PackConfig) -> tuple[pa.Table, CaptionChoice]:
    """Return the media that have a caption, joined with it and their clip.

    The caption is represented by the digest and length of its texts.
    """
    media = view.read("media", COLUMNS["media"])
    choice = choose_captions(view, media["media_id"], config.captions)
    chosen = ("version", "text_length", "fixed_length", "content", "chars")
    rows = _join(media, choice.rows, "media_id", chosen)
    rows = rows.filter(pc.is_valid(rows["content"]))
    clips = view.read("clips", ("clip_id", *COLUMNS["clips"]))
    rows = _join(rows, clips, "clip_id", COLUMNS["clips"])
    sources = view.read("sources", ("source_key", *COLUMNS["sources"]))
    return _join(rows, sources, "source_key", COLUMNS["sources"]), choice


def _join(rows: pa.Table, other: pa.Table, key: str, columns: Sequence[str]) -> pa.Table:
    """Append `columns` of `other` by `key`; null if it has no such row."""
    index = pc.index_in(rows[key], value_set=combine(other[key]))
    for name in columns:
        rows = rows.append_column(name, other[name].take(index))
    return rows


def _write(
    planned: PackPlan,
    view: LiveView,
    out: ShardSet,
    context: StageContext,
    config: PackConfig,
    cpus: int,
    progress: Progress,
) -> list[SampleRef]:
    """Write the shards of the whole set; return their samples in order."""
    new_uri = out.begin(planned.fingerprint)
    progress("pack", 0, planned.num_samples)
    batches = batch_units(
        planned.shards, cpus=cpus, max_weight=_TASK_SAMPLES, weight=lambda shard: shard.num_samples
    )
    texts = read_texts(view, planned.rows)
    tasks = (to_row([fill_shard(shard, planned, texts, config) for shard in batch]) for batch in batches)
    samples: list[dict[str, Any]] = []
    while rows := list(islice(tasks, _WAVE_TASKS)):
        units = ray.data.from_items(rows, override_num_blocks=len(rows))
        for row in add_pack(units, context, new_uri).iter_rows():
            if row["full"]:
                raise StageFailed(f"pack: {redact(row['full'].replace(new_uri, out.uri))}")
            written = json.loads(row["samples"])
            samples += written
            progress("pack", len(written))
    samples.sort(key=lambda sample: (sample["shard"], sample["offset"]))
    return [_sample_ref(sample) for sample in samples]


def _record(dataset: Dataset, planned: PackPlan, out: ShardSet, config: PackConfig, seconds: float) -> str:
    """Record the new set in the dataset's log; return the error if that failed, else an empty string."""
    commit = Commit(
        stage="pack",
        config=asdict(config)
        | {"out": out.uri, "fingerprint": planned.fingerprint, "packed": count_texts(planned.rows)},
        config_digest=config_digest(config),
        counts={"units": planned.num_samples, "shards": len(planned.shards)},
        seconds=round(seconds, 3),
    )
    try:
        dataset.commit(commit, rebase=True)
    except (OSError, DatasetError) as error:  # a read-only dataset can be packed
        return str(error)
    return ""


def _sample_ref(sample: Mapping[str, Any]) -> SampleRef:
    return SampleRef(**{**sample, "bucket": parse_bucket(sample["bucket"])})


def _description(planned: PackPlan, config: PackConfig) -> dict[str, Any]:
    return {
        "format": "kinora-shards",
        "fingerprint": planned.fingerprint,
        "fps": config.fps,
        "buckets": list(config.buckets),
        "samples": planned.num_samples,
        "captions": {"policy": config.captions, "counts": count_texts(planned.rows)},
        "shards": [shard.path for shard in planned.shards],
        "footage_used": footage_used(planned.rows),
    }


def _nothing_to_do(dataset: Dataset, planned: PackPlan, num_media: int, choice: CaptionChoice) -> str:
    if not num_media:
        return f"{dataset.uri}: no clip was cut; run `kinora curate`, or see `kinora status`"
    if not planned.left_out:
        why = ", ".join(choice.left_out)
        return (
            f"{dataset.uri}: none of {num_media} clips has a caption ({why}); run `kinora caption`, or see "
            "`kinora status` for the caption versions"
        )
    reasons = ", ".join(f"{count} {reason}" for reason, count in planned.left_out.items())
    return f"{dataset.uri}: no clip fits a bucket ({reasons}); change `buckets`, `fps` or `max_crop`"
