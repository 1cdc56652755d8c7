"""Encode on Ray: an actor for each process, on this machine or on a cluster."""

import os
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError

from pipeline.config import PoolConfig, RayConfig
from pipeline.runtime.session import RaySession
from pipeline.runtime.tasks import resources
from trainer.config import EncodeConfig
from trainer.data.encode_tasks import OpenWorkers, Report, Task, Workers

_MAX_DEATHS = 3
"""Actors that one task may cost."""
_LOCAL_S = 120.0
"""Seconds to wait for the first actor on this machine."""


def on_ray(pool: PoolConfig, ray_config: RayConfig) -> OpenWorkers:
    """Return what starts `config.processes` actors with the resources of `pool`."""
    return partial(_open_workers, pool=pool, ray_config=ray_config)


@contextmanager
def _open_workers(config: EncodeConfig, *, pool: PoolConfig, ray_config: RayConfig) -> Generator[Workers]:
    config, needs = _absolute(config), resources(pool)
    with RaySession(ray_config) as session:
        cpus, on_cluster = session.cpus, bool(os.environ.get("RAY_ADDRESS"))
        if not on_cluster and needs.get("CPU", 0) > cpus:
            raise ValueError(f"pool.cpus={pool.cpus:g}, but Ray has {cpus} CPUs on this machine: lower it")
        options = {"num_cpus": needs.pop("CPU", 0), "num_gpus": needs.pop("GPU", 0), "resources": needs}
        encoder: Any = ray.remote(_Encoder)
        actors = _Actors(
            lambda: encoder.options(**options).remote(config, pool.cpus),
            count=config.processes,
            wait_s=ray_config.wait_for_nodes_s if on_cluster else _LOCAL_S,
        )
        try:
            yield actors
        finally:
            actors.end()


def _absolute(config: EncodeConfig) -> EncodeConfig:
    """Return the configuration with paths that mean the same in every process."""

    def absolute(path: str) -> str:
        return str(Path(path).absolute()) if Path(path).exists() else path

    text_encoder = absolute(config.text_encoder)
    return replace(
        config, shards=absolute(config.shards), vae=absolute(config.vae), text_encoder=text_encoder
    )


class _Encoder:
    """An actor that holds the networks."""

    def __init__(self, config: EncodeConfig, cpus: float) -> None:
        self._config, self._cpus, self._worker = config, cpus, None

    def run(self, task: Task | None) -> Report | Exception:
        """Run one task, or with None only load; return an error instead of raising it."""
        import torch

        from trainer.data.encode_worker import Worker
        from trainer.precision import best_device

        try:
            if self._worker is None:
                torch.set_num_threads(max(1, int(self._cpus)))
                self._worker = Worker(self._config, str(best_device()))
            return self._worker.run(task) if task else Report()
        except (OSError, ValueError) as error:
            return error


class _Actors:
    """Gives each actor a task at a time. Actors that cannot start yet join when they do.

    The task of an actor that dies goes to another one, and a new actor replaces it. Ray's own retries wait
    for the same actor, which never comes back where another one took its CPU.
    """

    def __init__(self, start: Callable[[], Any], *, count: int, wait_s: float) -> None:
        self.count, self._start, self._wait_s = count, start, wait_s
        self._busy: dict[Any, tuple[Any, Task | None]] = {}
        self._idle: list[Any] = []
        self._deaths: Counter[Task | None] = Counter()
        self._started = False
        for _ in range(count):
            self._give(start(), None)

    def map(self, tasks: Iterable[Task]) -> Iterator[Report]:
        tasks = iter(tasks)
        again: list[Task] = []
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

    def _give(self, actor: Any, task: Task | None) -> None:
        self._busy[actor.run.remote(task)] = actor, task

    def _next(self) -> tuple[Task | None, Report | None]:
        """Wait for the next actor; return its task, None if it has only started, and None if it died."""
        done, _ = ray.wait([*self._busy], timeout=None if self._started else self._wait_s)
        if not done:
            raise OSError(
                f"no actor of `kinora encode` could start within {self._wait_s:.0f} s: no node has the "
                "resources of `--pool.cpus`, `--pool.gpus` and `--pool.label` free"
            )
        actor, task = self._busy.pop(done[0])
        try:
            report = ray.get(done[0])
        except RayError as error:
            self._deaths[task] += 1
            if self._deaths[task] > _MAX_DEATHS:
                raise OSError(
                    f"{_MAX_DEATHS + 1} actors of `kinora encode` died ({type(error).__name__}), for lack of "
                    "memory or with their nodes; what they had written stands. Run the same command again, "
                    "with a smaller --batch-mb"
                ) from error
            self._give(self._start(), None)
            return task, None
        self._started = True
        if isinstance(report, Exception):
            raise report
        self._idle.append(actor)
        return task, report
