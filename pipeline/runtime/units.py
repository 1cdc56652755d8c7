"""Units of work: how many go into one task, and what a task hands back. Pixels never pass here."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from math import ceil
from typing import Any, TypeVar

from manifests.dataset import Part
from pipeline.runtime.attempt_log import MAX_NODE_DEATHS, MAX_WORKER_DEATHS

T = TypeVar("T")

MAX_RETRIES = 2
"""How often Ray runs a task again whose worker died. Ray's default has no end."""
_DEATHS = MAX_WORKER_DEATHS + MAX_NODE_DEATHS + 1
"""Most deaths that a unit can be the cause of; the 1 is for a batch that it is in."""
_IDLE_DEATHS = 100
"""Deaths of an actor that no unit is charged with: its machine went away while it waited."""
TASKS_PER_CPU = 4
"""Enough tasks that one slow file does not leave the other processors idle."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskResult:
    """What one task wrote. Its parts count once a commit names them."""

    parts: tuple[Part, ...]
    units: int
    """How many units the task was given."""
    counts: Mapping[str, int] = field(default_factory=dict)
    read_bytes: int = 0
    """Size of the files and clips that it was given."""
    piece: Mapping[str, Any] | None = None
    """Of a task on a part of a unit: what to join with the other parts (`ChunkMerger`). Its units are 0."""

    @property
    def failed(self) -> dict[str, int]:
        """How many units failed, by code."""
        return {name[7:]: n for name, n in sorted(self.counts.items()) if name.startswith("failed ")}

    def to_row(self) -> dict[str, str]:
        """Return a row for Ray Data."""
        return {"done": json.dumps(asdict(self))}

    @classmethod
    def from_row(cls, row: Mapping[str, str]) -> "TaskResult":
        """Undo `to_row`."""
        content = json.loads(row["done"])
        parts = tuple(Part(**part) for part in content["parts"])
        return cls(**{**content, "parts": parts, "counts": Counter(content["counts"])})


def batch_units(
    units: Sequence[T], *, cpus: int, max_weight: int, weight: Callable[[T], int] = lambda unit: 1
) -> Iterator[list[T]]:
    """Cut `units` into runs for one task each, of at most `most` weight (or one unit that is heavier).

    Runs are shorter where there is little work, so that every processor gets several.
    """
    limit = batch_weight(units, cpus=cpus, max_weight=max_weight, weight=weight)
    run: list[T] = []
    total = 0
    for unit in units:
        if run and total + weight(unit) > limit:
            yield run
            run, total = [], 0
        run.append(unit)
        total += weight(unit)
    if run:
        yield run


def batch_weight(
    units: Iterable[T], *, cpus: int, max_weight: int, weight: Callable[[T], int] = lambda unit: 1
) -> int:
    """Return the weight that one task takes of `units`."""
    return min(max_weight, max(1, ceil(sum(map(weight, units)) / (cpus * TASKS_PER_CPU))))


def max_retries(runs: Iterable[Sequence[Any]]) -> int:
    """Return how often a task whose worker died must be run again, for `runs`, the units of one task each.

    Every unit may end its worker `MAX_WORKER_DEATHS` times, and its machine `MAX_NODE_DEATHS` times, before
    it is quarantined; a worker that dies more often does so on its own account, and its task is lost.
    """
    return _DEATHS * max(map(len, runs)) + MAX_RETRIES


def max_restarts(runs: Iterable[Sequence[Any]]) -> int:
    """Return how often an actor that works on `runs` is started again: more often than all units can end it.

    Ray Data 2.60 waits for ever where the last actor of a pool is at its end.
    """
    return _DEATHS * sum(map(len, runs)) + _IDLE_DEATHS


def to_row(units: Sequence[Any]) -> dict[str, str]:
    """Return one task's units, dataclasses of plain fields, as a row for Ray Data."""
    return {"units": json.dumps([asdict(unit) for unit in units])}


def from_row(row: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the fields of each unit of a row made by `to_row`."""
    return json.loads(row["units"])
