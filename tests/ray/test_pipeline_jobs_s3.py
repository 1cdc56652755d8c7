"""Everything on S3, source, dataset and shards: the commands as people type them, each with its own Ray."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import boto3
import numpy as np
import pytest
from s3_faults import answer

from manifests.shards import ShardIndex
from manifests.storage import open_storage
from video.encode import VideoWriter

BUCKETS = ["--buckets", '["9x32x32"]', "--fps", "8"]


@pytest.fixture
def bucket(s3_server) -> str:
    boto3.Session().client("s3").create_bucket(Bucket="all")
    return "s3://all"


def run(*args: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "kinora", *args, "--json"],
        capture_output=True,
        text=True,
        env={name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"},
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done


def kinora(*args: str) -> dict:
    return json.loads(run(*args).stdout.splitlines()[-1])


def film(path: Path, blue: int) -> bytes:
    """Return the bytes of two shots of a second and a half."""
    with VideoWriter(path, height=32, width=32, fps=12) as out:
        for index in range(36):
            rgb_HWC = np.full((32, 32, 3), (80 * (index // 18) + 20, 90, blue), np.uint8)
            rgb_HWC[4:14, index % 18 : index % 18 + 5] = 240
            out.write(rgb_HWC, index)
    return path.read_bytes()


@pytest.mark.slow
def test_source_dataset_and_shards_on_s3_and_the_shards_equal_those_on_a_disk(bucket, tmp_path):
    open_storage(f"{bucket}/raw").put("0.mp4", film(tmp_path / "0.mp4", 120))
    dataset, shards = f"{bucket}/d", f"{bucket}/shards"
    args = ["--source", f"{bucket}/raw", "--dataset", dataset, "--select.min-side-px", "16"]
    assert kinora("curate", *args)["cut"] == 2
    assert kinora("caption", "--dataset", dataset, "--captioner.kind", "embedded")["ok"] == 2
    packed = kinora("pack", "--dataset", dataset, "--out", shards, *BUCKETS)
    assert packed["samples"] == 2
    here = tmp_path / "shards"
    assert kinora("pack", "--dataset", dataset, "--out", str(here), *BUCKETS)["bytes"] == packed["bytes"]

    place = open_storage(shards)
    about = json.loads(place.read("pack.json"))
    there = {found.key: place.read(found.key) for found in place.list(about["set"])}
    local = {p.relative_to(here).as_posix(): p.read_bytes() for p in here.rglob("*") if p.is_file()}
    assert {key.removeprefix(f"{about['set']}/"): data for key, data in there.items()} == local
    index, same = ShardIndex.load(shards), ShardIndex.load(here)
    assert index.digest == same.digest
    refs = [index.sample(row) for row in range(index.num_samples)]
    assert [index.read(ref) for ref in refs] == [same.read(ref) for ref in refs]
    assert kinora("pack", "--dataset", dataset, "--out", shards, *BUCKETS)["nothing_left"]

    changed = ["--buckets", '["5x32x32"]', "--fps", "8"]
    kinora("pack", "--dataset", dataset, "--out", shards, *changed)
    assert {found.key.split("/")[0] for found in place.list()} == {
        "pack.json",
        json.loads(place.read("pack.json"))["set"],
    }
    place.put("notes.txt", b"mine")
    assert "notes.txt" in run("pack", "--dataset", dataset, "--out", shards, *BUCKETS, code=2).stderr


@pytest.mark.slow
def test_an_object_that_may_not_be_read_fails_alone_until_it_may(bucket, tmp_path):
    for number in range(3):
        open_storage(f"{bucket}/raw").put(f"{number}.mp4", film(tmp_path / "film.mp4", 60 * number))
    dataset, denied = str(tmp_path / "d"), f"{bucket}/raw/1.mp4"
    args = ["--source", f"{bucket}/raw", "--dataset", dataset]
    args += ["--select.min-side-px", "16", "--dedup.near", "false"]
    answer(denied, 403)
    begin = time.monotonic()
    done = json.loads(run("curate", *args, code=10).stdout.splitlines()[-1])
    assert time.monotonic() - begin < 60
    assert (done["analyzed"], done["failed"], done["cut"]) == (2, {"UNREADABLE": 1}, 4)
    kinora("status", "--dataset", dataset)
    said = run("failures", "--dataset", dataset).stdout
    assert denied in said
    assert "AccessDenied" in said
    assert "see AWS_PROFILE, or the bucket's policy; then `kinora retry`" in said
    run("retry", "--dataset", dataset, code=10)
    assert kinora("curate", *args)["already_done"] == 3

    answer(denied, 200)
    assert kinora("retry", "--dataset", dataset)["failures_left"] == 0
    kinora("status", "--dataset", dataset)
    done = kinora("curate", *args)
    assert (done["already_done"], done["to_cut"]) == (3, 0)
