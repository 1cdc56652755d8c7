"""Run one stage: stream units through Ray Data and commit what comes back, in parts.

A task that raises, or that Ray gives up after its retries, ends no job: its units become failures, and the
rest goes on. Only when no task at all gave something back is nothing recorded: the fault is the cluster's.
Nor does a full disk make failures: it ends the job, and the same command goes on.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar

import ray.data

from manifests.dataset import Commit, Dataset
from manifests.redact import redact
from pipeline.runtime.failures import TaskLost
from pipeline.runtime.progress import Progress
from pipeline.runtime.units import TaskResult, to_row

T = TypeVar("T")


class StageFailed(ValueError):
    """No task of a stage gave anything back, or there is no room for what they give."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StageResult:
    """What running a stage came to."""

    units: int = 0
    counts: Mapping[str, int] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def failed(self) -> dict[str, int]:
        """How many units failed, by code."""
        return {name[7:]: n for name, n in sorted(self.counts.items()) if name.startswith("failed ")}


def run_stage(
    dataset: Dataset,
    stage: str,
    runs: Iterable[list[T]],
    add: Callable[[ray.data.Dataset], ray.data.Dataset],
    lose: Callable[[list[T], Exception], TaskResult],
    *,
    config: Any,
    config_digest: str,
    commit_every_s: float,
    progress: Progress,
    join: Callable[[TaskResult], TaskResult | None] = lambda done: done,
) -> tuple[Dataset, StageResult]:
    """Stream `runs`, the units of one task each, through the stage that `add` appends.

    Tasks write parts and hand back their names; these are committed at least every `commit_every_s`
    seconds, and also when the job is interrupted: what is finished is kept.

    Args:
        lose: writes the failures of the units of a task that gave nothing back.
        join: takes what a task did; returns what is whole now, or None for a part of a unit that others are
            still at work on.

    Raises StageFailed when that is so of every task, and as soon as there is no room for what one gives.
    """
    begin = committed = time.monotonic()
    tasks = list(runs)
    if not tasks:
        return dataset, StageResult(counts={})
    left = {task: dict(enumerate(run)) for task, run in enumerate(tasks)}
    rows = [to_row(run) | {"task": task, "unit_index": [*left[task]]} for task, run in enumerate(tasks)]
    errors: dict[int, str] = {}
    units, counts = 0, Counter[str]()
    waiting: list[TaskResult] = []
    answered = False

    def publish() -> None:
        nonlocal dataset, committed
        if waiting:
            dataset = _commit(dataset, stage, waiting, config, config_digest, time.monotonic() - committed)
        waiting.clear()
        committed = time.monotonic()

    def take(done: TaskResult) -> None:
        nonlocal units
        waiting.append(done)
        units += done.units
        counts.update(done.counts)
        progress(stage, done.units)
        if time.monotonic() - committed >= commit_every_s:
            publish()

    try:
        for row in _stream(add(ray.data.from_items(rows, override_num_blocks=len(rows)))):
            if row["full"]:
                raise StageFailed(f"{stage}: {redact(row['error'])}")
            if row["error"]:
                errors[row["task"]] = redact(row["error"])
                continue
            answered = True
            if (done := join(TaskResult.from_row(row))) is None:
                continue
            for at in row["unit_index"]:
                del left[row["task"]][at]
            take(done)
        if not answered:
            raise StageFailed(_why(stage, errors, len(rows)))
        for task, units_left in left.items():
            if units_left:
                take(lose([*units_left.values()], TaskLost(errors.get(task, _GAVE_UP))))
    finally:
        publish()
    return dataset, StageResult(units=units, counts=dict(counts), seconds=time.monotonic() - begin)


_GAVE_UP = "Ray gave its task up: the workers or machines that ran it died again and again (see Ray's logs)"


def _stream(units: ray.data.Dataset) -> Iterator[dict[str, Any]]:
    """Yield rows as they come. A task that Ray gives up is no row, and ends nothing."""
    units.context.max_errored_blocks = -1
    return iter(units.iter_rows())


def _why(stage: str, errors: Mapping[int, str], tasks: int) -> str:
    first = next(iter(errors.values()), _GAVE_UP)
    return f"{stage}: none of {tasks} tasks gave anything back, so nothing is recorded. The first: {first}"


def _commit(
    dataset: Dataset, stage: str, done: list[TaskResult], config: Any, config_digest: str, seconds: float
) -> Dataset:
    counts = Counter[str]()
    for each in done:
        counts.update(each.counts)
    commit = Commit(
        stage=stage,
        added=tuple(part for each in done for part in each.parts),
        config=asdict(config),
        config_digest=config_digest,
        counts={"units": sum(each.units for each in done), **counts},
        seconds=round(seconds, 3),
    )
    return dataset.commit(commit, rebase=True)
