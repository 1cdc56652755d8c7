"""What every stage does around its tasks on Ray: where they run, what an error becomes, what is measured.

Ray Data ends a job at the first task that raises. Here a task that raises hands its error back as a row, and
the job goes on: `pipeline.runtime.run_stage` turns the units of such a task into failures.
"""

import time
from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Any

import ray
from ray.data import ActorPoolStrategy, TaskPoolStrategy

from manifests.storage import is_disk_full
from pipeline.config import PoolConfig
from pipeline.runtime.attempt_log import AttemptLog
from pipeline.runtime.metrics import Metrics
from pipeline.runtime.units import TaskResult

Task = Callable[[dict[str, Any]], dict[str, str]]
"""Takes the units of a row, returns `TaskResult.to_row()`."""
_LABEL_SHARE = 0.001
"""How much of a node's label (a custom resource) one task takes: nearly nothing."""


def guarded(stage: str, task: Task) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Return `task` for Ray Data's `map`: what it raises comes back in the row; what it does is counted."""
    return partial(run_task, stage=stage, task=task)


def run_task(row: dict[str, Any], *, stage: str, task: Task) -> dict[str, Any]:
    """Run the task of one row. Out: `task`, its number, `at`, which of its units, and `done` or `error`;
    `full` where that is want of room."""
    begin = time.perf_counter()
    try:
        done, error, full = task(row)["done"], "", False
        _metrics().count(stage, TaskResult.from_row({"done": done}), time.perf_counter() - begin)
    except Exception as raised:
        done, error, full = "", f"{type(raised).__name__}: {raised}", is_disk_full(raised)
    return {"task": row["task"], "unit_index": row["unit_index"], "done": done, "error": error, "full": full}


def open_attempt_log(attempts_uri: str) -> AttemptLog:
    """Open the attempt log for the node that this Ray worker runs on."""
    if not ray.is_initialized():  # called without Ray, which would else be started here and now
        return AttemptLog(attempts_uri)
    return AttemptLog(attempts_uri, ray.get_runtime_context().get_node_id(), is_node_dead)


def task_pool_args(pool: PoolConfig) -> dict[str, Any]:
    """Return the arguments of Ray Data's `map` that run its tasks in `pool`."""
    return _resources(pool) | ({"compute": TaskPoolStrategy(pool.max_size)} if pool.max_size else {})


def actor_pool_args(pool: PoolConfig, most: int, restarts: int, retries: int) -> dict[str, Any]:
    """Return the arguments of Ray Data's `map` that run its actors in `pool`.

    Args:
        most: most actors, where the pool names no other number.
        restarts: how often an actor is started again that died.
        retries: how often a task is run again that its actor did not survive.
    """
    most = pool.max_size or most
    compute = ActorPoolStrategy(min_size=min(pool.min_size, most), max_size=most)
    return _resources(pool) | {"compute": compute, "max_restarts": restarts, "max_task_retries": retries}


def _resources(pool: PoolConfig) -> dict[str, Any]:
    found: dict[str, Any] = {"num_cpus": pool.cpus}
    if pool.gpus:
        found["num_gpus"] = pool.gpus
    if pool.label:
        found["resources"] = {pool.label: _LABEL_SHARE}
    return found


def resources(pool: PoolConfig) -> dict[str, float]:
    """Return what one task of `pool` takes, by Ray's names."""
    amounts = {"CPU": pool.cpus, "GPU": pool.gpus} | ({pool.label: _LABEL_SHARE} if pool.label else {})
    return {name: amount for name, amount in amounts.items() if amount}


def fits(pool: PoolConfig, node: Mapping[str, float]) -> bool:
    """Return whether a node with the resources `node` can run a task of `pool`."""
    return all(node.get(name, 0.0) >= amount for name, amount in resources(pool).items())


def is_node_dead(node: str) -> bool:
    """Return whether the node of that id is no more."""
    return all(found["NodeID"] != node or not found["Alive"] for found in ray.nodes())


@cache
def _metrics() -> Metrics:
    return Metrics()
