"""Units of work: how many go into one task, and what a task returns. Frames never pass through here."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from math import ceil
from typing import Any, TypeVar

from manifests.dataset import Part
from pipeline.runtime.attempt_log import MAX_NODE_DEATHS, MAX_WORKER_DEATHS

T = TypeVar("T")

MAX_RETRIES = 2
"""Retries of a task whose worker dies, besides deaths charged to its units. Ray's default is unlimited."""
_MAX_UNIT_DEATHS = MAX_WORKER_DEATHS + MAX_NODE_DEATHS + 1
"""Most deaths that one unit can cause; the 1 is for a batch that contains it."""
_IDLE_DEATHS = 100
"""Deaths of an actor not charged to a unit: its node went away while it was idle."""
TASKS_PER_CPU = 4
"""So that one slow file leaves no other processor idle."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskResult:
    """The parts that one task wrote, uncommitted, and their counts."""

    parts: tuple[Part, ...]
    units: int
    """Number of units that the task was given."""
    counts: Mapping[str, int] = field(default_factory=dict)
    read_bytes: int = 0
    """Total size of the files and clips that the task was given."""
    chunk: Mapping[str, Any] | None = None
    """Of a task on one chunk of a file: what `ChunkMerger` merges. Such a task has 0 units."""

    @property
    def failed(self) -> dict[str, int]:
        """Number of failed units by code."""
        return failed_counts(self.counts)

    def to_row(self) -> dict[str, str]:
        """Return a row for Ray Data."""
        return {"done": json.dumps(asdict(self))}

    @classmethod
    def from_row(cls, row: Mapping[str, str]) -> "TaskResult":
        """Parse a row made by `to_row`."""
        content = json.loads(row["done"])
        parts = tuple(Part(**part) for part in content["parts"])
        return cls(**{**content, "parts": parts})


def failed_counts(counts: Mapping[str, int]) -> dict[str, int]:
    """Return the counts named `failed CODE`, by code."""
    prefix = "failed "
    return {name.removeprefix(prefix): n for name, n in sorted(counts.items()) if name.startswith(prefix)}


def batch_units(
    units: Sequence[T], *, cpus: int, max_weight: int, weight: Callable[[T], int] = lambda unit: 1
) -> Iterator[list[T]]:
    """Split `units` into batches for one task each, of at most `max_weight` (or one heavier unit).

    Batches are smaller if there is little work, so that every processor gets several.
    """
    limit = batch_weight(units, cpus=cpus, max_weight=max_weight, weight=weight)
    batch: list[T] = []
    total = 0
    for unit in units:
        if batch and total + weight(unit) > limit:
            yield batch
            batch, total = [], 0
        batch.append(unit)
        total += weight(unit)
    if batch:
        yield batch


def batch_weight(
    units: Iterable[T], *, cpus: int, max_weight: int, weight: Callable[[T], int] = lambda unit: 1
) -> int:
    """Return the weight of one batch of `units`."""
    return min(max_weight, max(1, ceil(sum(map(weight, units)) / (cpus * TASKS_PER_CPU))))


def max_retries(batches: Iterable[Sequence[Any]]) -> int:
    """Return how often Ray must retry a task whose worker dies, so that each unit can be quarantined."""
    return _MAX_UNIT_DEATHS * max(map(len, batches)) + MAX_RETRIES


def max_restarts(batches: Iterable[Sequence[Any]]) -> int:
    """Return how often Ray must restart an actor: more often than all units of `batches` can kill it.

    Ray Data 2.60 hangs when the last actor of a pool has used up its restarts.
    """
    return _MAX_UNIT_DEATHS * sum(map(len, batches)) + _IDLE_DEATHS


def to_row(units: Sequence[Any]) -> dict[str, str]:
    """Return the units of one task, dataclasses of plain fields, as a row for Ray Data."""
    return {"units": json.dumps([asdict(unit) for unit in units])}


def from_row(row: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the fields of each unit of a row made by `to_row`."""
    return json.loads(row["units"])
