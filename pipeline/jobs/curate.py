"""Raw files to kept, encoded clips: list, analyze, find copies, select, cut."""

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

import pyarrow as pa
import ray.data

from manifests.dataset import Dataset
from manifests.live_view import LiveView
from manifests.records import Source
from pipeline.analyze.batches import batch_sources, chunk_bytes
from pipeline.analyze.shots.needs import check_detector
from pipeline.analyze.stage import (
    ChunkMerger,
    add_analyze,
    add_analyze_unwritten,
    add_split,
    record_lost,
    write_analyses,
)
from pipeline.config import AnalyzeConfig, CurateConfig, PoolConfig, config_digest
from pipeline.cut.stage import add_cut
from pipeline.cut.stage import record_lost as record_lost_clips
from pipeline.cut.unit import CutUnit
from pipeline.jobs.curate_dry_run import plan_dataset, plan_run
from pipeline.jobs.dedup import dedup
from pipeline.jobs.listing import list_for_run
from pipeline.jobs.report import CurateReport
from pipeline.jobs.score import request_scores, score_clips
from pipeline.jobs.select import select_clips
from pipeline.planning import pending
from pipeline.planning.limits import check_limits
from pipeline.planning.scoring import equal_analyses, to_score, wanted_scorers
from pipeline.runtime.context import Stage, StageContext, new_context
from pipeline.runtime.pools import share_cpus
from pipeline.runtime.progress import Progress, no_progress
from pipeline.runtime.run_stage import StageResult
from pipeline.runtime.session import RaySession
from pipeline.runtime.units import TASKS_PER_CPU, batch_units
from pipeline.runtime.waves import run_in_waves
from pipeline.score import needs
from pipeline.score.stage import add_score
from pipeline.select.select import KEPT
from pipeline.sources.stat import refresh
from pipeline.sources.uri import file_uri

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Work:
    """The sources of one run, and how failures of earlier runs are treated."""

    listed: int
    sources: list[Source]
    """Those of the listed sources that are pending."""
    retry_mode: pending.RetryMode = "none"
    source_keys: Collection[str] | None = None
    """Sources whose clips are decided and cut; None for all."""
    seconds: dict[str, float] = field(default_factory=dict)


def curate(
    source: str,
    dataset_uri: str,
    config: CurateConfig,
    *,
    limit: int = 0,
    sample: float = 1.0,
    dry_run: bool = False,
    progress: Progress = no_progress,
    command: str = "",
) -> CurateReport:
    """Take the files at `source` into the dataset; skip what earlier runs have done.

    Args:
        limit, sample: take a trial of the files (`pipeline.sources.trial.draw`).
        command: the command line that repeats this run, for the log.

    Raises:
        NothingToDo: there is no file.
        ValueError: a scorer or detector cannot run here.
        DatasetError: the dataset's folder holds something else.
    """
    _check(config)
    begin = time.monotonic()
    existing = Dataset.open_if_exists(dataset_uri)
    listing = list_for_run(source, config.listing, existing, limit=limit, sample=sample)
    listed = listing.sources
    seconds = {"list": time.monotonic() - begin}
    if dry_run:
        return replace(plan_dataset(dataset_uri, listed, config), left_out=listing.left_out)
    view = LiveView((existing or Dataset.create(dataset_uri)).with_command(command))
    check_limits(view, config)
    analyses = equal_analyses(view.dataset.commits, config.analyze)
    sources = pending.to_analyze(view, listed, analyses)
    report = _run(view, _Work(listed=len(listed), sources=sources, seconds=seconds), config, progress)
    return replace(report, left_out=listing.left_out)


def retry(
    dataset_uri: str,
    config: CurateConfig,
    *,
    quarantined: bool = False,
    dry_run: bool = False,
    progress: Progress = no_progress,
) -> CurateReport:
    """Run again what failed: sources as they are now, clips that a scorer failed on, uncut clips.

    Args:
        quarantined: include quarantined units. Without it, only those whose file was replaced since.
    """
    _check(config)
    view = LiveView(Dataset.open(dataset_uri))
    check_limits(view, config)
    failed = [refresh(source) or source for source in pending.failed_sources(view)]
    skipped = set() if quarantined else pending.quarantined_units(view, "analyze")
    sources = [source for source in failed if source.source_key not in skipped]
    mode: pending.RetryMode = "all" if quarantined else "failed"
    unscored = to_score(view, wanted_scorers(view.dataset.commits, config.analyze.scorers), mode)
    keys = {*(source.source_key for source in sources), *unscored["source_key"].to_pylist()}
    if dry_run:
        return plan_run(view, failed, sources, config, mode, keys)
    work = _Work(listed=len(failed), sources=sources, retry_mode=mode, source_keys=keys)
    return _run(view, work, config, progress)


def _check(config: CurateConfig) -> None:
    """Raise ValueError if a scorer or detector that is on cannot run here."""
    needs.check_scorers(config.analyze.scorers)
    needs.check_semantic_dedup(config)
    check_detector(config.analyze)


