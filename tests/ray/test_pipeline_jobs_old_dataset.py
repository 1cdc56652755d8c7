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


def ids(folder: Path) -> dict[str, tuple[str, int]]:
    """Return the media id and the number of windows of each clip."""
    rows = LiveView(Dataset.open(folder / "data")).media.to_pylist()
    return {row["clip_id"]: (row["media_id"], row["num_windows"]) for row in rows}


@pytest.mark.slow
def test_an_old_dataset_is_analyzed_once_more_and_goes_on(folder):
    """Analysis finds the same shots, so nothing is cut or captioned anew until the encoding changes."""
    names = ("listed", "already_done", "analyzed", "decided", "to_cut")
    run = ("curate", "--config", "curate.yaml", "--max-failed", "0.9")
    before = ids(folder)
    assert len(before) == 8
    assert kinora(folder, "captions", "check", "--dataset", "data")["broken"] == []
    # the new file's clips are those of a file with the same bytes
    boto3.Session().client("s3").upload_file(str(LEGACY / "raw" / "raw-00002.mp4"), "legacy", "raw/new.mp4")
    curated = kinora(folder, *run)
    assert [curated[name] for name in names] == [7, 0, 6, 8, 0]
    tried = kinora(folder, "retry", "--dataset", "data", code=10)
    assert tried["curate"]["failed"] == {"TRUNCATED": 1}
    packed = kinora(folder, "pack", "--dataset", "data", "--out", "shards")
    assert packed["samples"] == 8

    smaller = kinora(folder, *run, "--cut.crf", "30")
    assert [smaller[name] for name in names] == [7, 7, 0, 0, 8]
    assert smaller["cut"] == 8
    assert ids(folder) == before
    captioned = kinora(folder, "caption", "--dataset", "data")
    assert (captioned["media"], captioned["already_done"]) == (8, 8)
    assert kinora(folder, *run, "--cut.crf", "30")["to_cut"] == 0
    windows = ("--cut.crf", "30", "--cut.window_s", "0.7")  # not the default, so windows are wanted
    assert kinora(folder, *run, *windows)["cut"] == 8
    assert {count for _, count in ids(folder).values()} == {2}
    status = kinora(folder, "status", "--dataset", "data")
    assert (status["cut"]["media"], status["violations"]) == (16, [])
    assert status["commit"] == commits(folder) - 1

    kept = kinora(folder, *run, *windows, "--select.min-duration-s", "30")
    assert (kept["analyzed"], kept["kept"], kept["dropped"]) == (0, 0, {"too_short": 8})
