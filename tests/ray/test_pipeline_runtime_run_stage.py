"""A stage on Ray: no limit of Ray's ends long tasks, pieces are kept, and actors without a model retire."""

import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ray.data import DataContext

from manifests.dataset import Dataset
from manifests.parts import PartStore
from manifests.records import Failure
from pipeline.config import AnalyzeConfig, PoolConfig, RayConfig
from pipeline.runtime.context import Stage, StageContext, new_context
from pipeline.runtime.loading import load_or_retire
from pipeline.runtime.pieces import Piece
from pipeline.runtime.progress import no_progress
from pipeline.runtime.run_stage import StageFailed, StageResult, run_stage
from pipeline.runtime.session import RaySession
from pipeline.runtime.tasks import actor_args, run_in_pieces, run_task, task_args
from pipeline.runtime.units import TaskResult, from_row


@dataclass(frozen=True)
class Unit:
    name: str


def units(num: int) -> list[Unit]:
    return [Unit(str(index)) for index in range(num)]


def failure_of(name: str) -> Failure:
    return Failure(stage="test", unit=name, uri="u", code="C", message="", remedy="", config="")


def run(
    tmp_path: Path, batches: list[list[Unit]], apply: Any, pool: PoolConfig, limit_s: float = 0.0
) -> tuple[Dataset, StageResult]:
    ray_config = RayConfig(commit_every_s=0.0, no_progress_timeout_s=limit_s)
    assert RaySession(ray_config).cpus == 2
    dataset = Dataset.create(tmp_path / "d")
    with new_context(dataset.uri, pool, ray_config) as context:
        stage = Stage(
            name="analyze", config=AnalyzeConfig(), config_digest="x", apply=apply, on_lost=record_lost
        )
        return run_stage(dataset, stage, batches, context, no_progress)


def record_lost(lost: list[Unit], config: Any, context: StageContext, error: Exception) -> TaskResult:
    return TaskResult(parts=(), units=len(lost), counts={"failed LOST": len(lost)})


def slow(row: dict[str, Any]) -> dict[str, str]:
    time.sleep(6)
    return TaskResult(parts=(), units=1).to_row()


def apply_slow(rows: Any, config: Any, context: StageContext) -> Any:
    return rows.map(lambda row: run_task(row, stage="analyze", task=slow), **task_args(context))


def test_no_limit_ends_a_long_task_unless_it_is_asked_for(tmp_path, monkeypatch):
    context = DataContext.get_current()
    monkeypatch.setattr(context, "execution_no_progress_timeout_s", 2.0)  # as 1,800 s would for a film
    assert run(tmp_path, [units(1)], apply_slow, PoolConfig())[1].units == 1
    with pytest.raises(StageFailed, match=r"no task returned anything for 2 s \(--ray.no-progress-timeout-s"):
        run(tmp_path, [units(1)], apply_slow, PoolConfig(), limit_s=2.0)


def write_each(row: dict[str, Any], folder: str, context: StageContext) -> Iterator[Piece]:
    """Write one failure a unit; end the worker once, after the first two."""
    for number, fields in enumerate(from_row(row)):
        if number == 2 and not (mark := Path(folder) / "died").exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        with (Path(folder) / "worked").open("a") as worked:
            worked.write(f"{fields['name']}\n")
        part = PartStore(context.dataset_uri).write_records("failures", [failure_of(fields["name"])])
        yield Piece(num_units=1, result=TaskResult(parts=(part,), units=1, counts={"written": 1}))


def test_the_pieces_of_a_task_whose_worker_dies_are_kept_and_not_done_again(tmp_path):
    def apply(rows: Any, config: Any, context: StageContext) -> Any:
        def task(row: dict[str, Any]) -> Iterator[Piece]:
            return write_each(row, str(tmp_path), context)

        def work(row: dict[str, Any]) -> Iterator[dict[str, Any]]:
            return run_in_pieces(row, stage="analyze", task=task, context=context)

        return rows.flat_map(work, **task_args(context))

    dataset, result = run(tmp_path, [units(5)], apply, PoolConfig())
    assert (result.units, result.counts) == (5, {"written": 5})
    assert sorted(row.unit for row in dataset.records("failures")) == ["0", "1", "2", "3", "4"]
    assert (tmp_path / "worked").read_text().split() == ["0", "1", "2", "3", "4"]


class Model:
    """Takes half a second a unit; `allowed` of them can be loaded."""

    def __init__(self, folder: str, allowed: int, context: StageContext) -> None:
        self.context = context
        load_or_retire(lambda: self.load(Path(folder), allowed), context)

    def load(self, folder: Path, allowed: int) -> None:
        if len(list(folder.glob("model-*"))) >= allowed:
            raise MemoryError("no room for the weights")
        (folder / f"model-{os.getpid()}").touch()

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        return run_task(row, stage="analyze", task=self.work)

    def work(self, row: dict[str, Any]) -> dict[str, str]:
        time.sleep(0.5)
        return TaskResult(parts=(), units=1).to_row()


@pytest.mark.parametrize("allowed", [0, 1])
def test_an_actor_without_a_model_retires_and_all_without_end_the_job(tmp_path, allowed, capfd):
    def apply(rows: Any, config: Any, context: StageContext) -> Any:
        return rows.map(Model, fn_constructor_args=(str(tmp_path), allowed, context), **actor_args(context))

    pool = PoolConfig(cpus=0.5, max_size=2)
    batches = [[unit] for unit in units(16)]
    if allowed:
        result = run(tmp_path, batches, apply, pool)[1]
        assert (result.units, result.counts) == (16, {})
        assert len(result.unloaded) == 1
        assert "MemoryError: no room for the weights" in result.unloaded[0]
    else:
        with pytest.raises(StageFailed, match=r"analyze: no model could be loaded.*no room for the weights"):
            run(tmp_path, batches, apply, pool)
        assert Dataset.open(tmp_path / "d").records("failures") == []
        assert "Traceback" not in "".join(capfd.readouterr())
