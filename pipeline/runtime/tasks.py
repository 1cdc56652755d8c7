"""Run the tasks of a stage on Ray: their resources, their errors as rows, their metrics.

Ray Data ends a job at the first task that raises. `run_task` returns the error as a row instead, and
`pipeline.runtime.run_stage` records the units of that task as failures.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any

import ray
from ray.data import ActorPoolStrategy, TaskPoolStrategy

from manifests.storage import is_disk_full
from pipeline.config import PoolConfig
from pipeline.runtime.attempt_log import AttemptLog, open_attempt_store
from pipeline.runtime.context import StageContext
from pipeline.runtime.metrics import Metrics
from pipeline.runtime.pieces import Piece, PieceLog, rest_of
from pipeline.runtime.units import TaskResult

Task = Callable[[dict[str, Any]], dict[str, str]]
"""Takes the units of a row, returns `TaskResult.to_row()`."""
PieceTask = Callable[[dict[str, Any]], Iterator[Piece]]
"""Takes the units of a row, yields their results in pieces."""
_LABEL_AMOUNT = 0.001
"""Amount of a node's label (a custom resource) that one task takes: nearly nothing."""


def run_task(row: dict[str, Any], *, stage: str, task: Task) -> dict[str, Any]:
    """Run the task of one row and return its outcome as a row.

    Out: `task` (its index), `unit_index` (of its units), `done` (the result) or `error`; `full` if the error
    is a full disk.
    """
    begin = time.perf_counter()
    try:
        done = task(row)
        _metrics().count(stage, TaskResult.from_row(done), time.perf_counter() - begin)
        return _outcome(row, done=done["done"])
    except Exception as raised:
        return _outcome(row, error=raised)


def run_in_pieces(
    row: dict[str, Any], *, stage: str, task: PieceTask, context: StageContext
) -> Iterator[dict[str, Any]]:
    """Run the task of one row and yield the outcome of each piece as a row: for `flat_map`.

    Out: as `run_task`, where `unit_index` names the units of the piece, or those left after an error.
    """
    log = PieceLog(open_attempt_store(context.attempts_uri), row)
    rest = row
    begin = time.perf_counter()
    try:
        for piece in log.read():
            yield _outcome(rest, piece=piece)
            rest = rest_of(rest, piece.num_units)
        for piece in task(rest) if rest["unit_index"] else ():
            log.append(piece)
            _metrics().count(stage, piece.result, time.perf_counter() - begin)
            yield _outcome(rest, piece=piece)
            rest, begin = rest_of(rest, piece.num_units), time.perf_counter()
    except Exception as raised:
        yield _outcome(rest, error=raised)


def _outcome(
    row: Mapping[str, Any], *, done: str = "", piece: Piece | None = None, error: Exception | None = None
) -> dict[str, Any]:
    unit_index = list(row["unit_index"])
    if piece is not None:
        unit_index, done = unit_index[: piece.num_units], piece.result.to_row()["done"]
    text = "" if error is None else f"{type(error).__name__}: {error}"
    full = error is not None and is_disk_full(error)
    return {"task": row["task"], "unit_index": unit_index, "done": done, "error": text, "full": full}


def open_attempt_log(context: StageContext) -> AttemptLog:
    """Open the attempt log for the node that this worker runs on."""
    if not ray.is_initialized():  # outside Ray; the runtime context would start it
        return AttemptLog(context.attempts_uri)
    return AttemptLog(context.attempts_uri, ray.get_runtime_context().get_node_id(), is_node_dead)


def task_args(context: StageContext) -> dict[str, Any]:
    """Return the arguments of Ray Data's `map` for tasks in the context's pool."""
    pool = context.pool
    args = _resource_args(pool) | {"max_retries": context.max_retries}
    return args | ({"compute": TaskPoolStrategy(pool.max_size)} if pool.max_size else {})


def actor_args(context: StageContext) -> dict[str, Any]:
    """Return the arguments of Ray Data's `map` for actors in the context's pool, at most `pool.max_size`."""
    pool = context.pool
    return _resource_args(pool) | {
        "compute": ActorPoolStrategy(min_size=min(pool.min_size, pool.max_size), max_size=pool.max_size),
        "max_restarts": context.max_restarts,
        "max_task_retries": context.max_retries,
    }


def _resource_args(pool: PoolConfig) -> dict[str, Any]:
    args: dict[str, Any] = {"num_cpus": pool.cpus}
    if pool.gpus:
        args["num_gpus"] = pool.gpus
    if pool.label:
        args["resources"] = {pool.label: _LABEL_AMOUNT}
    return args


def resources(pool: PoolConfig) -> dict[str, float]:
    """Return the resources of one task of `pool`, by Ray's names."""
    amounts = {"CPU": pool.cpus, "GPU": pool.gpus} | ({pool.label: _LABEL_AMOUNT} if pool.label else {})
    return {name: amount for name, amount in amounts.items() if amount}


def fits(pool: PoolConfig, node: Mapping[str, float]) -> bool:
    """Return whether a node with the resources `node` can run a task of `pool`."""
    return all(node.get(name, 0.0) >= amount for name, amount in resources(pool).items())


def is_node_dead(node_id: str) -> bool:
    """Return whether the node has left the cluster."""
    return all(node["NodeID"] != node_id or not node["Alive"] for node in ray.nodes())


@cache
def _metrics() -> Metrics:
    return Metrics()