def _run(view: LiveView, work: _Work, config: CurateConfig, progress: Progress) -> CurateReport:
    with RaySession(config.ray) as session:
        view = view.advanced_to(request_scores(view, config, new_sources=bool(work.sources)))
        _check_cluster(view.dataset, work.sources, config, session)
        dataset, analyzed = _analyze(view.dataset, work.sources, config, session, progress)
        view = view.advanced_to(dataset)
        dataset, scored = score_clips(view, config, work.retry_mode, session, progress)
        view = view.advanced_to(dataset)
        dataset, copies = dedup(view, config, session, progress)
        view = view.advanced_to(dataset)
        dataset, selected = select_clips(view, config, work.source_keys)
        view = view.advanced_to(dataset)
        to_cut = pending.to_cut(view, config.cut, work.retry_mode, work.source_keys)
        del view  # frees its tables while clips are cut
        dataset, cut = _cut(dataset, to_cut, config, session, progress)
    dropped = {reason: count for reason, count in selected.counts.items() if reason != KEPT}
    stages = {"analyze": analyzed, "score": scored, "dedup": copies, "select": selected, "cut": cut}
    seconds = work.seconds | {"ray": session.start_s} | {name: run.seconds for name, run in stages.items()}
    return CurateReport(
        listed=work.listed,
        already_done=work.listed - len(work.sources),
        analyzed=analyzed.units - sum(analyzed.failed.values()),
        failed=analyzed.failed,
        clips=analyzed.counts.get("clips", 0),
        gaps=analyzed.counts.get("gaps", 0),
        scored=scored.counts.get("scored", 0),
        rescored=scored.units,
        unscored=analyzed.counts.get("unscored", 0) + scored.counts.get("unscored", 0),
        compared=copies.num_new,
        decided=selected.units,
        kept=selected.counts.get(KEPT, 0),
        dropped=dropped,
        to_cut=cut.units,
        cut=cut.counts.get("cut", 0),
        cut_failed=cut.failed,
        seconds={name: round(value, 2) for name, value in seconds.items()},
    )


def _check_cluster(
    dataset: Dataset, sources: Sequence[Source], config: CurateConfig, session: RaySession
) -> None:
    """Raise ClusterUnfit if a node cannot run the stages for `sources`."""
    if not sources:
        return
    score = ("score",) if config.analyze.scorers.any else ()
    detectors = {"learned": (), "transnetv2": ("pipeline.analyze.shots.transnet",)}
    modules = {
        "analyze": detectors.get(config.analyze.detector, ("pipeline.analyze.shots.pyscenedetect",)),
        "score": needs.required_packages(config.analyze.scorers),
    }
    files = [file_uri(source.uri) for source in _sample(sources)]
    session.check(("analyze", *score, "cut"), [dataset.uri], files, modules)


def _sample(units: Sequence[T]) -> list[T]:
    """Return the first, the middle and the last unit: a node that sees their files sees the folder."""
    return [units[index] for index in sorted({0, len(units) // 2, len(units) - 1})]


def _analyze(
    dataset: Dataset, sources: list[Source], config: CurateConfig, session: RaySession, progress: Progress
) -> tuple[Dataset, StageResult]:
    if not sources:
        return dataset, StageResult()
    pool, score_pool = _pools(config, session.cpus)
    progress("analyze", 0, len(sources))
    batches = batch_sources(sources, session.cpus)
    stage = _analyze_stage(dataset, config, score_pool, chunk_bytes(sources, session.cpus))
    with new_context(dataset.uri, pool, config.ray, config.sandbox) as context:
        return run_in_waves(dataset, stage, batches, context, progress)


def _pools(config: CurateConfig, cpus: int) -> tuple[PoolConfig, PoolConfig]:
    """Return the pools of analysis and of the scorers. Raises PoolsUnfit if they cannot run together."""
    score = config.ray.score
    if not config.analyze.scorers.any:
        return config.ray.analyze, score
    score = replace(score, max_size=score.max_size or max(1, cpus // 2, score.min_size))
    return share_cpus(config.ray.analyze, score, cpus)


def _analyze_stage(
    dataset: Dataset, config: CurateConfig, score_pool: PoolConfig, max_chunk_bytes: int
) -> Stage[Source]:
    """Return the stage that analyses and scores; files over `max_chunk_bytes` are split, unless it is 0."""

    def apply(rows: ray.data.Dataset, config: AnalyzeConfig, context: StageContext) -> ray.data.Dataset:
        if max_chunk_bytes:
            rows = add_split(rows, config, context, max_chunk_bytes)
        if not config.scorers.any:
            return add_analyze(rows, config, context)
        rows = add_analyze_unwritten(rows, config, context)
        return add_score(rows, config.scorers, replace(context, pool=score_pool), write_analyses)

    return Stage(
        name="analyze",
        config=config.analyze,
        config_digest=config_digest(config.analyze),
        apply=apply,
        on_lost=record_lost,
        merge=ChunkMerger(dataset.uri),
    )


def _cut(
    dataset: Dataset, clips: pa.Table, config: CurateConfig, session: RaySession, progress: Progress
) -> tuple[Dataset, StageResult]:
    if not clips.num_rows:
        return dataset, StageResult()
    units = pending.cut_units(clips, config.cut, session.cpus * TASKS_PER_CPU)
    session.check(("cut",), [dataset.uri], [file_uri(unit.uri) for unit in _sample(units)])
    progress("cut", 0, clips.num_rows)
    batches = batch_units(
        units, cpus=session.cpus, max_weight=config.cut.clips_per_tar, weight=lambda unit: unit.num_clips
    )
    stage: Stage[CutUnit] = Stage(
        name="cut",
        config=config.cut,
        config_digest=config_digest(config.cut),
        apply=add_cut,
        on_lost=record_lost_clips,
    )
    with new_context(dataset.uri, config.ray.cut, config.ray, config.sandbox) as context:
        return run_in_waves(dataset, stage, batches, context, progress)
