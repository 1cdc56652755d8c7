"""Run a stage in waves of tasks: what waits its turn is not made yet, so memory stays flat."""

from collections import Counter
from collections.abc import Callable, Iterable
from itertools import islice
from typing import TypeVar

from manifests.dataset import Dataset
from pipeline.runtime.run_stage import StageResult

T = TypeVar("T")

TASKS = 1024
"""Tasks of one wave. At its end processors wait for the last ones: with so many, for little of the time."""


def run_in_waves(
    dataset: Dataset,
    runs: Iterable[list[T]],
    run: Callable[[Dataset, list[list[T]]], tuple[Dataset, StageResult]],
    tasks: int = TASKS,
) -> tuple[Dataset, StageResult]:
    """Give `runs`, the units of one task each, to `run` some at a time; return what all waves came to."""
    units, counts, seconds = 0, Counter[str](), 0.0
    waiting = iter(runs)
    while wave := list(islice(waiting, tasks)):
        dataset, done = run(dataset, wave)
        units, seconds = units + done.units, seconds + done.seconds
        counts.update(done.counts)
    return dataset, StageResult(units=units, counts=dict(counts), seconds=seconds)
