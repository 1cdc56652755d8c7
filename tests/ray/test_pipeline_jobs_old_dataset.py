"""A dataset that an earlier version wrote is opened and continued; what did not change is not done again."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import boto3
import pytest

from manifests.dataset import Dataset
from manifests.live_view import LiveView

LEGACY = Path(__file__).parents[1] / "golden" / "legacy"


@pytest.fixture
def folder(s3_server, tmp_path) -> Path:
    """A copy of the old dataset and shards, and its sources where they were: s3://legacy/raw."""
    for name in ("data", "shards"):
        shutil.copytree(LEGACY / name, tmp_path / name)
    shutil.copy(LEGACY / "curate.yaml", tmp_path)
    client = boto3.Session().client("s3")
    client.create_bucket(Bucket="legacy")
    for path in (LEGACY / "raw").iterdir():
        client.upload_file(str(path), "legacy", f"raw/{path.name}")
    return tmp_path


def kinora(folder: Path, *args: str, code: int = 0) -> dict:
    """Run a command in `folder` with a Ray of its own; return what it printed as JSON."""
    env = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    env["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parents[2]), env.get("PYTHONPATH", "")])
    command = [sys.executable, "-m", "kinora", *args, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, env=env)
    assert done.returncode == code, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def commits(folder: Path) -> int:
    return len(Dataset.open(folder / "data").commits)


def test_an_old_dataset_is_analyzed_once_more_and_what_is_the_same_is_kept(folder):
    """Analysis finds other shots than then; only the clip that changed is cut, captioned and packed anew."""
    before = commits(folder)
    assert kinora(folder, "status", "--dataset", "data")["commit"] == before - 1
    assert kinora(folder, "captions", "check", "--dataset", "data")["broken"] == []
    names = ("listed", "already_done", "analyzed", "decided", "to_cut")
    curated = kinora(folder, "curate", "--config", "curate.yaml", "--max-failed", "0.9")
    assert [curated[name] for name in names] == [6, 0, 5, 7, 1]
    again = kinora(folder, "curate", "--config", "curate.yaml", "--max-failed", "0.9")
    assert [again[name] for name in names] == [6, 6, 0, 0, 0]
    captioned = kinora(folder, "caption", "--dataset", "data")
    assert (captioned["media"], captioned["already_done"]) == (7, 6)
    packed = kinora(folder, "pack", "--dataset", "data", "--out", "shards")
    assert packed["samples"] == 7
    assert kinora(folder, "status", "--dataset", "data")["violations"] == []


def test_an_old_dataset_goes_on(folder):
    """A new file adds to it, and only the failed one is tried again."""
    boto3.Session().client("s3").upload_file(str(LEGACY / "raw" / "raw-00002.mp4"), "legacy", "raw/new.mp4")
    curated = kinora(folder, "curate", "--config", "curate.yaml", "--max-failed", "0.9")
    assert (curated["listed"], curated["already_done"], curated["analyzed"]) == (7, 0, 6)
    assert curated["to_cut"] == 1  # the new file's clips are those of a file with the same bytes
    tried = kinora(folder, "retry", "--dataset", "data", code=10)
    assert tried["curate"]["failed"] == {"TRUNCATED": 1}
    kept = kinora(folder, "curate", "--config", "curate.yaml", "--select.min-duration-s", "30")
    assert (kept["analyzed"], kept["kept"], kept["dropped"]) == (0, 0, {"too_short": 7})
    assert kinora(folder, "status", "--dataset", "data")["commit"] == commits(folder) - 1


@pytest.mark.slow
def test_an_old_dataset_encoded_anew_keeps_its_media_ids_and_captions(folder):
    def ids() -> dict[str, tuple[str, int]]:
        rows = LiveView(Dataset.open(folder / "data")).media.to_pylist()
        return {row["clip_id"]: (row["media_id"], row["num_windows"]) for row in rows}

    kinora(folder, "curate", "--config", "curate.yaml", "--max-failed", "0.9")
    kinora(folder, "caption", "--dataset", "data")
    before = ids()
    again = kinora(folder, "curate", "--config", "curate.yaml", "--max-failed", "0.9", "--cut.crf", "30")
    assert (again["to_cut"], again["cut"]) == (7, 7)
    assert ids() == before
    captioned = kinora(folder, "caption", "--dataset", "data")
    assert (captioned["media"], captioned["already_done"]) == (7, 7)
    again = kinora(folder, "curate", "--config", "curate.yaml", "--max-failed", "0.9", "--cut.crf", "30")
    assert again["to_cut"] == 0
    windows = ["--cut.crf", "30", "--cut.window_s", "0.7"]  # not the default, so windows are wanted
    again = kinora(folder, "curate", "--config", "curate.yaml", "--max-failed", "0.9", *windows)
    assert again["cut"] == 7
    assert {count for _, count in ids().values()} == {2}
    assert kinora(folder, "status", "--dataset", "data")["cut"]["media"] == 14
