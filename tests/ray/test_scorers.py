"""Scorers on Ray: models in actors, all rows written once, and a clip that kills its actor left alone."""

from dataclasses import replace
from importlib import import_module
from pathlib import Path

import cv2
import numpy as np

from manifests import conservation, views
from manifests.store import Dataset
from pipeline.config import AnalyzeConfig, CurateConfig, ScorersConfig
from pipeline.jobs.curate import curate
from video.encode import VideoWriter

SCORERS = ScorersConfig(logo=True, aesthetic="heuristic")


def write_video(path: Path, seed: int, marked: bool) -> None:
    """A pattern that drifts for two seconds; perhaps with a logo."""
    with VideoWriter(path, height=90, width=160, fps=12) as out:
        for index in range(24):
            tiles = np.random.default_rng(seed).integers(0, 255, (6, 10, 3), np.uint8)
            rgb_HWC = np.roll(cv2.resize(tiles, (160, 90), interpolation=cv2.INTER_CUBIC), 9 * index, 1)
            if marked:
                rgb_HWC[6:24, 6:46] = 255
                rgb_HWC[10:20, 12:40] = 0
            out.write(np.ascontiguousarray(rgb_HWC), index)


def test_scores_of_actors_become_columns_and_everything_adds_up(tmp_path):
    raw = tmp_path / "raw"
    raw.mkdir()
    for seed, marked in enumerate((True, False, False)):
        write_video(raw / f"{seed}.mp4", seed, marked)
    (raw / "bad.mp4").write_bytes(b"no video at all, but words" * 20)
    config = CurateConfig(analyze=AnalyzeConfig(scorers=replace(SCORERS, frames_per_s=4.0)))
    report = curate(str(raw), str(tmp_path / "d"), config)
    assert (report.analyzed, sum(report.failed.values()), report.clips, report.unscored) == (3, 1, 3, 0)
    dataset = Dataset.open(tmp_path / "d")
    assert conservation.check(dataset) == []
    rows = sorted(views.clips(dataset).to_pylist(), key=lambda row: (row["uri"], row["start_pts"]))
    assert [row["corner_logo"] for row in rows] == [True, False, False]
    assert all(0 < row["aesthetic_heuristic"] <= 1 for row in rows)
    assert all(row["nsfw"] is None for row in rows)
    assert curate(str(raw), str(tmp_path / "d"), config).nothing_left


def test_a_clip_that_ends_its_actor_is_a_failure_and_the_job_goes_on(tmp_path, monkeypatch):
    raw = tmp_path / "raw"
    raw.mkdir()
    write_video(raw / "0.mp4", 0, marked=False)
    write_video(raw / "1.mp4", 1, marked=True)
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    deadly = import_module("hostile_scorers").DeadlyActor  # by this name Ray's workers find it
    monkeypatch.setattr("pipeline.stages.score.ScoreActor", deadly)
    config = CurateConfig(analyze=AnalyzeConfig(scorers=SCORERS))
    report = curate(str(raw), str(tmp_path / "d"), config)
    assert (report.analyzed, report.clips, report.kept, report.unscored) == (2, 2, 2, 1)
    dataset = Dataset.open(tmp_path / "d")
    assert conservation.check(dataset) == []
    failures = views.failures(dataset).to_pylist()
    assert {(f["stage"], f["code"], f["quarantined"]) for f in failures} == {("score logo", "CRASHED", True)}
    scores = {(Path(row["uri"]).name, row["corner_logo"]) for row in views.clips(dataset).to_pylist()}
    assert scores == {("0.mp4", False), ("1.mp4", None)}
