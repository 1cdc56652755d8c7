"""Run one stage: stream units through Ray Data and commit the results, in parts.

A task that raises, or that Ray gives up after its retries, does not end the job: its units become failures.
If no task at all returns a result, nothing is recorded. A full disk ends the job without failures.
"""

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, TypeVar
from uuid import uuid4

import ray.data
from ray.data.exceptions import ExecutionTimeoutError
from ray.exceptions import RayError

from manifests.dataset import Commit, Dataset
from manifests.redact import redact
from pipeline.runtime.context import Stage, StageContext
from pipeline.runtime.failures import TaskLost
from pipeline.runtime.loading import LoadNotes
from pipeline.runtime.progress import Progress
from pipeline.runtime.units import TaskResult, failed_counts, max_restarts, max_retries, to_row

T = TypeVar("T")

_GAVE_UP = "Ray gave its task up: the workers or machines that ran it died again and again (see Ray's logs)"


class StageFailed(ValueError):
    """No task of a stage returned a result, or the disk is full."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StageResult:
    """The sums over the tasks of a stage."""

    units: int = 0
    counts: Mapping[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    unloaded: tuple[str, ...] = ()
    """The error of each actor that could not load its model."""

    @property
    def failed(self) -> dict[str, int]:
        """Number of failed units by code."""
        return failed_counts(self.counts)


def run_stage(
    dataset: Dataset,
    stage: Stage[T],
    batches: Sequence[list[T]],
    context: StageContext,
    progress: Progress,
) -> tuple[Dataset, StageResult]:
    """Run `stage` on `batches`, the units of one task each.

    Tasks write parts and return their names. These are committed at least every `commit_every_s` seconds, and
    also when the job is interrupted.

    Raises StageFailed if no task returns a result, if no actor can load its model, if nothing is returned for
    `RayConfig.no_progress_timeout_s`, and as soon as the disk is full.
    """
    if not batches:
        return dataset, StageResult()
    begin = time.monotonic()
    context = replace(
        context,
        run_id=uuid4().hex,
        max_retries=max_retries(batches),
        max_restarts=max_restarts(batches),
    )
    pending = {task: dict(enumerate(batch)) for task, batch in enumerate(batches)}
    rows = [
        to_row(batch) | {"task": task, "unit_index": [*pending[task]]} for task, batch in enumerate(batches)
    ]
    errors: dict[int, str] = {}
    has_result = False
    commits = _Commits(dataset, stage, context.commit_every_s, progress)
    notes, unloaded = LoadNotes(context), ()
    try:
        units = ray.data.from_items(rows, override_num_blocks=len(rows))
        for row in _stream(stage.apply(units, stage.config, context), stage.name, notes):
            if row["full"]:
                raise StageFailed(f"{stage.name}: {redact(row['error'])}")
            if row["error"]:
                errors[row["task"]] = redact(row["error"])
                continue
            has_result = True
            if (result := stage.merge(TaskResult.from_row(row))) is None:
                continue
            if not pending[row["task"]].keys() >= {*row["unit_index"]}:
                continue  # an earlier attempt at the task returned these units
            for unit_index in row["unit_index"]:
                del pending[row["task"]][unit_index]
            commits.accept(result)
        if not has_result:
            raise StageFailed(_no_result(stage.name, errors, len(rows)))
        for task, lost in pending.items():
            if lost:
                error = TaskLost(errors.get(task, _GAVE_UP))
                commits.accept(stage.on_lost([*lost.values()], stage.config, context, error))
        unloaded = tuple(notes.failures())
    finally:
        notes.clear()
        commits.publish()
    result = StageResult(
        units=commits.units,
        counts=dict(commits.counts),
        seconds=time.monotonic() - begin,
        unloaded=unloaded,
    )
    return commits.dataset, result


class _Commits:
    """Collects task results and commits them from time to time."""

    def __init__(self, dataset: Dataset, stage: Stage[Any], every_s: float, progress: Progress) -> None:
        self.dataset, self.units, self.counts = dataset, 0, Counter[str]()
        self._stage, self._every_s, self._progress = stage, every_s, progress
        self._results: list[TaskResult] = []
        self._last_s = time.monotonic()

    def accept(self, result: TaskResult) -> None:
        self._results.append(result)
        self.units += result.units
        self.counts.update(result.counts)
        self._progress(self._stage.name, result.units)
        if time.monotonic() - self._last_s >= self._every_s:
            self.publish()

    def publish(self) -> None:
        if self._results:
            seconds = time.monotonic() - self._last_s
            self.dataset = self.dataset.commit(_commit(self._stage, self._results, seconds), rebase=True)
        self._results.clear()
        self._last_s = time.monotonic()


def _stream(rows: ray.data.Dataset, stage: str, notes: LoadNotes) -> Iterator[dict[str, Any]]:
    """Yield rows as they come, each as soon as its task returns it.

    A task that Ray gives up yields no row and raises nothing.
    """
    rows.context.max_errored_blocks = -1
    rows.context.target_max_block_size = 1  # a block a row: a larger one would wait for the end of its task
    batches: Iterable[Any] = rows.iter_batches(  # `iter_rows` holds each row back until the next one comes
        batch_size=None, batch_format="pyarrow", prefetch_batches=0
    )
    try:
        for batch in batches:
            yield from batch.to_pylist()
    except ExecutionTimeoutError as error:
        limit_s = rows.context.execution_no_progress_timeout_s
        raise StageFailed(
            f"{stage}: no task returned anything for {limit_s:g} s (--ray.no-progress-timeout-s). What was "
            "finished is committed: raise the limit, or set it to 0 for none, and run again"
        ) from error
    except RayError as error:
        failures = notes.failures()
        if not failures or notes.num_loaded():
            raise
        raise StageFailed(
            f"{stage}: no model could be loaded, so nothing was done. On {failures[0]}. Mend what the "
            f"message says, or leave each actor more room (--ray.{stage}.max-size, .cpus and .gpus)"
        ) from error


def _no_result(stage: str, errors: Mapping[int, str], tasks: int) -> str:
    first = next(iter(errors.values()), _GAVE_UP)
    return f"{stage}: none of {tasks} tasks gave anything back, so nothing is recorded. The first: {first}"


def _commit(stage: Stage[Any], results: Sequence[TaskResult], seconds: float) -> Commit:
    counts = Counter[str]()
    for result in results:
        counts.update(result.counts)
    return Commit(
        stage=stage.name,
        added=tuple(part for result in results for part in result.parts),
        config=asdict(stage.config),
        config_digest=stage.config_digest,
        counts={"units": sum(result.units for result in results), **counts},
        seconds=round(seconds, 3),
    )
