"""A stage of a job, and the context that it runs in."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import ray.data

from pipeline.config import PoolConfig, RayConfig
from pipeline.runtime.attempt_log import temporary_attempts_uri
from pipeline.runtime.units import MAX_RETRIES, TaskResult
from video.config import SandboxConfig

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class StageContext:
    """Where a stage reads and writes, and the limits of its tasks. Travels to the workers."""

    dataset_uri: str
    attempts_uri: str = ""
    """Where attempts at units are logged."""
    run_id: str = ""
    """Names this run of the stage in the log; each wave is one."""
    sandbox: SandboxConfig = field(default_factory=SandboxConfig)
    pool: PoolConfig = field(default_factory=PoolConfig)
    """The nodes and resources of the tasks or actors."""
    max_retries: int = MAX_RETRIES
    """Retries of a task whose worker dies."""
    max_restarts: int = 0
    """Restarts of an actor that dies."""
    commit_every_s: float = 10.0
    """Longest time between two commits of finished work."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Stage(Generic[T]):
    """One stage over units of type `T`."""

    name: str
    config: Any
    config_digest: str
    apply: Callable[[ray.data.Dataset, Any, StageContext], ray.data.Dataset]
    """Append the stage to a dataset of units: `add_x(dataset, config, context)`."""
    on_lost: Callable[[list[T], Any, StageContext, Exception], TaskResult]
    """Write the failures of the units of a task that returned nothing."""
    merge: Callable[[TaskResult], TaskResult | None] = lambda result: result
    """Return the result once it is complete; None for a chunk of a unit whose other chunks are pending."""


@contextmanager
def new_context(
    dataset_uri: str, pool: PoolConfig, ray_config: RayConfig, sandbox: SandboxConfig | None = None
) -> Iterator[StageContext]:
    """Yield the context of one run of one stage, with an attempt log of its own."""
    with temporary_attempts_uri(dataset_uri) as attempts_uri:
        yield StageContext(
            dataset_uri=dataset_uri,
            attempts_uri=attempts_uri,
            sandbox=sandbox or SandboxConfig(),
            pool=pool,
            commit_every_s=ray_config.commit_every_s,
        )
