"""Make the rows of a prompts file on Ray: an actor for each process or GPU, with a model of its own."""

from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from math import ceil
from typing import Any

import ray

from kinora.actors import Actors, actor_options, seconds_to_wait
from kinora.generation.row_worker import OpenRowWorkers, RowOptions, RowTask, RowWorker, RowWorkers
from kinora.generation.rows import RowError, RowResult
from pipeline.config import PoolConfig, RayConfig
from pipeline.runtime.session import RaySession

Results = list[RowResult | RowError]


def on_ray(processes: int, pool: PoolConfig, ray_config: RayConfig) -> OpenRowWorkers:
    """Return what starts `processes` actors with the resources of `pool`. All nodes must see the files."""
    return partial(_open_workers, processes=processes, pool=pool, ray_config=ray_config)


@contextmanager
def _open_workers(
    options: RowOptions, *, processes: int, pool: PoolConfig, ray_config: RayConfig
) -> Generator[RowWorkers]:
    with RaySession(ray_config) as session:
        resources = actor_options(pool, session.cpus)
        maker: Any = ray.remote(_Maker)
        actors = Actors[RowTask, Results](
            lambda: maker.options(**resources).remote(options, pool.cpus),
            count=processes,
            wait_s=seconds_to_wait(ray_config),
            command="kinora generate",
            hint="with fewer --processes, or with more memory for each",
        )
        try:
            yield _Shared(actors)
        finally:
            actors.end()


class _Shared:
    """Divides tasks, so that every actor has some."""

    def __init__(self, actors: Actors[RowTask, Results]) -> None:
        self._actors = actors

    def map(self, tasks: Iterable[RowTask]) -> Iterator[Results]:
        rows = [pair for task in tasks for pair in task]
        size = max(1, min(8, ceil(len(rows) / self._actors.count)))
        return self._actors.map(RowTask(rows[at : at + size]) for at in range(0, len(rows), size))


class _Maker:
    """An actor that holds a model."""

    def __init__(self, options: RowOptions, cpus: float) -> None:
        self._options, self._cpus, self._worker = options, cpus, None

    def run(self, task: RowTask | None) -> Results | Exception:
        """Make the rows of a task, or with None only load; return an error instead of raising it."""
        import torch

        try:
            if self._worker is None:
                torch.set_num_threads(max(1, int(self._cpus)))
                self._worker = RowWorker(self._options)
            return self._worker.run(task) if task else []
        except (OSError, ValueError) as error:
            return error
