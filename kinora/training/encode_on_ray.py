"""Encode on Ray: an actor for each process, on this machine or on a cluster."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import ray

from kinora.actors import Actors, actor_options, seconds_to_wait
from pipeline.config import PoolConfig, RayConfig
from pipeline.runtime.session import RaySession
from trainer.config import EncodeConfig
from trainer.data.encode_tasks import OpenWorkers, Report, Task, Workers


def on_ray(pool: PoolConfig, ray_config: RayConfig) -> OpenWorkers:
    """Return what starts `config.processes` actors with the resources of `pool`."""
    return partial(_open_workers, pool=pool, ray_config=ray_config)


@contextmanager
def _open_workers(config: EncodeConfig, *, pool: PoolConfig, ray_config: RayConfig) -> Generator[Workers]:
    config = _absolute(config)
    with RaySession(ray_config) as session:
        options = actor_options(pool, session.cpus)
        encoder: Any = ray.remote(_Encoder)
        actors = Actors[Task, Report](
            lambda: encoder.options(**options).remote(config, pool.cpus),
            count=config.processes,
            wait_s=seconds_to_wait(ray_config),
            command="kinora encode",
            hint="with a smaller --batch-mb",
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
