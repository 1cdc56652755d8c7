"""A run that is broken off keeps what was done; the next does the rest, and the rows are the same."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from manifests import conservation
from manifests.dataset import Dataset
from pipeline.config import CurateConfig, RayConfig
from pipeline.jobs.curate import curate
from video.encode import mp4_bytes

CONFIG = CurateConfig(ray=RayConfig(commit_every_s=0))
UNEQUAL = {"sources": ["analyze_s"], "media": ["path", "offset"]}


class BrokenOff(BaseException):
    """As when a person stops the command."""


def rows(uri: str) -> dict[str, list[str]]:
    dataset = Dataset.open(uri)
    assert conservation.violations(dataset) == []
    tables = {name: dataset.read(name) for name in ("sources", "clips", "selections", "media", "failures")}
    return {
        name: sorted(
            json.dumps(row, sort_keys=True, default=str)
            for row in table.drop_columns(UNEQUAL.get(name, [])).to_pylist()
        )
        for name, table in tables.items()
    }


def test_a_run_broken_off_in_either_stage_ends_with_the_rows_of_one_that_was_not(tmp_path: Path):
    raw = tmp_path / "raw"
    raw.mkdir()
    for seed in range(10):
        frames_THWC = np.full((12, 48, 64, 3), 20 * seed + 30, np.uint8)
        for index in range(12):
            frames_THWC[index, 10:30, index : 20 + index] = 250
        (raw / f"{seed}.mp4").write_bytes(mp4_bytes(frames_THWC, 12))
    (raw / "text.mp4").write_text("no video")
    whole, broken = str(tmp_path / "whole"), str(tmp_path / "broken")
    curate(str(raw), whole, CONFIG)

    def until(stage: str):
        def progress(name: str, done: int, total: int | None = None) -> None:
            if name == stage and done:
                raise BrokenOff

        return progress

    for stage in ("analyze", "cut"):
        with pytest.raises(BrokenOff):
            curate(str(raw), broken, CONFIG, progress=until(stage))
        done = len(Dataset.open(broken).read("sources" if stage == "analyze" else "media"))
        assert 0 < done < 10
    report = curate(str(raw), broken, CONFIG)
    assert report.already_done == 11
    assert 0 < report.to_cut < 10
    assert rows(broken) == rows(whole)


SIGTERM = """
import os, signal, time
from pipeline.config import RayConfig
from pipeline.runtime.session import RaySession

def stop(*_):
    raise KeyboardInterrupt

signal.signal(signal.SIGTERM, stop)
try:
    with RaySession(RayConfig(num_cpus=1)) as session:
        assert session.cpus == 1
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(60)
except KeyboardInterrupt:
    print("stopped")
"""


def test_sigterm_reaches_a_process_that_started_ray():
    """Ray 2.60's own handler aborts the process, so that nothing more is committed."""
    run = subprocess.run([sys.executable, "-c", SIGTERM], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout) == (0, "stopped\n"), run.stderr
