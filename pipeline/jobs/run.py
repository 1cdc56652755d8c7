"""Run one stage: stream units through Ray Data and commit what comes back, in parts."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import ray.data

from manifests.store import Commit, Dataset
from pipeline.jobs.progress import Progress
from pipeline.units import Done, to_row


@dataclass(frozen=True, kw_only=True, slots=True)
class StageRun:
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
    runs: Iterable[list[Any]],
    add: Callable[[ray.data.Dataset], ray.data.Dataset],
    *,
    config: Any,
    config_digest: str,
    commit_every_s: float,
    progress: Progress,
) -> tuple[Dataset, StageRun]:
    """Stream `runs`, the units of one task each, through the stage that `add` appends.

    Tasks write parts and hand back their names; these are committed at least every `commit_every_s`
    seconds, and also when the job is interrupted: what is finished is kept.
    """
    begin = committed = time.monotonic()
    rows = [to_row(run) for run in runs]
    if not rows:
        return dataset, StageRun(counts={})
    units, counts = 0, Counter[str]()
    waiting: list[Done] = []

    def publish() -> None:
        nonlocal dataset, committed
        if waiting:
            dataset = _commit(dataset, stage, waiting, config, config_digest, time.monotonic() - committed)
        waiting.clear()
        committed = time.monotonic()

    try:
        for row in add(ray.data.from_items(rows, override_num_blocks=len(rows))).iter_rows():
            done = Done.from_row(row)
            waiting.append(done)
            units += done.units
            counts.update(done.counts)
            progress(stage, done.units)
            if time.monotonic() - committed >= commit_every_s:
                publish()
    finally:
        publish()
    return dataset, StageRun(units=units, counts=dict(counts), seconds=time.monotonic() - begin)


def _commit(
    dataset: Dataset, stage: str, done: list[Done], config: Any, config_digest: str, seconds: float
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
