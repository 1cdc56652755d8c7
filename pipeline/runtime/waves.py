"""Run a stage in waves of tasks, so that the units of later waves take no memory yet."""

from collections import Counter
from collections.abc import Iterable
from itertools import islice
from typing import TypeVar

from manifests.dataset import Dataset
from pipeline.runtime.context import Stage, StageContext
from pipeline.runtime.progress import Progress
from pipeline.runtime.run_stage import StageResult, run_stage

T = TypeVar("T")

WAVE_TASKS = 1024
"""Tasks of one wave. Processors wait for the last task of each wave."""


def run_in_waves(
    dataset: Dataset,
    stage: Stage[T],
    batches: Iterable[list[T]],
    context: StageContext,
    progress: Progress,
) -> tuple[Dataset, StageResult]:
    """Run `stage` on `batches`, the units of one task each; return the sums over all waves."""
    units, counts, seconds, unloaded = 0, Counter[str](), 0.0, list[str]()
    remaining = iter(batches)
    while wave := list(islice(remaining, WAVE_TASKS)):
        dataset, result = run_stage(dataset, stage, wave, context, progress)
        units, seconds = units + result.units, seconds + result.seconds
        counts.update(result.counts)
        unloaded += result.unloaded
    return dataset, StageResult(
        units=units, counts=dict(counts), seconds=seconds, unloaded=tuple(dict.fromkeys(unloaded))
    )
