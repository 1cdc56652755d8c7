"""A disk that is really full, under the commands as people type them. Mounts one of a few MB: needs root."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from manifests import integrity
from manifests.dataset import Dataset
from video.encode import mp4_bytes

pytestmark = pytest.mark.slow
CLIPS = 8
ROOMY_KB = 64 * 1024


class Disk:
    """A small file system at `path`, whose size can be changed."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def leave(self, kb: int) -> None:
        """Make it so large that `kb` KiB are free."""
        found = os.statvfs(self.path)
        used_kb = (found.f_blocks - found.f_bfree) * found.f_frsize // 1024
        self.mount("-o", f"remount,size={used_kb + kb}k")

    def mount(self, *args: str) -> None:
        subprocess.run(["mount", *args, str(self.path)], check=True, capture_output=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    small = Disk(tmp_path / "small")
    small.path.mkdir()
    try:
        small.mount("-t", "tmpfs", "-o", f"size={ROOMY_KB}k", "none")
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no file system can be mounted here")
    yield small
    subprocess.run(["umount", "--lazy", str(small.path)], check=True)


def run(*args: str, code: int = 0) -> str:
    env = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    command = [sys.executable, "-m", "kinora", *args, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, env=env)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stderr if code else done.stdout.splitlines()[-1]


def test_a_disk_that_fills_up_while_clips_are_cut_and_packed(disk, tmp_path):
    raw, dataset, shards = tmp_path / "raw", str(disk.path / "d"), str(disk.path / "shards")
    raw.mkdir()
    for seed in range(CLIPS):
        noise_THW1 = np.random.default_rng(seed).integers(90, 130, (24, 192, 256, 1), np.uint8)
        (raw / f"{seed}.mp4").write_bytes(mp4_bytes(noise_THW1.repeat(3, 3), 12))
    size_kb = sum(path.stat().st_size for path in raw.iterdir()) // 1024
    curate = ["curate", "--source", str(raw), "--dataset", dataset, "--select.min-side-px", "16"]
    curate += ["--analyze.detector", "content", "--dedup.near", "false"]

    disk.leave(size_kb // 2)
    said = run(*curate, code=2)
    assert f"{dataset} is full (No space left on device); make room there and run the same command" in said
    run("status", "--dataset", dataset)
    before = Dataset.open(dataset)
    assert before.records("failures") == []
    disk.leave(ROOMY_KB)
    report = json.loads(run(*curate))
    assert report["cut"] == CLIPS - len(before.records("media")) > 0
    run("status", "--dataset", dataset)
    assert integrity.verify(Dataset.open(dataset), media=True).broken == []

    run("caption", "--dataset", dataset, "--captioner.kind", "facts")
    pack = ["pack", "--dataset", dataset, "--out", shards, "--buckets", '["9x48x64"]', "--fps", "8"]
    disk.leave(size_kb // 2)
    said = run(*pack, code=2)
    assert f"error: pack: [Errno 28] {shards}/tars/videos/ar_4-3" in said
    assert "is full (No space left on device); make room there and run the same command again" in said
    assert [path.name for path in disk.path.iterdir()] == ["d"]
    disk.leave(ROOMY_KB)
    assert json.loads(run(*pack))["samples"] == CLIPS
    assert json.loads(run(*pack))["nothing_left"]
    run("status", "--dataset", dataset)
