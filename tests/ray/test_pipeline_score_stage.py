"""Scorers on Ray: models in actors, all rows written once, and a clip that kills its actor left alone."""

from dataclasses import replace
from importlib import import_module
from pathlib import Path

import cv2
import numpy as np
import pytest

from kinora.commands import explain as explain_command
from kinora.commands import retry as retry_command
from manifests import conservation
from manifests.dataset import Dataset
from manifests.live_view import LiveView
from pipeline.config import AnalyzeConfig, CurateConfig, ScorersConfig, SelectConfig
from pipeline.jobs.curate import curate, retry
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
    assert conservation.violations(dataset) == []
    rows = sorted(LiveView(dataset).clips.to_pylist(), key=lambda row: (row["uri"], row["start_pts"]))
    assert [row["corner_logo"] for row in rows] == [True, False, False]
    assert all(0 < row["aesthetic_heuristic"] <= 1 for row in rows)
    assert all("nsfw" not in row for row in rows)
    assert curate(str(raw), str(tmp_path / "d"), config).nothing_left


@pytest.mark.slow
def test_a_clip_that_ends_its_actor_is_a_failure_and_the_job_goes_on(tmp_path, monkeypatch):
    raw = tmp_path / "raw"
    raw.mkdir()
    write_video(raw / "0.mp4", 0, marked=False)
    write_video(raw / "1.mp4", 1, marked=True)
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    deadly = import_module("hostile_scorers").DeadlyActor  # by this name Ray's workers find it
    monkeypatch.setattr("pipeline.score.stage.ScoreActor", deadly)
    config = CurateConfig(analyze=AnalyzeConfig(scorers=SCORERS))
    report = curate(str(raw), str(tmp_path / "d"), config)
    assert (report.analyzed, report.clips, report.kept, report.unscored) == (2, 2, 2, 1)
    dataset = Dataset.open(tmp_path / "d")
    assert conservation.violations(dataset) == []
    failures = LiveView(dataset).failures.to_pylist()
    assert {(f["stage"], f["code"], f["quarantined"]) for f in failures} == {("score logo", "CRASHED", True)}
    assert logos(dataset.uri) == {"0.mp4": False, "1.mp4": None}
    monkeypatch.undo()
    assert retry(dataset.uri, config).scored == 0
    lifted = retry(dataset.uri, config, quarantined=True)
    assert (lifted.analyzed, lifted.scored, lifted.decided, lifted.to_cut) == (0, 1, 1, 0)
    assert logos(dataset.uri) == {"0.mp4": False, "1.mp4": True}
    assert LiveView(Dataset.open(dataset.uri)).failures.num_rows == 0


def logos(uri: str) -> dict[str, bool | None]:
    rows = LiveView(Dataset.open(uri)).clips.to_pylist()
    return {Path(row["uri"]).name: row["corner_logo"] for row in rows}


def test_a_retry_scores_again_what_a_scorer_failed_at(tmp_path, monkeypatch):
    raw, uri = tmp_path / "raw", str(tmp_path / "d")
    raw.mkdir()
    write_video(raw / "0.mp4", 0, marked=False)
    write_video(raw / "1.mp4", 1, marked=True)
    config = CurateConfig(analyze=AnalyzeConfig(scorers=SCORERS))
    with monkeypatch.context() as patch:
        patch.syspath_prepend(str(Path(__file__).parent))
        patch.setattr("pipeline.score.stage.ScoreActor", import_module("hostile_scorers").BrokenActor)
        assert curate(str(raw), uri, config).unscored == 1
    (failure,) = LiveView(Dataset.open(uri)).failures.to_pylist()
    assert (failure["stage"], failure["uri"]) == ("score logo", str(raw / "1.mp4"))
    assert curate(str(raw), uri, config).nothing_left
    media = LiveView(Dataset.open(uri)).media
    other = replace(config, analyze=AnalyzeConfig(scorers=replace(SCORERS, frames=2)))
    assert retry(uri, other, dry_run=True).scored == 0  # under which nothing failed
    plan = {each.stage: (each.units, each.why) for each in retry(uri, config, dry_run=True).plan}
    assert plan["analyze"] == (0, {})
    assert plan["score"] == (1, {"not scored by logo": 1})

    (raw / "1.mp4").rename(raw / "away.mp4")  # then its frames come from the medium
    done = retry_command.run(retry_command.Config(dataset=uri))
    report = done.data["curate"]
    assert (report["analyzed"], report["scored"], report["unscored"]) == (0, 1, 0)
    assert (report["decided"], report["to_cut"]) == (1, 0)
    assert (done.exit, done.data["failures_left"]) == (0, 0)
    (raw / "away.mp4").rename(raw / "1.mp4")
    dataset = Dataset.open(uri)
    assert conservation.violations(dataset) == []
    assert logos(uri) == {"0.mp4": False, "1.mp4": True}
    assert LiveView(dataset).media.equals(media)
    assert curate(str(raw), uri, config).nothing_left


