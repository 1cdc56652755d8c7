"""Raw files to kept, encoded clips: list, analyze, find copies, select, cut."""

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Any, Literal, TypeVar

import pyarrow as pa
import ray.data

from manifests.arrow import pc
from manifests.dataset import Commit, Dataset
from manifests.live_view import LiveView
from manifests.records import Source
from pipeline.analyze.shots.needs import check_detector
from pipeline.analyze.stage import ChunkMerger, add_analyze, add_divide, add_find, write
from pipeline.analyze.stage import record_lost as lose_sources
from pipeline.config import AnalyzeConfig, CurateConfig, PoolConfig, config_digest
from pipeline.cut.stage import add_cut
from pipeline.cut.stage import record_lost as lose_clips
from pipeline.cut.unit import CutUnit
from pipeline.dedup.decisions import MATCHES, resolve
from pipeline.dedup.job import dedup, pending_round
from pipeline.planning import pending
from pipeline.planning.dry_run import (
    StagePlan,
    plan_analyze,
    plan_cut,
    plan_dedup,
    plan_first_analyze,
    plan_select,
)
from pipeline.runtime.attempt_log import temporary_attempts_uri
from pipeline.runtime.progress import Progress, no_progress
from pipeline.runtime.run_stage import StageResult, run_stage
from pipeline.runtime.session import RaySession
from pipeline.runtime.units import TASKS_PER_CPU, TaskResult, batch_units, batch_weight, max_retries
from pipeline.runtime.waves import run_in_waves
from pipeline.score import needs
from pipeline.score.stage import add_score
from pipeline.select.select import KEPT, select
from pipeline.sources.listing import list_sources
from pipeline.sources.stat import refresh
from video.config import SandboxConfig

T = TypeVar("T")

