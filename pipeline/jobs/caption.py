"""Cut clips to captions: write one new caption version; nothing is cut or analysed again."""

import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

import pyarrow as pa
import ray.data

from manifests.arrow import pc
from manifests.dataset import Commit, Dataset
from manifests.digest import digest_bytes
from manifests.live_view import LiveView
from manifests.records import LENGTH_COLUMNS, LENGTHS
from pipeline.caption.actor import LEFT, LoadCaptioner, record_lost
from pipeline.caption.batch import CaptionJob
from pipeline.caption.engines import running_engines, with_room_for_frames
from pipeline.caption.stage import add_caption
from pipeline.caption.units import CaptionSpec, CaptionUnit
from pipeline.caption.usage import COST
from pipeline.config import CaptionConfig, RayConfig
from pipeline.errors import NothingToDo
from pipeline.jobs.report import CaptionReport
from pipeline.planning import pending
from pipeline.planning.dry_run import plan_caption
from pipeline.runtime.context import Stage, StageContext, new_context
from pipeline.runtime.progress import Progress, no_progress
from pipeline.runtime.session import RaySession
from pipeline.runtime.units import TaskResult, batch_units
from pipeline.runtime.waves import run_in_waves

_TASK_CLIPS = 512
"""Clips of one task, at most."""
_READERS = 8
"""Actors that read clips for an engine of vLLM, at most; each decodes about 5 (720p, 96 frames) a second."""


def caption(
    dataset_uri: str,
    config: CaptionConfig,
    ray_config: RayConfig,
    spec: CaptionSpec,
    load_captioner: LoadCaptioner,
    *,
    retry: bool = False,
    dry_run: bool = False,
    progress: Progress = no_progress,
    command: str = "",
) -> CaptionReport:
    """Caption all media that this version has not attempted; with `retry`, only those where it failed.

    Each run makes its version the one that counts, where it has an OK caption.

    Args:
        command: the command line that repeats this run, for the log.

    Raises NothingToDo if no clip is cut.
    """
    begin = time.monotonic()
    dataset = Dataset.open(dataset_uri).with_command(command)
    view = LiveView(dataset)
    units, num_media = pending.to_caption(view, spec.version, retry=retry, config=config)
    if not num_media:
        raise NothingToDo(f"{dataset_uri}: no clip was cut; run `kinora curate`, or see `kinora status`")
    already_done = num_media - len(units)
    report = CaptionReport(version=spec.version, media=num_media, already_done=already_done, dry_run=dry_run)
    if dry_run:
        return replace(report, plan=(plan_caption(view, units.table, num_media, config, spec),))
    if not units:
        if not retry:
            _ask_again(dataset, view, config, spec)
        return report
    with RaySession(with_room_for_frames(ray_config, config)) as session:
        session.check(("caption",), [dataset.uri])
        actors = min(config.actors or most_actors(config, session.cpus), session.cpus)
        pool = replace(ray_config.caption, max_size=ray_config.caption.max_size or actors)
        batches = batch_units(units, cpus=actors, max_weight=_TASK_CLIPS)
        progress("caption", 0, len(units))
        with (
            running_engines(config, "caption", pool, load_captioner) as load,
            new_context(dataset.uri, pool, ray_config) as context,
        ):
            stage = _stage(config, spec, load)
            _, result = run_in_waves(dataset, stage, batches, context, progress)
    seconds = round(time.monotonic() - begin, 2)
    counts = {"ok": result.counts.get("ok", 0), "failed": result.failed}
    shared = _most_shared(Dataset.open(dataset_uri), spec.version)
    return replace(
        report, **counts, **usage(result.counts), unloaded=result.unloaded, shared=shared, seconds=seconds
    )


def most_actors(config: CaptionConfig, cpus: int) -> int:
    """Return the number of captioners: one for a server, which is asked by many requests at a time.

    Engines of vLLM take a CPU each, and a few actors read clips for one.
    """
    if config.captioner.vllm is not None and config.captioner.kind == "vllm":
        engines = config.captioner.vllm.engines
        return max(1, min(cpus - engines, _READERS * engines))
    return 1 if config.captioner.kind == "endpoint" else cpus


def usage(counts: Mapping[str, int]) -> dict[str, Any]:
    """Return the fields of a report that tell what a server used, and what it left."""
    left = {name.removeprefix(LEFT): count for name, count in counts.items() if name.startswith(LEFT)}
    return {
        "left": sum(left.values()),
        "stopped": next(iter(left), ""),
        "input_tokens": counts.get("input tokens", 0),
        "cached_tokens": counts.get("cached tokens", 0),
        "output_tokens": counts.get("output tokens", 0),
        "cost": counts.get(COST, 0) / 1e6,
    }


def _ask_again(dataset: Dataset, view: LiveView, config: CaptionConfig, spec: CaptionSpec) -> None:
    """Record a request for a version that has nothing left to do, unless it was the last one asked for.

    The newest request decides which caption of a clip counts (manifests/caption_order.py).
    """
    requests = view.caption_requests()
    if requests[spec.version] < max(requests.values()):
        commit = Commit(
            stage="caption", config=asdict(config), config_digest=spec.version, counts={"units": 0}
        )
        dataset.commit(commit, rebase=True)


def _most_shared(dataset: Dataset, version: str) -> tuple[int, str]:
    """Return how many media have the most frequent text of a caption version, and the clip of one of them.

    Texts are compared by digest, part by part.
    """
    view = LiveView(dataset)
    view.derive("captions", "text_digest", [*LENGTH_COLUMNS.values()], _text_digests)
    captions = view.read("captions", ["clip_id", "outcome", "text_digest"], version=version)
    captions = captions.filter(pc.equal(captions["outcome"], "ok"))
    groups = captions.group_by("text_digest").aggregate([("clip_id", "min"), ([], "count_all")])
    if not groups.num_rows:
        return 0, ""
    first = (
        groups.sort_by([("count_all", "descending"), ("clip_id_min", "ascending")]).slice(0, 1).to_pylist()
    )
    return first[0]["count_all"], first[0]["clip_id_min"]


def _text_digests(captions: pa.Table) -> pa.Array:
    """Return a digest of the longest text of each caption."""
    columns = [LENGTH_COLUMNS[length] for length in reversed(LENGTHS)]
    texts = pc.coalesce(*(captions[column] for column in columns), "").to_pylist()
    return pa.array([digest_bytes(text.encode(), size=8) for text in texts], pa.string())


def _stage(config: CaptionConfig, spec: CaptionSpec, load_captioner: LoadCaptioner) -> Stage[CaptionUnit]:
    def apply(media: ray.data.Dataset, config: CaptionConfig, context: StageContext) -> ray.data.Dataset:
        return add_caption(media, config, context, spec, load_captioner)

    def on_lost(
        units: list[CaptionUnit], config: CaptionConfig, context: StageContext, error: Exception
    ) -> TaskResult:
        return record_lost(CaptionJob(config=config, spec=spec), units, context, error)

    return Stage(name="caption", config=config, config_digest=spec.version, apply=apply, on_lost=on_lost)
