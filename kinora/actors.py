"""Actors on Ray that share out tasks: on this machine or on a cluster."""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Generic, TypeVar

import ray
from ray.exceptions import RayError

from pipeline.config import PoolConfig, RayConfig
from pipeline.runtime.tasks import resources

T = TypeVar("T")
R = TypeVar("R")

_MAX_DEATHS = 3
"""Actors that one task may cost."""
_LOCAL_S = 120.0
"""Seconds to wait for the first actor on this machine."""


def actor_options(pool: PoolConfig, cpus: int) -> dict[str, Any]:
    """Return Ray's options of an actor with the resources of `pool`.

    Raises ValueError where this machine has fewer CPUs than one needs.
    """
    needs = resources(pool)
    if not is_on_cluster() and needs.get("CPU", 0) > cpus:
        raise ValueError(f"pool.cpus={pool.cpus:g}, but Ray has {cpus} CPUs on this machine: lower it")
    return {"num_cpus": needs.pop("CPU", 0), "num_gpus": needs.pop("GPU", 0), "resources": needs}


def seconds_to_wait(ray_config: RayConfig) -> float:
    """Return how long to wait for the first actor."""
    return ray_config.wait_for_nodes_s if is_on_cluster() else _LOCAL_S


def is_on_cluster() -> bool:
    return bool(os.environ.get("RAY_ADDRESS"))


class Actors(Generic[T, R]):
    """Gives each actor a task at a time. Actors that cannot start yet join when they do.

    The task of an actor that dies goes to another one, and a new actor replaces it. Ray's own retries wait
    for the same actor, which never comes back where another one took its CPU.
    """

    def __init__(
        self, start: Callable[[], Any], *, count: int, wait_s: float, command: str, hint: str
    ) -> None:
        """Start the actors.

        Args:
            start: starts one, whose method `run` takes a task, or None to only load, and returns an error
                instead of raising it.
            wait_s: seconds to wait for the first one.
            command, hint: what to run again where several died, and what to do about it.
        """
        self.count, self._start, self._wait_s = count, start, wait_s
        self._command, self._hint = command, hint
        self._busy: dict[Any, tuple[Any, T | None]] = {}
        self._idle: list[Any] = []
        self._deaths: Counter[T | None] = Counter()
        self._started = False
        for _ in range(count):
            self._give(start(), None)

    def start(self) -> None:
        """Do nothing: actors start as they are made."""

    def map(self, tasks: Iterable[T]) -> Iterator[R]:
        tasks = iter(tasks)
        again: list[T] = []
        while True:
            while self._idle and (task := again.pop() if again else next(tasks, None)):
                self._give(self._idle.pop(), task)
            if self._idle and all(task is None for _, task in self._busy.values()):
                return
            task, report = self._next()
            if task is not None and report is None:
                again.append(task)
            elif task is not None and report is not None:
                yield report

    def end(self) -> None:
        """End all actors."""
        for actor in [*self._idle, *(actor for actor, _ in self._busy.values())]:
            ray.kill(actor)

    def _give(self, actor: Any, task: T | None) -> None:
        self._busy[actor.run.remote(task)] = actor, task

    def _next(self) -> tuple[T | None, R | None]:
        """Wait for the next actor; return its task, None if it has only started, and None if it died."""
        done, _ = ray.wait([*self._busy], timeout=None if self._started else self._wait_s)
        if not done:
            raise OSError(
                f"no actor of `{self._command}` could start within {self._wait_s:.0f} s: no node has the "
                "resources of `--pool.cpus`, `--pool.gpus` and `--pool.label` free"
            )
        actor, task = self._busy.pop(done[0])
        try:
            report = ray.get(done[0])
        except RayError as error:
            self._deaths[task] += 1
            if self._deaths[task] > _MAX_DEATHS:
                raise OSError(
                    f"{_MAX_DEATHS + 1} actors of `{self._command}` died ({type(error).__name__}), for lack "
                    "of memory or with their nodes; what they had written stands. Run the same command "
                    f"again, {self._hint}"
                ) from error
            self._give(self._start(), None)
            return task, None
        self._started = True
        if isinstance(report, Exception):
            raise report
        self._idle.append(actor)
        return task, report