_TASK_BYTES = 256 * 2**20
_TASK_SOURCES = 64
"""A task takes at most so many sources, and so many bytes of them (or one larger file)."""
_LEAST_SHARE = 8 * 2**20
"""A file of so few bytes is one task's, however many processors wait."""
_SELECT_CLIPS = 100_000
"""Clips are decided, and the decisions written, so many at a time."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CurateReport:
    """What one run did. `failed` and `dropped` count by code and by reason."""

    listed: int
    already_done: int
    """Listed sources that an earlier run had attempted under the same configuration."""
    analyzed: int = 0
    failed: Mapping[str, int] = field(default_factory=dict)
    clips: int = 0
    gaps: int = 0
    unscored: int = 0
    """Clips that some scorer could not do: null there, and a row in `failures`."""
    compared: int = 0
    """Clips that were decided on as copies of others, or as none."""
    decided: int = 0
    kept: int = 0
    dropped: Mapping[str, int] = field(default_factory=dict)
    to_cut: int = 0
    cut: int = 0
    cut_failed: Mapping[str, int] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    dry_run: bool = False
    plan: tuple[StagePlan, ...] = ()
    """Of a dry run: what each stage would do, how long it would take, and why."""

    @property
    def nothing_left(self) -> bool:
        """Whether this run found everything done."""
        return (
            not self.dry_run
            and self.analyzed + self.compared + self.decided + self.to_cut + sum(self.failed.values()) == 0
        )

    @property
    def failed_share(self) -> float:
        """Failed units over all units that this run worked on."""
        failed = sum(self.failed.values()) + sum(self.cut_failed.values())
        return failed / max(1, self.analyzed + sum(self.failed.values()) + self.to_cut)


def curate(
    source: str,
    dataset_uri: str,
    config: CurateConfig,
    *,
    dry_run: bool = False,
    progress: Progress = no_progress,
    command: str = "",
) -> CurateReport:
    """Take the files at `source` into the dataset, as far as that is not done already.

    Args:
        command: what a person types to run this again; kept in the log.

    Raises NothingToDo when there is no file, ValueError for a scorer or a detector that cannot run,
    DatasetError when the dataset's folder holds something else.
    """
    _check(config)
    begin = time.monotonic()
    listed = list_sources(source, config.listing)
    seconds = {"list": time.monotonic() - begin}
    if dry_run:
        return _dry(dataset_uri, listed, config)
    view = LiveView(Dataset.create(dataset_uri).with_command(command))
    sources = pending.to_analyze(view, listed, config_digest(config.analyze))
    with RaySession(config.ray) as session:
        return _run(view, len(listed), sources, config, session, seconds, progress)


def retry(
    dataset_uri: str,
    config: CurateConfig,
    *,
    quarantined: bool = False,
    dry_run: bool = False,
    progress: Progress = no_progress,
) -> CurateReport:
    """Run only what failed again, and what follows from it: failed sources as they are now, sources of whose
    clips a scorer failed at one, and clips not cut.

    Args:
        quarantined: also what is in quarantine; else only if the file was replaced since.
    """
    _check(config)
    view = LiveView(Dataset.open(dataset_uri))
    failed = [refresh(source) or source for source in pending.failed_sources(view)]
    analysis = config_digest(config.analyze)
    seen = map(refresh, pending.unscored_sources(view, analysis))  # an unreadable source keeps its clips
    failed += [source for source in seen if source]
    left: set[str] = set()
    if not quarantined:
        held = pending.unscored_sources(view, analysis, quarantined=True)
        left = {*pending.quarantined_units(view, "analyze"), *(source.source_key for source in held)}
    sources = [source for source in failed if source.source_key not in left]
    mode: pending.RetryMode = "all" if quarantined else "failed"
    source_keys = {source.source_key for source in sources}
    if dry_run:
        return _planned(view, failed, sources, config, mode, source_keys)
    with RaySession(config.ray) as session:
        return _run(view, len(failed), sources, config, session, {}, progress, mode, source_keys)


def _check(config: CurateConfig) -> None:
    """Raise ValueError for what is switched on and cannot run here."""
    needs.check_scorers(config.analyze.scorers)
    needs.check_semantic_dedup(config)
    check_detector(config.analyze)


def _run(
    view: LiveView,
    listed: int,
    sources: list[Source],
    config: CurateConfig,
    session: RaySession,
    seconds: dict[str, float],
    progress: Progress,
    mode: pending.RetryMode = "none",
    source_keys: Collection[str] | None = None,
) -> CurateReport:
    dataset = view.dataset
    if sources:
        files = [source.uri for source in _some(sources)]
        score = ("score",) if config.analyze.scorers.any else ()
        session.check(("analyze", *score, "cut"), [dataset.uri], files, _modules(config))
    dataset, analyzed = _analyze(dataset, sources, config, session, progress)
    view = view.advanced_to(dataset)
    dataset, copies = dedup(view, config, session, progress)
    view = view.advanced_to(dataset)
    dataset, reasons, select_s = _select(view, config, source_keys)
    view = view.advanced_to(dataset)
    to_cut = pending.to_cut(view, config.cut, mode, source_keys)
    del view  # nothing looks at it while clips are cut
    dataset, cut = _cut(dataset, to_cut, config, session, progress)
    decided, kept = sum(reasons.values()), reasons.pop(KEPT, 0)
    seconds |= {"ray": session.start_s, "analyze": analyzed.seconds, "dedup": copies.seconds}
    seconds |= {"select": select_s, "cut": cut.seconds}
    return CurateReport(
        listed=listed,
        already_done=listed - len(sources),
        analyzed=analyzed.units - sum(analyzed.failed.values()),
        failed=analyzed.failed,
        clips=analyzed.counts.get("clips", 0),
        gaps=analyzed.counts.get("gaps", 0),
        unscored=analyzed.counts.get("unscored", 0),
        compared=copies.num_new,
        decided=decided,
        kept=kept,
        dropped=dict(sorted(reasons.items())),
        to_cut=cut.units,
        cut=cut.counts.get("cut", 0),
        cut_failed=cut.failed,
        seconds={name: round(value, 2) for name, value in seconds.items()},
    )


def _modules(config: CurateConfig) -> dict[str, tuple[str, ...]]:
    """Return what this configuration makes workers of a stage import besides what every one does."""
    detectors = {"learned": (), "transnetv2": ("pipeline.analyze.shots.transnet",)}
    return {
        "analyze": detectors.get(config.analyze.detector, ("pipeline.analyze.shots.pyscenedetect",)),
        "score": needs.required_packages(config.analyze.scorers),
    }


def _some(units: Sequence[T]) -> list[T]:
    """Return the first, the middle and the last: whoever sees their files sees the folder."""
    return [units[at] for at in sorted({0, len(units) // 2, len(units) - 1})]


def _analyze(
    dataset: Dataset, sources: list[Source], config: CurateConfig, session: RaySession, progress: Progress
) -> tuple[Dataset, StageResult]:
    if not sources:
        return dataset, StageResult()
    runs = batch_units(sources, cpus=session.cpus, max_weight=_TASK_BYTES, weight=_weight)
    add = add_analyze
    if config.analyze.scorers.any:
        most = config.ray.score.max_size or max(1, session.cpus // 2)
        add = partial(_add_scored, replace(config.ray.score, max_size=most))
    fair = max(_LEAST_SHARE, batch_weight(sources, cpus=session.cpus, max_weight=_TASK_BYTES, weight=_weight))
    if session.cpus > 1 and any(source.size_bytes > fair for source in sources):
        add = partial(_add_divided, add, fair)
    return _stage(dataset, "analyze", add, lose_sources, runs, config, progress, len(sources))


def _add_divided(
    add: Callable[..., ray.data.Dataset],
    fair: int,
    sources: ray.data.Dataset,
    uri: str,
    config: AnalyzeConfig,
    limits: SandboxConfig,
    attempts_uri: str,
    max_retries: int,
    pool: PoolConfig,
) -> ray.data.Dataset:
    """As `add`, with files longer than a fair share of the work divided first."""
    rows = add_divide(sources, fair, config, limits, attempts_uri, max_retries, pool)
    return add(rows, uri, config, limits, attempts_uri, max_retries, pool)


def _add_scored(
    scorers: PoolConfig,
    sources: ray.data.Dataset,
    uri: str,
    config: AnalyzeConfig,
    limits: SandboxConfig,
    attempts_uri: str,
    max_retries: int,
    pool: PoolConfig,
) -> ray.data.Dataset:
    """As `add_analyze`, with the scorers: two stages, of which the second writes."""
    found = add_find(sources, config, limits, attempts_uri, max_retries, pool)
    return add_score(found, uri, config.scorers, attempts_uri, write, max_retries, scorers)


def _select(
    view: LiveView, settings: CurateConfig, source_keys: Collection[str] | None
) -> tuple[Dataset, Counter[str], float]:
    """Decide, and return how many clips by reason."""
    begin, config, dataset = time.monotonic(), settings.select, view.dataset
    rows = pending.to_select(view, config, settings.dedup, source_keys)
    parts, reasons = [], Counter[str]()
    for start in range(0, rows.num_rows, _SELECT_CLIPS):
        decided = select(rows.slice(start, _SELECT_CLIPS), config)
        parts.append(dataset.write_part("selections", decided))
        for count in pc.value_counts(decided["reason"]).to_pylist():
            reasons[count["values"]] += count["counts"]
    if parts:
        commit = Commit(
            stage="select",
            added=tuple(parts),
            config=asdict(config),
            config_digest=config_digest(config),
            counts=dict(sorted(reasons.items())),
            seconds=round(time.monotonic() - begin, 3),
        )
        dataset = dataset.commit(commit, rebase=True)
    return dataset, reasons, time.monotonic() - begin


def _cut(
    dataset: Dataset,
    clips: pa.Table,
    config: CurateConfig,
    session: RaySession,
    progress: Progress,
) -> tuple[Dataset, StageResult]:
    if not clips.num_rows:
        return dataset, StageResult()
    units = pending.cut_units(clips, config.cut, session.cpus * TASKS_PER_CPU)
    session.check(("cut",), [dataset.uri], [unit.uri for unit in _some(units)])
    runs = batch_units(units, cpus=session.cpus, max_weight=config.cut.clips_per_tar, weight=_num_clips)
    return _stage(dataset, "cut", add_cut, lose_clips, runs, config, progress, clips.num_rows)


def _stage(
    dataset: Dataset,
    name: Literal["analyze", "cut"],
    add: Callable[..., Any],
    lose: Callable[..., TaskResult],
    runs: Iterable[list[Any]],
    config: CurateConfig,
    progress: Progress,
    total: int,
) -> tuple[Dataset, StageResult]:
    """Run one stage on its tasks; `total` counts what progress counts."""
    progress(name, 0, total)
    settings, pool = getattr(config, name), getattr(config.ray, name)

    def run(dataset: Dataset, runs: list[list[Any]]) -> tuple[Dataset, StageResult]:
        return run_stage(
            dataset,
            name,
            runs,
            lambda rows: add(
                rows, dataset.uri, settings, config.sandbox, attempts_uri, max_retries(runs), pool
            ),
            lambda units, error: lose(units, dataset.uri, settings, error),
            config=settings,
            config_digest=config_digest(settings),
            commit_every_s=config.ray.commit_every_s,
            progress=progress,
            join=join,
        )

    join = ChunkMerger(dataset.uri)
    with temporary_attempts_uri(dataset.uri) as attempts_uri:
        return run_in_waves(dataset, runs, run)


def _num_clips(unit: CutUnit) -> int:
    return len(unit.clip_ids)


def _weight(source: Source) -> int:
    """Bytes to read, but never so few that a task would take more than its share of small files."""
    return max(source.size_bytes, _TASK_BYTES // _TASK_SOURCES)


def _dry(dataset_uri: str, listed: list[Source], config: CurateConfig) -> CurateReport:
    """Say what would run on what is known now; clips of sources that are not analysed yet are not known."""
    dataset = Dataset.open_if_exists(dataset_uri)
    if dataset is None:
        return CurateReport(
            listed=len(listed), already_done=0, dry_run=True, plan=(plan_first_analyze(listed),)
        )
    view = LiveView(dataset)
    sources = pending.to_analyze(view, listed, config_digest(config.analyze))
    return _planned(view, listed, sources, config)


def _planned(
    view: LiveView,
    listed: Sequence[Source],
    sources: Sequence[Source],
    config: CurateConfig,
    mode: pending.RetryMode = "none",
    source_keys: Collection[str] | None = None,
) -> CurateReport:
    """Each stage is planned as if those before it had run, and no clip were found to be a copy of another."""
    plans = [plan_analyze(view, listed, sources, config.analyze)]
    dedup_round = pending_round(view, config)
    plans.append(plan_dedup(view, dedup_round, config.dedup))
    compared = dedup_round.clips.filter(dedup_round.clips["is_new"])["clip_id"]
    then = view.with_rows("duplicates", resolve(dedup_round, MATCHES.empty_table()))
    del dedup_round
    to_select = pending.to_select(then, config.select, config.dedup, source_keys)
    plans.append(plan_select(view, to_select, config.select))
    then = then.with_rows("selections", select(to_select, config.select))
    del to_select
    plans.append(plan_cut(then, pending.to_cut(then, config.cut, mode, source_keys), config.cut, compared))
    units = {plan.stage: plan.units for plan in plans}
    return CurateReport(
        listed=len(listed),
        already_done=len(listed) - len(sources),
        compared=units["dedup"],
        decided=units["select"],
        to_cut=units["cut"],
        dry_run=True,
        plan=tuple(plans),
    )