def commits(uri: str, stage: str) -> int:
    return sum(commit.stage == stage for commit in Dataset.open(uri).commits)


@pytest.mark.slow
def test_scorers_added_later_run_over_what_is_there_and_nothing_else_is_done_again(tmp_path, monkeypatch):
    raw, uri = tmp_path / "raw", str(tmp_path / "d")
    raw.mkdir()
    for seed, marked in enumerate((True, False)):
        write_video(raw / f"{seed}.mp4", seed, marked)
    with VideoWriter(raw / "red.mp4", height=90, width=160, fps=12) as out:
        for index in range(24):
            rgb_HWC = np.zeros((90, 160, 3), np.uint8)
            rgb_HWC[..., 0] = 255
            rgb_HWC[:9, : 4 * index + 4] = 90
            out.write(rgb_HWC, index)
    plain = CurateConfig()
    first = curate(str(raw), uri, plain)
    assert (first.analyzed, first.clips, first.cut) == (3, 3, 3)
    parts = Dataset.open(uri).parts("clips")

    logo = replace(plain, analyze=AnalyzeConfig(scorers=ScorersConfig(logo=True)))
    planned = {each.stage: each for each in curate(str(raw), uri, logo, dry_run=True).plan}
    assert (planned["analyze"].units, planned["score"].units) == (0, 3)
    assert planned["score"].why == {"not scored by logo": 3}
    assert planned["select"].why == {"scored first": 3}
    later = curate(str(raw), uri, logo)
    assert (later.analyzed, later.scored, later.unscored, later.to_cut) == (0, 3, 0, 0)
    assert curate(str(raw), uri, logo).nothing_left
    at_once = str(tmp_path / "at_once")
    curate(str(raw), at_once, logo)
    assert logos(uri) == logos(at_once)  # the same frames
    assert Dataset.open(uri).parts("clips") == parts

    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    scorers = ScorersConfig(logo=True, own=("own_scorers:red",))
    own = replace(
        plain, analyze=AnalyzeConfig(scorers=scorers), select=SelectConfig(limits={"my_red": (0.45, None)})
    )
    third = curate(str(raw), uri, own)
    assert (third.analyzed, third.scored, third.unscored, third.failed_share) == (0, 2, 1, 1 / 3)
    view = LiveView(Dataset.open(uri))
    rows = {Path(row["uri"]).name: row for row in view.clips.to_pylist()}
    values = {name: row["my_red"] for name, row in rows.items()}
    assert values["red.mp4"] is None
    assert all(0.2 < values[name] < 0.7 for name in ("0.mp4", "1.mp4"))
    reasons = dict(zip(*(view.selections[name].to_pylist() for name in ("clip_id", "reason")), strict=True))
    for row in rows.values():
        is_dropped = row["my_red"] is not None and row["my_red"] < 0.45
        assert reasons[row["clip_id"]] == ("my_red" if is_dropped else "kept")
    (failure,) = view.failures.to_pylist()
    assert (failure["stage"], failure["code"]) == ("score own_scorers:red", "OWN_SCORER")
    assert "too red to measure" in failure["message"]
    assert logos(uri) == logos(at_once)
    assert conservation.violations(Dataset.open(uri)) == []
    assert curate(str(raw), uri, own).nothing_left
    explained = explain_command.run(explain_command.Config(dataset=uri, clip=rows["0.mp4"]["clip_id"]))
    assert "my_red" in [rule["column"] for rule in explained.data["rules"]]

    num = commits(uri, "score")
    changed = replace(own, analyze=AnalyzeConfig(scorers=replace(scorers, logo=False)))
    assert curate(str(raw), uri, changed).nothing_left  # its scores stay
    assert logos(uri) == logos(at_once)
    assert commits(uri, "score") == num
