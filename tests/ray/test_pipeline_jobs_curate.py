"""Raw files in, clips out: cuts to the frame, every bad file a row, and nothing done twice."""

import os
from dataclasses import replace
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from manifests import conservation
from manifests.dataset import Dataset
from manifests.live_view import LiveView
from manifests.thumbnails import read_thumbnails
from pipeline.config import AnalyzeConfig, CurateConfig, CutConfig, SelectConfig
from pipeline.errors import NothingToDo
from pipeline.jobs.curate import curate, retry
from video.encode import VideoWriter
from video.frames import read_frames

CONFIG = CurateConfig()
COLORS = [(200, 60, 60), (40, 160, 60), (60, 60, 220), (230, 220, 40)]


def write_video(path: Path, shots: int = 2, shot_frames: int = 12, fps: int = 12, seed: int = 0) -> None:
    """A square that moves over a plain background, another colour in each shot."""
    with VideoWriter(path, height=48, width=64, fps=fps) as out:
        for index in range(shots * shot_frames):
            shot, step = divmod(index, shot_frames)
            rgb_HWC = np.full((48, 64, 3), COLORS[(shot + seed) % len(COLORS)], np.uint8)
            rgb_HWC[12:28, 4 + step : 20 + step] = (10 * seed % 255, 250, 250)
            out.write(rgb_HWC, index)


