"""Hostile files among sound ones: each a row with a code, everything else done, and everything adds up."""

import os
import runpy
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from captioner.prompts import load_prompt
from kinora.commands import failures as failures_command
from manifests import conservation
from manifests.dataset import Dataset
from manifests.live_view import LiveView
from pipeline.analyze import stage as analyze_stage
from pipeline.analyze.stage import add_analyze
from pipeline.caption.batch import CaptionSpec
from pipeline.config import CaptionConfig, CurateConfig, RayConfig
from pipeline.cut import stage as cut_stage
from pipeline.jobs import curate as job
from pipeline.jobs.caption import caption
from pipeline.jobs.curate import curate, retry
from pipeline.runtime.attempt_log import FOLDER
from pipeline.runtime.run_stage import StageFailed
from video.config import SandboxConfig
from video.encode import mp4_bytes

FILES = runpy.run_path(str(Path(__file__).parents[1] / "unit" / "hostile_files.py"))
CONFIG = CurateConfig(sandbox=SandboxConfig(wall_s=60.0, wall_s_per_mb=0.0, memory_mb=330))


def write_video(path: Path, seed: int = 0) -> None:
    frames_THWC = np.full((12, 48, 64, 3), 25 * seed + 30, np.uint8)
    for index in range(12):
        frames_THWC[index, 10:30, index : 20 + index] = 250
    path.write_bytes(mp4_bytes(frames_THWC, 12))


def failed(uri: str) -> dict[str, dict]:
    return {Path(row["uri"]).name: row for row in LiveView(Dataset.open(uri)).failures.to_pylist()}


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    folder = tmp_path / "raw"
    folder.mkdir()
    for seed in range(4):
        write_video(folder / f"good{seed}.mp4", seed)
    return folder


def test_hostile_files_are_rows_quarantine_holds_and_can_be_lifted(raw, tmp_path):
    for name, write in FILES["HOSTILE"].items():
        write(raw / name)
    os.mkfifo(raw / "pipe.mp4")
    uri = str(tmp_path / "d")
    report = curate(str(raw), uri, CONFIG)
    assert (report.listed, report.analyzed, report.cut) == (10, 4, 4)
    rows = failed(uri)
    assert {name: (row["code"], row["quarantined"]) for name, row in rows.items()} == {
        "huge.png": ("TOO_LARGE", False),
        "eater.mp4": ("OUT_OF_MEMORY", True),
        "frames.mp4": ("TRUNCATED", False),
        "streams.mp4": ("OUT_OF_MEMORY", True),
        "deep.mp4": ("TRUNCATED", False),
        "pipe.mp4": ("UNREADABLE", False),
    }
    assert "--sandbox.memory-mb" in rows["eater.mp4"]["remedy"]
    assert conservation.violations(Dataset.open(uri)) == []
    assert not (tmp_path / "d" / FOLDER).exists()
    assert curate(str(raw), uri, CONFIG).nothing_left
    again = retry(uri, CONFIG)
    assert (again.listed, again.already_done, sum(again.failed.values())) == (6, 2, 4)
    roomy = replace(CONFIG, sandbox=replace(CONFIG.sandbox, memory_mb=2000, max_pixels=10**6))
    lifted = retry(uri, roomy, quarantined=True)
    assert sum(lifted.failed.values()) == 6
    assert failed(uri)["eater.mp4"]["code"] == "TOO_LARGE"  # read this time: 128 million pixels
    assert not failed(uri)["eater.mp4"]["quarantined"]
    assert conservation.violations(Dataset.open(uri)) == []


@pytest.mark.slow
def test_what_kills_its_process_twice_is_in_quarantine_until_it_is_asked_for(raw, tmp_path, monkeypatch):
    write_video(raw / "crash.mp4", 4)
    write_video(raw / "worker_a.mp4", 5)
    write_video(raw / "worker_b.mp4", 6)
    write_video(raw / "unlucky.mp4", 7)
    monkeypatch.syspath_prepend(Path(__file__).parent)
    import hostile_hooks

    hooked = partial(add_analyze, analyze_file=hostile_hooks.measure_or_die)
    uri = str(tmp_path / "d")
    with monkeypatch.context() as patch:
        patch.setattr(job, "add_analyze", hooked)
        report = curate(str(raw), uri, CONFIG)
    rows = failed(uri)
    assert {name: (row["code"], row["quarantined"]) for name, row in rows.items()} == {
        "crash.mp4": ("CRASHED", True),
        "worker_a.mp4": ("CRASHED", True),
        "worker_b.mp4": ("CRASHED", True),
    }
    assert "SIGSEGV" in rows["crash.mp4"]["message"]
    assert "ended the Ray worker" in rows["worker_a.mp4"]["message"]
    assert (report.analyzed, report.cut, report.failed) == (5, 5, {"CRASHED": 3})
    assert conservation.violations(Dataset.open(uri)) == []
    shown = failures_command.run(failures_command.Config(dataset=uri))
    assert shown.data["codes"] == {"CRASHED": 3}
    untouched = retry(uri, CONFIG)
    assert (untouched.listed, untouched.already_done, untouched.analyzed) == (3, 3, 0)
    lifted = retry(uri, CONFIG, quarantined=True)  # without the hook these are sound
    assert (lifted.analyzed, lifted.cut) == (3, 3)
    assert failed(uri) == {}
    assert conservation.violations(Dataset.open(uri)) == []


