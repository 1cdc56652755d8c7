"""Generate and judge the cases of a row in parallel processes.

Legend: B videos, T frames, H height, W width, C channels (RGB).
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import cast

import numpy as np

from kinora.evaluation.cases import Case, Outcome, Row, Verdict
from kinora.evaluation.sampling import run_batches
from kinora.evaluation.videos import StoringMaker, VideoStore
from trainer.config import SampleConfig
from trainer.sample.decode import reconstruct
from trainer.sample.model import TextToVideo

BATCH = 16
LARGEST_BATCH_PIXELS = 16 * 17 * 64 * 64
"""Most pixels, of all frames, that a batch of videos holds; a single video may hold more."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CaseBatch:
    """Cases of one group and shape, each with another whose prompt tells what chance is."""

    row: str
    cases: tuple[Case, ...]
    others: tuple[Case | None, ...]
    sample: SampleConfig
    store: Path
    shown: int
    """Videos of cases below this index are returned."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Judged:
    """An outcome, and the frames of a video that is shown."""

    outcome: Outcome
    frames_THWC: np.ndarray | None


def row_of(name: str) -> Row:
    """Return the module of a row."""
    return cast(Row, import_module(f"kinora.evaluation.rows.{name}"))


def run_row(
    model: Path,
    row: str,
    cases: Sequence[Case],
    sample: SampleConfig,
    *,
    store: Path,
    processes: int,
    shown: int,
    on_batch: Callable[[int], None] = lambda done: None,
) -> list[Judged]:
    """Return what was judged of each case, by group and index.

    Args:
        store: folder of the videos that were made with these weights.
        on_batch: is called with the number of cases done.
    """
    batches = [
        CaseBatch(row=row, cases=tuple(own), others=tuple(others), sample=sample, store=store, shown=shown)
        for own, others in _batches(cases)
    ]
    done: list[Judged] = []
    for judged in run_batches(model, judge_batch, batches, processes):
        done += judged
        on_batch(len(done))
    places = {(case.group, case.index): place for place, case in enumerate(cases)}
    return sorted(done, key=lambda each: places[each.outcome.case.group, each.outcome.case.index])


def _batches(cases: Sequence[Case]) -> list[tuple[list[Case], list[Case | None]]]:
    """Divide cases by group and shape; the other case of each is the next of its group and shape."""
    alike: defaultdict[tuple[str, int, int, int], list[Case]] = defaultdict(list)
    for case in cases:
        world = case.world
        alike[case.group, world.num_frames, world.height, world.width].append(case)
    batches = []
    for (_, frames, height, width), own in alike.items():
        others: list[Case | None] = [*own[1:], own[0]] if len(own) > 1 else [None]
        size = max(1, min(BATCH, LARGEST_BATCH_PIXELS // (frames * height * width)))
        batches += [(own[i : i + size], others[i : i + size]) for i in range(0, len(own), size)]
    return batches


def judge_batch(model: TextToVideo, batch: CaseBatch) -> list[Judged]:
    """Generate and judge a batch."""
    row = row_of(batch.row)
    maker = StoringMaker(model, batch.sample, VideoStore(batch.store))
    videos = row.make(batch.cases, maker)
    ceilings = _ceilings(model, row, batch.cases)
    judged = []
    for place, (case, other, frames_THWC) in enumerate(zip(batch.cases, batch.others, videos, strict=True)):
        outcome = Outcome(
            case=case,
            verdict=row.judge(case, frames_THWC),
            chance=row.judge(other, frames_THWC) if other is not None and row.CHANCE else {},
            ceiling=ceilings[place],
            seconds={name: seconds[place] for name, seconds in maker.seconds.items()},
        )
        judged.append(Judged(outcome=outcome, frames_THWC=frames_THWC if case.index < batch.shown else None))
    return judged


def _ceilings(model: TextToVideo, row: Row, cases: Sequence[Case]) -> list[Verdict]:
    """Judge what a perfect model would make, after the VAE."""
    truths = [row.truth(case) for case in cases]
    known = [frames_THWC for frames_THWC in truths if frames_THWC is not None]
    if len(known) < len(cases):
        return [{} for _ in cases]
    trips_BTHWC = reconstruct(model.vae, np.stack(known))
    return [
        row.judge(case, row.with_given(case, trip_THWC))
        for case, trip_THWC in zip(cases, trips_BTHWC, strict=True)
    ]
