"""Writers are killed at any moment: what was acknowledged stays, nothing is half there, the next goes on."""

import json
import os
import runpy
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from manifests import integrity
from manifests.dataset import Dataset

ROOT = Path(__file__).parents[2]
WRITER = Path(__file__).with_name("dataset_writer.py")
MODULE = runpy.run_path(str(WRITER))
KILLS_A_DATASET = 25


class Writers:
    """Starts one writer at a time."""

    def __init__(self, server: subprocess.Popen[str]) -> None:
        self._server = server
        assert self._line() == "ready"

    def start(self, uri: str, acknowledged: Path, *, first: int, many: int, step: int = 0) -> int:
        """Return the process id of a new writer."""
        env = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
        asked = {"uri": uri, "acknowledged": str(acknowledged), "first": first, "many": many, "step": step}
        assert self._server.stdin is not None
        self._server.stdin.write(json.dumps(asked | {"env": env}) + "\n")
        self._server.stdin.flush()
        return int(self._line())

    def ended(self) -> int:
        """Wait for the writer's end; return its exit code, or minus the signal that killed it."""
        return int(self._line())

    def _line(self) -> str:
        assert self._server.stdout is not None
        return self._server.stdout.readline().strip()


@pytest.fixture(scope="module")
def writers() -> Iterator[Writers]:
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(WRITER)]
    with subprocess.Popen(
        command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        yield Writers(server)


def kill_at_random(writer: int, acknowledged: Path, random: Random, batch_s: float) -> float:
    """Kill a writer a random while after none to two of its batches; return how long one took it.

    The while is up to one batch long, as the last ones took; never does a writer go on for long.
    """
    before, wanted = len(read_acknowledged(acknowledged)), random.randrange(3)
    begin = time.monotonic()
    while (done := len(read_acknowledged(acknowledged)) - before) < wanted:
        time.sleep(0.001)
    batch_s = (time.monotonic() - begin) / done if done else batch_s
    deadline = time.monotonic() + random.uniform(0, batch_s)
    while time.monotonic() < deadline and len(read_acknowledged(acknowledged)) - before < wanted + 2:
        time.sleep(0.0005)
    os.kill(writer, signal.SIGKILL)
    return batch_s


def read_acknowledged(path: Path) -> list[int]:
    return [int(line) for line in path.read_text().split()] if path.exists() else []


def assert_whole(dataset: Dataset, first_commit: int = 1) -> list[int]:
    """Check that each commit from `first_commit` has all of its rows; return the batches committed."""
    seen = Dataset(dataset.storage, dataset.commits[first_commit:])
    batches = [commit.counts["batch"] for commit in seen.commits]
    failures = Counter(seen.read("failures", ["unit"])["unit"].to_pylist())
    captions = Counter(seen.read("captions", ["clip_id"])["clip_id"].to_pylist())
    assert failures == {str(number): MODULE["FAILURES"] for number in batches}
    assert captions == {str(number): MODULE["CAPTIONS"] for number in batches}
    return batches


def kill_writers(writers: Writers, uri: str, folder: Path, kills: int, seed: int) -> Counter[str]:
    """Kill `kills` writers of one dataset, one after another; check after each, and return counts."""
    random, acknowledged = Random(seed), folder / f"acknowledged-{seed}"
    begin = time.monotonic()
    writers.start(uri, acknowledged, first=0, many=3)
    assert writers.ended() == 0
    batch_s = (time.monotonic() - begin) / 3  # the kills suit this machine, whatever else it does
    dataset = Dataset.open(uri)
    batches = assert_whole(dataset)
    for _ in range(kills):
        writer = writers.start(uri, acknowledged, first=len(batches), many=10_000)
        batch_s = kill_at_random(writer, acknowledged, random, batch_s)
        assert writers.ended() == -signal.SIGKILL
        known, dataset = len(dataset.commits), dataset.refresh()
        batches += assert_whole(dataset, known)
        told = read_acknowledged(acknowledged)
        assert batches == list(range(len(batches)))  # the next writer went on where the last one was killed
        assert len(told) <= len(batches) <= len(told) + kills
        assert {*told} <= {*batches}
    found = integrity.verify(dataset)
    assert not found.broken
    integrity.repair(dataset, found, older_than_s=0, now_s=time.time() + 60)
    rest = integrity.verify(dataset)
    assert (rest.broken, rest.orphans, rest.incomplete_uploads) == ([], [], [])
    writers.start(uri, acknowledged, first=len(batches), many=2)
    assert writers.ended() == 0
    whole = Dataset(dataset.storage, [c for c in Dataset.open(uri).commits if c.stage != integrity.REPAIR])
    assert assert_whole(whole) == list(range(len(batches) + 2))
    told = read_acknowledged(acknowledged)
    counted = Counter(kills=kills, committed=len(batches), orphans=len(found.orphans))
    counted.update(unfinished=len(found.incomplete_uploads), unacknowledged=len(batches) + 2 - len(told))
    return counted


def test_ten_kills(writers, place, tmp_path):
    assert kill_writers(writers, place, tmp_path, kills=10, seed=7)["kills"] == 10


@pytest.mark.slow
def test_two_hundred_kills(writers, place, tmp_path, capsys):
    counted = Counter[str]()
    for seed in range(200 // KILLS_A_DATASET):
        counted += kill_writers(writers, f"{place}/{seed}", tmp_path, KILLS_A_DATASET, seed)
    with capsys.disabled():
        print(f"\n{'s3' if place.startswith('s3') else 'disk'}: {dict(counted)}")
    assert counted["kills"] == 200
    assert counted["committed"] > 100
    assert counted["orphans"] + counted["unfinished"] > 5  # kills did hit writes; how many, the disk tells


@pytest.mark.parametrize("stride", [5, pytest.param(1, marks=pytest.mark.slow)])
def test_killed_before_every_step_of_making_and_writing_a_dataset(writers, tmp_path, stride):
    """On a disk each change is a step, so every moment can be tried: whichever, the next writer goes on."""
    survived = 0
    for step in range(1, 200, stride):
        root, acknowledged = tmp_path / f"d{step}", tmp_path / f"a{step}"
        writers.start(str(root), acknowledged, first=3, many=1, step=step)
        code = writers.ended()
        if code == 0:  # the writer has no step of that number: all were tried
            break
        assert code == -signal.SIGKILL
        survived += 1
        dataset = Dataset.create(root)
        assert {*read_acknowledged(acknowledged)} <= {*assert_whole(dataset)}
        integrity.repair(dataset, integrity.verify(dataset), older_than_s=0, now_s=time.time() + 60)
        found = integrity.verify(dataset)
        assert (found.broken, found.orphans, found.incomplete_uploads) == ([], [], [])
        assert Dataset.open(root).commit(MODULE["batch"](dataset, 4)).number >= 1
    assert code == 0
    assert survived * stride >= 30  # making the dataset, three parts, a tar and a commit