def test_a_source_that_cannot_be_cut_in_time_is_a_failure_of_its_clips(raw, tmp_path):
    uri = str(tmp_path / "d")
    analyzed = curate(str(raw), uri, replace(CONFIG, select=replace(CONFIG.select, min_duration_s=60)))
    assert (analyzed.analyzed, analyzed.kept) == (4, 0)
    none = SandboxConfig(wall_s=0.0, wall_s_per_mb=0.0, wall_s_per_footage_s=0.0)
    report = curate(str(raw), uri, replace(CONFIG, sandbox=none))
    assert (report.to_cut, report.cut, report.cut_failed) == (4, 0, {"TIMED_OUT": 4})
    assert all(row["quarantined"] for row in failed(uri).values())
    assert conservation.violations(Dataset.open(uri)) == []
    assert retry(uri, CONFIG).to_cut == 0
    assert retry(uri, CONFIG, quarantined=True).cut == 4


@pytest.mark.slow
def test_a_clip_that_kills_its_captioner_is_a_failure_and_the_rest_is_captioned(raw, tmp_path, monkeypatch):
    for name, color in {"red": (220, 20, 20), "blue": (20, 20, 220)}.items():
        frames_THWC = np.full((12, 48, 64, 3), color, np.uint8)
        for index in range(12):
            frames_THWC[index, 10:20, index : 10 + index] = 250
        (raw / f"{name}.mp4").write_bytes(mp4_bytes(frames_THWC, 12))
    uri = str(tmp_path / "d")
    assert curate(str(raw), uri, CONFIG).cut == 6
    monkeypatch.syspath_prepend(Path(__file__).parent)
    import hostile_hooks

    asking = CaptionSpec(dense=load_prompt("dense"), short=load_prompt("short"), version="deadly")
    settings = CaptionConfig(max_frames=4, actors=1)
    report = caption(uri, settings, RayConfig(), asking, hostile_hooks.load_deadly)
    assert (report.media, report.ok, report.failed) == (6, 5, {"CRASHED": 1})
    row = failed(uri)["red.mp4"]
    assert (row["code"], row["quarantined"]) == ("CRASHED", True)
    assert "ended the Ray worker" in row["message"]
    assert conservation.violations(Dataset.open(uri)) == []
    assert caption(uri, settings, RayConfig(), asking, hostile_hooks.load_deadly).nothing_left


def test_a_task_that_raises_is_failures_of_its_units_and_the_rest_goes_on(raw, tmp_path, monkeypatch):
    write_video(raw / "raise.mp4", 4)
    monkeypatch.syspath_prepend(Path(__file__).parent)
    import hostile_hooks

    uri = str(tmp_path / "d")
    with monkeypatch.context() as patch:
        patch.setattr(analyze_stage, "analyze_batch", hostile_hooks.analyze_or_raise)
        report = curate(str(raw), uri, CONFIG)
    assert (report.analyzed, report.cut, report.failed) == (4, 4, {"LOST": 1})
    assert "Input/output error" in failed(uri)["raise.mp4"]["message"]
    assert conservation.violations(Dataset.open(uri)) == []
    assert retry(uri, CONFIG).analyzed == 1
    for file in raw.glob("good*"):
        file.unlink()
    monkeypatch.setattr(analyze_stage, "analyze_batch", hostile_hooks.analyze_or_raise)
    with pytest.raises(StageFailed, match="Input/output error"):
        curate(str(raw), str(tmp_path / "other"), CONFIG)
    assert Dataset.open(tmp_path / "other").records("sources") == []


def test_a_full_disk_ends_the_job_and_is_no_failure_of_any_clip(raw, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parent)
    import hostile_hooks

    uri = str(tmp_path / "d")
    with monkeypatch.context() as patch:
        patch.setattr(cut_stage, "cut_batch", hostile_hooks.cut_until_full)
        with pytest.raises(StageFailed, match=r"cut: .*there is no room"):
            curate(str(raw), uri, CONFIG)
    dataset = Dataset.open(uri)
    assert conservation.violations(dataset) == []
    assert dataset.records("failures") == []
    done = len(dataset.records("media"))
    assert done < 4
    assert curate(str(raw), uri, CONFIG).cut == 4 - done
    assert conservation.violations(Dataset.open(uri)) == []
