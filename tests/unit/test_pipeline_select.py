"""Decisions without Ray or a video: selection, shots and signals, chunks of work, listings."""

from typing import Any

import numpy as np
import pytest

from pipeline.analyze.segments import split_by_time
from pipeline.analyze.shots.boundaries import Boundary
from pipeline.analyze.shots.detector import create_detector
from pipeline.analyze.signals.frame_view import FrameView, Span
from pipeline.analyze.signals.light import Light
from pipeline.analyze.signals.motion import Motion
from pipeline.analyze.signals.sharpness import Sharpness
from pipeline.config import AnalyzeConfig, ListConfig, SelectConfig
from pipeline.errors import NothingToDo
from pipeline.runtime.units import batch_units
from pipeline.select.select import select_clip
from pipeline.sources.listing import list_sources


def clip(**changes: Any) -> dict[str, Any]:
    scores = {"brightness": 0.5, "black": 0.0, "sharpness": 0.1, "static": 0.0, "motion": 0.1}
    span = {"start_pts": 0, "end_pts": 200, "time_base_num": 1, "time_base_den": 100}
    about = {"clip_id": "c", "kind": "video", "height": 64, "width": 96, "analysis": "a"}
    return scores | span | about | changes


@pytest.mark.parametrize(
    ("changes", "config", "reason", "detail"),
    [
        ({}, {}, "kept", ""),
        ({"black": 0.9}, {}, "black", "0.9 > 0.5 of frames"),
        ({"end_pts": 40}, {}, "too_short", "0.4 < 0.5 s"),
        ({"end_pts": 7000}, {}, "too_long", "70 > 60 s"),
        ({"height": 20}, {}, "too_small", "20 < 32 px"),
        ({"height": 20, "black": 1.0}, {}, "too_small", "20 < 32 px"),
        ({"sharpness": 0.001}, {}, "blurred", "0.001 < 0.004 sharpness"),
        ({"sharpness": None}, {"min_sharpness": 1.0}, "kept", ""),
        ({"static": 1.0, "motion": 0.0}, {}, "kept", ""),
        ({"motion": 0.0}, {"min_motion": 0.01}, "too_little_motion", "0 < 0.01 short sides/s"),
        ({"kind": "image", "end_pts": 1, "motion": None, "static": None}, {"min_motion": 1.0}, "kept", ""),
    ],
)
def test_a_clip_is_dropped_by_the_first_rule_it_breaks_with_value_and_limit(changes, config, reason, detail):
    selection = select_clip(clip(**changes), SelectConfig(**config))
    assert (selection.kept, selection.reason, selection.detail) == (reason == "kept", reason, detail)


def test_new_scores_or_thresholds_change_the_rules_digest():
    rules = {
        select_clip(clip(), SelectConfig()).rules,
        select_clip(clip(analysis="b"), SelectConfig()).rules,
        select_clip(clip(), SelectConfig(min_motion=0.1)).rules,
    }
    assert len(rules) == 3


def looks(frames: list[np.ndarray], fps: float = 10) -> list[FrameView]:
    return [FrameView.from_rgb(f, index=i, time_s=i / fps, sampled=i % 2 == 0) for i, f in enumerate(frames)]


