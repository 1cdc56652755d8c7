"""What is decided about a cluster: which nodes fit, what one lacks, when a unit is given up."""

import json

import pytest

from manifests.dataset import Dataset
from manifests.storage import open_storage
from pipeline.config import PoolConfig
from pipeline.runtime.attempt_log import (
    MAX_NODE_DEATHS,
    MAX_WORKER_DEATHS,
    AttemptLog,
    Quarantined,
    temporary_attempts_uri,
)
from pipeline.runtime.context import StageContext
from pipeline.runtime.preflight import NodeReport, can_autoscale, describe_problem, probe_node
from pipeline.runtime.tasks import actor_args, fits, resources, task_args
from video.errors import VideoErrorCode


class Gone(BaseException):
    """As if the process had ended: nothing is written after it."""


def die() -> None:
    raise Gone


def test_a_pool_takes_what_its_nodes_have():
    pool = PoolConfig(cpus=2, gpus=0.5, label="caption")
    assert resources(pool) == {"CPU": 2, "GPU": 0.5, "caption": 0.001}
    assert fits(pool, {"CPU": 4.0, "GPU": 1.0, "caption": 1.0})
    assert not fits(pool, {"CPU": 4.0, "GPU": 1.0})
    assert not fits(pool, {"CPU": 1.0, "GPU": 1.0, "caption": 1.0})
    context = StageContext(dataset_uri="d", pool=PoolConfig(label="decode"), max_retries=5)
    assert task_args(context) == {"num_cpus": 1.0, "resources": {"decode": 0.001}, "max_retries": 5}
    pool = PoolConfig(gpus=1, min_size=3, max_size=2)
    actors = actor_args(StageContext(dataset_uri="d", pool=pool, max_restarts=50, max_retries=5))
    assert (actors["compute"].min_size, actors["compute"].max_size, actors["num_gpus"]) == (2, 2, 1)
    assert (actors["max_restarts"], actors["max_task_retries"]) == (50, 5)


def test_what_a_node_lacks_is_said_with_the_extra_that_brings_it():
    report = probe_node(["json", "no_such_module.sub"], {"/no/such/file": 3})
    assert set(report.missing) == {"no_such_module"}
    assert report.unseen_paths == ("/no/such/file",)
    text = describe_problem(
        "worker-1 (ab12)", NodeReport(missing={"torch": "No module named 'torch'"}, unseen_paths=("/d",))
    )
    assert "worker-1 (ab12) lacks `torch`" in text
    assert "pip install 'kinora[caption]'" in text
    assert "does not see /d" in text
    assert describe_problem("worker-1", NodeReport(missing={}, unseen_paths=())) == ""


def test_a_module_of_the_users_own_is_brought_with_the_job(tmp_path, monkeypatch):
    (tmp_path / "own_of_the_user.py").write_text("")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    text = describe_problem("w", NodeReport(missing={"own_of_the_user": "No module"}, unseen_paths=()))
    assert "node w lacks `own_of_the_user` (No module): install it there, or submit the job with" in text


def test_only_a_cluster_with_an_autoscaler_may_grow():
    by_hand = {"autoscaler_report": {"active_nodes": {"node_27f6": 1}}}
    scaled = {"autoscaler_report": {"active_nodes": {"ray.head.default": 1}}}
    assert not can_autoscale(json.dumps(by_hand).encode())
    assert can_autoscale(json.dumps(scaled).encode())
    assert can_autoscale(None)


def test_deaths_of_machines_count_apart_from_deaths_of_workers(tmp_path):
    gone = {"spot"}
    for node in ["spot"] * MAX_WORKER_DEATHS + ["other"]:
        with pytest.raises(Gone):
            AttemptLog(tmp_path, node, gone.__contains__).run("a", "/a.mp4", die)
    assert AttemptLog(tmp_path, "other", gone.__contains__).run("a", "/a.mp4", lambda: 7) == 7
    for _ in range(MAX_NODE_DEATHS):
        with pytest.raises(Gone):
            AttemptLog(tmp_path, "spot", gone.__contains__).run("a", "/a.mp4", die)
    with pytest.raises(Quarantined):
        AttemptLog(tmp_path, "other", gone.__contains__).run("a", "/a.mp4", lambda: 7)


def test_work_that_ended_its_process_is_not_done_together_again(tmp_path):
    attempts = AttemptLog(tmp_path)
    assert attempts.run_batch("ab", lambda: 7) == 7
    assert attempts.run_batch("ab", lambda: 8) == 8
    with pytest.raises(Gone):
        attempts.run_batch("ab", die)


def test_notes_lie_in_the_dataset_where_every_machine_sees_them_and_are_removed(place):
    Dataset.create(place)
    before = {*open_storage(place).list()}
    with temporary_attempts_uri(place) as attempts_uri:
        for node in ("one", "two", "three"):
            with pytest.raises(Gone):
                AttemptLog(attempts_uri, node).run("a", "/a.mp4", die)
        with pytest.raises(Quarantined) as caught:
            AttemptLog(attempts_uri, "four").run("a", "/a.mp4", lambda: 7)
        assert caught.value.error.code == VideoErrorCode.CRASHED
        assert AttemptLog(attempts_uri, "four").run("b", "/b.mp4", lambda: 7) == 7
    assert {*open_storage(place).list()} == before