def write_sound(path: Path) -> None:
    with av.open(str(path), "w") as out:
        stream = out.add_stream("aac", rate=44100, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 44100
        for _ in range(20):
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    folder = tmp_path / "raw"
    folder.mkdir()
    return folder


def test_shots_become_clips_with_exactly_their_frames(raw, tmp_path):
    write_video(raw / "a.mp4", shots=3)
    picture = np.kron(np.arange(48).reshape(6, 8), np.full((8, 8), 5)).astype(np.uint8)
    cv2.imwrite(str(raw / "still.png"), picture)
    report = curate(str(raw), str(tmp_path / "d"), CONFIG)
    assert (report.listed, report.analyzed, report.clips, report.kept, report.cut) == (2, 2, 4, 4, 4)
    dataset = Dataset.open(tmp_path / "d")
    assert conservation.violations(dataset) == []
    media = {row["clip_id"]: row for row in LiveView(dataset).media.to_pylist()}
    clips = sorted(LiveView(dataset).clips.to_pylist(), key=lambda clip: (clip["kind"], clip["start_pts"]))
    assert [clip["num_frames"] for clip in clips] == [1, 12, 12, 12]
    means = []
    for clip in clips:
        row = media[clip["clip_id"]]
        data = (dataset.root / row["path"]).read_bytes()[row["offset"] : row["offset"] + row["length"]]
        frames = list(read_frames(data))
        assert len(frames) == row["num_frames"] == clip["num_frames"]
        means.append(frames[-1].rgb_HWC[-4:, -4:].mean(axis=(0, 1)))
    np.testing.assert_allclose(means[1:], COLORS[:3], atol=6)
    assert set(read_thumbnails(dataset, media)) == set(media)


def test_a_second_run_does_nothing_and_a_threshold_decodes_nothing(raw, tmp_path):
    write_video(raw / "a.mp4")
    uri = str(tmp_path / "d")
    curate(str(raw), uri, CONFIG)
    commits = Dataset.open(uri).number
    again = curate(str(raw), uri, CONFIG)
    assert again.nothing_left
    assert (again.listed, again.already_done) == (1, 1)
    assert Dataset.open(uri).number == commits
    strict = replace(CONFIG, select=SelectConfig(min_duration_s=5))
    planned = curate(str(raw), uri, strict, dry_run=True)
    assert (planned.decided, planned.to_cut) == (2, 0)
    assert Dataset.open(uri).number == commits
    dropped = curate(str(raw), uri, strict)
    assert (dropped.analyzed, dropped.kept, dropped.dropped) == (0, 0, {"too_short": 2})
    row = LiveView(Dataset.open(uri)).selections.to_pylist()[0]
    assert row["detail"] == "1 < 5 s"
    back = curate(str(raw), uri, CONFIG)
    assert (back.analyzed, back.kept, back.to_cut) == (0, 2, 0)


def test_a_dry_run_of_a_new_dataset_writes_nothing(raw, tmp_path):
    write_video(raw / "a.mp4")
    report = curate(str(raw), str(tmp_path / "d"), CONFIG, dry_run=True)
    assert (report.listed, report.already_done) == (1, 0)
    assert not (tmp_path / "d").exists()


def test_every_bad_file_is_a_row_and_the_rest_goes_on(raw, tmp_path):
    write_video(raw / "good.mp4")
    (raw / "text.mp4").write_text("this is no video, whatever its name says\n" * 20)
    whole = tmp_path / "whole.mp4"
    write_video(whole, shots=4)
    (raw / "truncated.mp4").write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    write_sound(raw / "sound.mp4")
    (raw / "zero.mp4").touch()
    (raw / "gone.mp4").symlink_to(tmp_path / "nowhere.mp4")
    (raw / "folder.mp4").mkdir()
    write_video(raw / "forbidden.mp4")
    (raw / "forbidden.mp4").chmod(0)
    uri = str(tmp_path / "d")
    report = curate(str(raw), uri, CONFIG)
    failures = {Path(row["uri"]).name: row for row in LiveView(Dataset.open(uri)).failures.to_pylist()}
    codes = {name: row["code"] for name, row in failures.items()}
    wanted = {
        "text.mp4": "NOT_MEDIA",
        "truncated.mp4": "TRUNCATED",
        "sound.mp4": "NO_VIDEO_STREAM",
        "zero.mp4": "EMPTY_FILE",
        "gone.mp4": "VANISHED",
        "folder.mp4": "UNREADABLE",
    }
    if os.geteuid() != 0:  # the superuser may read everything
        wanted["forbidden.mp4"] = "UNREADABLE"
    assert codes == wanted
    assert all(row["remedy"] and row["uri"].startswith(str(raw)) for row in failures.values())
    assert sum(report.failed.values()) == len(wanted)
    assert report.analyzed == 8 - len(wanted)
    assert report.failed_share > 0.5
    assert conservation.violations(Dataset.open(uri)) == []
    assert curate(str(raw), uri, CONFIG).nothing_left
    (raw / "zero.mp4").unlink()
    write_video(raw / "zero.mp4", seed=2)
    again = retry(uri, CONFIG)
    assert (again.listed, again.analyzed, again.cut) == (len(wanted), 1, 2)
    dataset = Dataset.open(uri)
    assert LiveView(dataset).failures.num_rows == len(wanted) - 1
    assert conservation.violations(dataset) == []


def test_a_source_that_goes_away_before_it_is_cut_is_a_failure_of_its_clips(raw, tmp_path):
    write_video(raw / "a.mp4")
    write_video(raw / "b.mp4", seed=2)
    uri = str(tmp_path / "d")
    nothing_kept = replace(CONFIG, select=SelectConfig(min_duration_s=60))
    curate(str(raw), uri, nothing_kept)
    (raw / "a.mp4").rename(tmp_path / "elsewhere.mp4")
    report = curate(str(raw), uri, CONFIG)
    assert (report.cut, report.cut_failed) == (2, {"CHANGED": 2})
    assert conservation.violations(Dataset.open(uri)) == []
    assert curate(str(raw), uri, CONFIG).to_cut == 0
    (tmp_path / "elsewhere.mp4").rename(raw / "a.mp4")
    assert retry(uri, CONFIG).cut == 2
    assert conservation.funnel(Dataset.open(uri))["cut"] == {
        "done": 4,
        "media": 4,
        "windowed": 0,
        "failed": {},
        "to_do": 0,
        "seconds": pytest.approx(4),
    }


def test_equal_files_share_their_clips(raw, tmp_path):
    write_video(raw / "a.mp4")
    (raw / "copy.mp4").write_bytes((raw / "a.mp4").read_bytes())
    uri = str(tmp_path / "d")
    report = curate(str(raw), uri, CONFIG)
    dataset = Dataset.open(uri)
    assert (report.clips, report.cut) == (4, 2)
    assert conservation.funnel(dataset)["clips"]["repeated"] == 2
    assert conservation.violations(dataset) == []


def test_a_replaced_file_is_analysed_anew_and_counts_alone(raw, tmp_path):
    write_video(raw / "a.mp4", shots=2)
    uri = str(tmp_path / "d")
    curate(str(raw), uri, CONFIG)
    write_video(raw / "a.mp4", shots=3, seed=1)
    report = curate(str(raw), uri, CONFIG)
    dataset = Dataset.open(uri)
    assert (report.analyzed, LiveView(dataset).clips.num_rows, LiveView(dataset).media.num_rows) == (
        1,
        3,
        3,
    )
    assert conservation.violations(dataset) == []


def test_shots_too_short_are_gaps_and_long_ones_are_split(raw, tmp_path):
    write_video(raw / "quick.mp4", shots=3, shot_frames=12)
    write_video(raw / "slow.mp4", shots=1, shot_frames=40, seed=1)
    config = replace(CONFIG, analyze=AnalyzeConfig(max_shot_s=1.5, min_shot_s=1.05))
    report = curate(str(raw), str(tmp_path / "d"), config)
    dataset = Dataset.open(tmp_path / "d")
    assert (report.gaps, report.clips) == (3, 3)
    assert sorted(LiveView(dataset).clips["num_frames"].to_pylist()) == [13, 13, 14]
    assert conservation.violations(dataset) == []


def test_an_empty_folder_and_a_foreign_dataset_folder_are_refused(raw, tmp_path):
    with pytest.raises(NothingToDo, match="no video or still in this folder"):
        curate(str(raw), str(tmp_path / "d"), CONFIG)
    assert not (tmp_path / "d").exists()
    write_video(raw / "a.mp4")
    with pytest.raises(ValueError, match="already holds something that is not a Kinora dataset"):
        curate(str(raw), str(raw), CONFIG)


def test_a_long_file_is_shared_out_and_its_clips_are_the_same(raw, tmp_path):
    write_video(raw / "long.mp4", shots=8, shot_frames=24)
    found = {}
    for chunk_s in (0.0, 3.0):
        uri = str(tmp_path / f"d{chunk_s:.0f}")
        config = replace(CONFIG, cut=CutConfig(max_chunk_s=chunk_s))
        assert curate(str(raw), uri, config).cut == 8
        dataset = Dataset.open(uri)
        assert conservation.violations(dataset) == []
        found[chunk_s] = sorted(
            (row["media_id"], row["digest"]) for row in LiveView(dataset).media.to_pylist()
        )
        assert curate(str(raw), uri, config).nothing_left
    assert found[0.0] == found[3.0]