def textured(shift: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    gray_HW = np.kron(rng.integers(0, 255, (12, 20)), np.ones((8, 8))).astype(np.uint8)
    return np.repeat(np.roll(gray_HW, shift, axis=1)[..., None], 3, axis=2)


@pytest.mark.parametrize("kind", ["learned", "adaptive", "content"])
@pytest.mark.parametrize("cuts", [[], [1], [6], [11], [3, 4], [1, 6, 11]])
def test_cuts_are_found_to_the_frame_also_next_to_both_ends(kind, cuts):
    if kind == "learned" and cuts == [3, 4]:
        pytest.skip("a single frame between two others is a flash to it")
    shots = create_detector(AnalyzeConfig(detector=kind))
    colors = [(250, 20, 20), (20, 60, 20), (200, 200, 250), (10, 10, 80)]
    shown = [colors[sum(index >= cut for cut in cuts)] for index in range(12)]
    found: list[Boundary] = []
    for look in looks([np.full((36, 64, 3), color, np.uint8) for color in shown]):
        found += shots.update(look)
    assert found + shots.finish() == [Boundary(start=cut, end=cut) for cut in cuts]


def test_a_long_shot_is_divided_evenly_and_wholly():
    spans = list(split_by_time(range(200), Span(start=5, end=105), 105, 34))
    assert [(span.start, span.end) for span in spans] == [(5, 38), (38, 72), (72, 105)]


def test_motion_is_measured_in_short_sides_a_second_and_never_across_a_cut():
    motion = Motion()
    moving = [textured(3 * i) for i in range(10)]
    other = [textured(0, seed=1)] * 10
    for look in looks(moving + other):
        motion.update(look)
    assert motion.columns(Span(start=0, end=10))["motion"] == pytest.approx(3 * 10 / 96, rel=0.2)
    assert motion.columns(Span(start=10, end=20))["motion"] == pytest.approx(0, abs=0.01)
    assert motion.columns(Span(start=4, end=5))["motion"] is None


def test_light_tells_black_and_still_frames_and_a_thing_on_black_is_not_black():
    light = Light()
    black, thing = np.full((36, 64, 3), 8, np.uint8), np.full((36, 64, 3), 8, np.uint8)
    thing[10:14, 10:14] = 200
    for look in looks([black] * 3 + [thing] * 3):
        light.update(look)
    measured = light.columns(Span(start=0, end=3, end_s=0.3))
    assert (measured["black"], measured["static"]) == (1.0, 1.0)
    assert measured["brightness"] == pytest.approx(8 / 255)
    assert light.columns(Span(start=3, end=6, end_s=0.6))["black"] == 0
    part = light.columns(Span(start=1, end=6, end_s=0.6))
    assert (part["static"], part["frozen_s"]) == pytest.approx((0.6, 0.3))
    assert light.columns(Span(start=3, end=4))["static"] is None  # a still


def test_sharpness_falls_with_blur_not_with_contrast():
    import cv2

    def measured(frame: np.ndarray) -> Any:
        sharpness = Sharpness()
        sharpness.update(looks([frame])[0])
        return sharpness.columns(Span(start=0, end=1))["sharpness"]

    sharp, blurred = textured(0), cv2.GaussianBlur(textured(0), (0, 0), 5)
    dim = (textured(0) * 0.3).astype(np.uint8)
    values = [measured(frame) for frame in (sharp, blurred, dim)]
    assert values[0] is not None
    assert values[1] is not None
    assert values[0] > 10 * values[1]
    assert values[2] == pytest.approx(values[0], rel=0.1)
    assert measured(np.full((36, 64, 3), 90, np.uint8)) is None


def test_runs_keep_order_fill_every_cpu_and_stay_within_their_weight():
    assert [len(run) for run in batch_units(range(100), cpus=2, max_weight=1000)] == [13] * 7 + [9]
    heavy = list(batch_units([1, 1, 50, 1, 1], cpus=1, max_weight=10, weight=lambda unit: unit))
    assert heavy == [[1, 1], [50], [1, 1]]
    assert list(batch_units([], cpus=4, max_weight=10)) == []


def test_a_listing_skips_hidden_files_and_reads_no_bytes(tmp_path):
    for name in ("a.MP4", "b/c.webm", "d.png", ".hidden.mp4", ".cache/e.mp4", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    config = ListConfig()
    names = [
        source.uri.removeprefix(f"{tmp_path}/") for source in list_sources(str(tmp_path), config).sources
    ]
    assert names == ["a.MP4", "b/c.webm", "d.png"]
    assert len(list_sources(f"{tmp_path}/*.png", config).sources) == 1
    assert len(list_sources(f"{tmp_path}/notes.txt", config).sources) == 1
    with pytest.raises(NothingToDo, match="no such file or folder"):
        list_sources(f"{tmp_path}/missing", config)
