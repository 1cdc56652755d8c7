"""Whether the pools of a job can run on the machines that there are. Pure functions."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pipeline.config import PoolConfig, RayConfig
from pipeline.runtime.tasks import fits, resources

ACTORS = ("score", "caption", "audit")
"""Stages whose pools hold actors, which occupy their resources while the stage runs."""


class PoolsUnfit(ValueError):
    """A pool needs more than there is. The message holds both numbers and the remedy."""


def check_pools(stages: Sequence[str], config: RayConfig, nodes: Sequence[Mapping[str, float]]) -> None:
    """Raise PoolsUnfit if no node can run a stage, or if its actors do not all fit.

    Args:
        nodes: the resources of each node.
    """
    for stage in stages:
        pool: PoolConfig = getattr(config, stage)
        if not any(fits(pool, node) for node in nodes):
            raise PoolsUnfit(
                f"ray.{stage} takes {resources(pool)} for {_kind(stage)}, and the largest node has "
                f"{_largest(pool, nodes)}: lower --ray.{stage}.cpus or .gpus, or drop .label"
            )
        check_actors(stage, pool, nodes)


def check_actors(stage: str, pool: PoolConfig, nodes: Sequence[Mapping[str, float]]) -> None:
    """Raise PoolsUnfit if the nodes do not hold the `min_size` actors of a stage."""
    room = capacity(pool, nodes)
    if stage in ACTORS and pool.min_size > room:
        raise PoolsUnfit(
            f"ray.{stage}.min_size keeps {pool.min_size} actors of {resources(pool)}, and there is room for "
            f"{room}: lower --ray.{stage}.min-size to at most {room}, or .cpus and .gpus"
        )


def capacity(pool: PoolConfig, nodes: Iterable[Mapping[str, float]]) -> int:
    """Return how many tasks of `pool` the nodes run at once."""
    amounts = resources(pool)
    if not amounts:
        return 2**31
    return sum(
        min(math.floor(node.get(name, 0.0) / amount + 1e-9) for name, amount in amounts.items())
        for node in nodes
    )


def share_cpus(tasks: PoolConfig, actors: PoolConfig, cpus: float) -> tuple[PoolConfig, PoolConfig]:
    """Size the pools of analysis and of the scorers so that a task finds CPUs beside the actors.

    Where one task and one actor do not fit beside each other, as on one CPU, both count for less.

    Raises PoolsUnfit if `min_size` actors leave no CPUs for a task.
    """
    if tasks.label and actors.label and tasks.label != actors.label:
        return tasks, actors  # on nodes of their own
    least = max(1, actors.min_size)
    needed = tasks.cpus + least * actors.cpus
    if needed > cpus:
        if least > 1 or max(tasks.cpus, actors.cpus) > cpus:
            room = max(0, math.floor((cpus - tasks.cpus) / actors.cpus)) if actors.cpus else 0
            raise PoolsUnfit(
                f"ray.score keeps {least} actors of {actors.cpus:g} CPUs beside a task of ray.analyze of "
                f"{tasks.cpus:g}: that takes {needed:g} CPUs, and Ray has {cpus:g}. Lower "
                f"--ray.score.min-size to at most {max(1, room)}, or --ray.score.cpus"
            )
        share = cpus / needed
        return _scaled(tasks, share), replace(_scaled(actors, share), max_size=1)
    room = math.floor((cpus - tasks.cpus) / actors.cpus) if actors.cpus else actors.max_size
    return tasks, replace(actors, max_size=max(least, min(actors.max_size or room, room)))


def _scaled(pool: PoolConfig, share: float) -> PoolConfig:
    return replace(pool, cpus=math.floor(pool.cpus * share * 1e4) / 1e4)  # Ray counts in ten-thousandths


def _kind(stage: str) -> str:
    return "an actor" if stage in ACTORS else "a task"


def _largest(pool: PoolConfig, nodes: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    names = resources(pool)
    found = max(nodes, key=lambda node: [node.get(name, 0.0) for name in names], default={})
    return {name: found.get(name, 0.0) for name in names}
