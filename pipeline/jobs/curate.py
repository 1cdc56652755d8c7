"""Raw files to kept, encoded clips: list, analyze, find copies, select, cut."""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

import pyarrow as pa

from manifests import views
from manifests.records import Source
from manifests.store import Commit, Dataset
from pipeline import todo
from pipeline.attempts import attempts_folder
from pipeline.config import CurateConfig, config_digest
from pipeline.jobs.dedup import dedup, to_dedup
from pipeline.jobs.progress import Progress, silent
from pipeline.jobs.run import StageRun, run_stage
from pipeline.jobs.session import RaySession
from pipeline.select import KEPT, select
from pipeline.sources import list_sources, look
from pipeline.stages.analyze import add_analyze
from pipeline.stages.cut import CutUnit, add_cut
from pipeline.units import chunks, max_retries

_TASK_BYTES = 256 * 2**20
_TASK_SOURCES = 64
"""A task takes at most so many sources, and so many bytes of them (or one larger file)."""


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
    progress: Progress = silent,
    command: str = "",
) -> CurateReport:
    """Take the files at `source` into the dataset, as far as that is not done already.

    Args:
        command: what a person types to run this again; kept in the log.

    Raises NothingToDo when there is no file, and DatasetError when the dataset's folder holds something else.
    """
    begin = time.monotonic()
    listed = list_sources(source, config.listing)
    seconds = {"list": time.monotonic() - begin}
    if dry_run:
        return _dry(dataset_uri, listed, config)
    dataset = Dataset.create(dataset_uri).by(command)
    sources = todo.to_analyze(dataset, listed, config_digest(config.analyze))
    with RaySession(config.ray) as session:
        return _run(dataset, len(listed), sources, config, session, seconds, progress)


def retry(
    dataset_uri: str, config: CurateConfig, *, quarantined: bool = False, progress: Progress = silent
) -> CurateReport:
    """Run only what failed again, and what follows from it: failed sources as they are now, clips not cut.

    Args:
        quarantined: also what is in quarantine; else only if the file was replaced since.
    """
    dataset = Dataset.open(dataset_uri)
    rows = [row for row in views.sources(dataset).to_pylist() if row["status"] == "failed"]
    failed = [replace(look(row["uri"]), carried=row["carried"]) for row in rows]
    left = set() if quarantined else todo.quarantined(dataset, "analyze")
    sources = [source for source in failed if source.source_key not in left]
    again: todo.Again = "all" if quarantined else "failed"
    with RaySession(config.ray) as session:
        return _run(dataset, len(failed), sources, config, session, {}, progress, again)


def _run(
    dataset: Dataset,
    listed: int,
    sources: list[Source],
    config: CurateConfig,
    session: RaySession,
    seconds: dict[str, float],
    progress: Progress,
    again: todo.Again = "none",
) -> CurateReport:
    dataset, analyzed = _analyze(dataset, sources, config, session, progress)
    dataset, copies = dedup(dataset, config, session, progress)
    dataset, decided, select_s = _select(dataset, config)
    dataset, cut = _cut(dataset, config, session, progress, again)
    reasons = Counter(decided["reason"].to_pylist())
    kept = reasons.pop(KEPT, 0)
    seconds |= {"ray": session.start_s, "analyze": analyzed.seconds, "dedup": copies.seconds}
    seconds |= {"select": select_s, "cut": cut.seconds}
    return CurateReport(
        listed=listed,
        already_done=listed - len(sources),
        analyzed=analyzed.units - sum(analyzed.failed.values()),
        failed=analyzed.failed,
        clips=analyzed.counts.get("clips", 0),
        gaps=analyzed.counts.get("gaps", 0),
        compared=copies.fresh,
        decided=len(decided),
        kept=kept,
        dropped=dict(sorted(reasons.items())),
        to_cut=cut.units,
        cut=cut.counts.get("cut", 0),
        cut_failed=cut.failed,
        seconds={name: round(value, 2) for name, value in seconds.items()},
    )


def _analyze(
    dataset: Dataset, sources: list[Source], config: CurateConfig, session: RaySession, progress: Progress
) -> tuple[Dataset, StageRun]:
    runs = list(chunks(sources, cpus=session.cpus, most=_TASK_BYTES, weight=_weight))
    return _stage(dataset, "analyze", add_analyze, runs, config, progress, len(sources))


def _select(dataset: Dataset, settings: CurateConfig) -> tuple[Dataset, pa.Table, float]:
    begin = time.monotonic()
    config = settings.select
    decided = select(todo.to_select(dataset, config, settings.dedup), config)
    if len(decided):
        part = dataset.put("selections", decided)
        commit = Commit(
            stage="select",
            added=(part,),
            config=asdict(config),
            config_digest=config_digest(config),
            counts=dict(Counter(decided["reason"].to_pylist())),
            seconds=round(time.monotonic() - begin, 3),
        )
        dataset = dataset.commit(commit, rebase=True)
    return dataset, decided, time.monotonic() - begin


def _cut(
    dataset: Dataset, config: CurateConfig, session: RaySession, progress: Progress, again: todo.Again
) -> tuple[Dataset, StageRun]:
    units = todo.to_cut(dataset, config.cut, again)
    runs = list(chunks(units, cpus=session.cpus, most=config.cut.clips_per_tar, weight=_num_clips))
    return _stage(dataset, "cut", add_cut, runs, config, progress, sum(map(_num_clips, units)))


def _stage(
    dataset: Dataset,
    name: Literal["analyze", "cut"],
    add: Callable[..., Any],
    runs: list[Any],
    config: CurateConfig,
    progress: Progress,
    total: int,
) -> tuple[Dataset, StageRun]:
    """Run one stage on its tasks; `total` counts what progress counts."""
    if not runs:
        return dataset, StageRun()
    progress(name, 0, total)
    settings = getattr(config, name)
    with attempts_folder(dataset.uri) as notes:
        return run_stage(
            dataset,
            name,
            runs,
            lambda rows: add(rows, dataset.uri, settings, config.sandbox, notes, max_retries(runs)),
            config=settings,
            config_digest=config_digest(settings),
            commit_every_s=config.ray.commit_every_s,
            progress=progress,
        )


def _num_clips(unit: CutUnit) -> int:
    return len(unit.clip_ids)


def _weight(source: Source) -> int:
    """Bytes to read, but never so few that a task would take more than its share of small files."""
    return max(source.size_bytes, _TASK_BYTES // _TASK_SOURCES)


def _dry(dataset_uri: str, listed: list[Source], config: CurateConfig) -> CurateReport:
    """Say what would run on what is known now; clips of sources that are not analysed yet are not known."""
    dataset = Dataset.find(dataset_uri)
    if dataset is None:
        return CurateReport(listed=len(listed), already_done=0, dry_run=True)
    sources = todo.to_analyze(dataset, listed, config_digest(config.analyze))
    units = todo.to_cut(dataset, config.cut)
    return CurateReport(
        listed=len(listed),
        already_done=len(listed) - len(sources),
        compared=to_dedup(dataset, config).fresh,
        decided=len(todo.to_select(dataset, config.select, config.dedup)),
        to_cut=sum(len(unit.clip_ids) for unit in units),
        dry_run=True,
    )
