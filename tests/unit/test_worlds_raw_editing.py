"""The frames of every transition and flash agree with the truth, before and after encoding."""

import itertools
import json
from dataclasses import replace
from fractions import Fraction
from random import Random

import numpy as np
import pytest

from video.frames import read_frames
from worlds.families import from_json
from worlds.palette import FAMILY_NAMES
from worlds.raw.config import TRANSITIONS, RawConfig
from worlds.raw.editing import DIRECTIONS, Edit, Flash, Transition, render_edit
from worlds.raw.render import render_raw, sample_edit, truth_path
from worlds.raw.scene import FrameSpec, Scene, render_scene, sample_shapes

TIMED = [kind for kind in TRANSITIONS if kind != "cut"]
CONFIG = RawConfig(
    num_videos=1, shots_per_video=(3, 3), shot_seconds=(0.4, 0.6), slate_rate=0, short_side_px=48
)


def two_shots(transition, *, alone=6, fps=20.0):
    config = replace(CONFIG, two_objects_prob=0)
    place, num_frames = FrameSpec(width=64, height=48, fps=fps), alone + transition.num_frames
    first = sample_shapes(Random(1), config, place, num_frames=num_frames, avoid=set())
    avoid = {first.background, "white", "black"}
    second = sample_shapes(Random(2), config, place, num_frames=num_frames, avoid=avoid)
    scenes = Scene(world=first), Scene(world=second)
    return Edit(scenes=scenes, transitions=(transition,), flashes=(None, None))


def shown(edit):
    """Return the frames of an edit, and of each of its two shots alone at the same times (else black)."""
    frames_THWC = np.stack(list(render_edit(edit))).astype(int)
    old_THWC, new_THWC = np.zeros_like(frames_THWC), np.zeros_like(frames_THWC)
    old_THWC[: edit.scenes[0].num_frames] = render_scene(edit.scenes[0])
    new_THWC[-edit.scenes[1].num_frames :] = render_scene(edit.scenes[1])
    return frames_THWC, old_THWC, new_THWC


@pytest.mark.parametrize("kind", TRANSITIONS)
def test_each_shot_is_alone_in_its_span(kind):
    length = 0 if kind == "cut" else 7
    edit = two_shots(Transition(kind=kind, num_frames=length, way="left" if kind == "whip_pan" else None))
    frames_THWC, old_THWC, new_THWC = shown(edit)
    assert edit.spans() == [(0, 6), (6 + length, 12 + length)]
    assert edit.num_frames == len(frames_THWC) == 12 + length
    assert np.array_equal(frames_THWC[:6], old_THWC[:6])
    assert np.array_equal(frames_THWC[6 + length :], new_THWC[6 + length :])
    for frame in range(6, 6 + length):
        for alone_THWC in (old_THWC, new_THWC):
            assert np.abs(frames_THWC[frame] - alone_THWC[frame]).mean() > 1, frame


def test_a_dissolve_goes_from_one_to_the_other_in_equal_steps():
    frames_THWC, old_THWC, new_THWC = shown(two_shots(Transition(kind="dissolve", num_frames=7)))
    for number in range(1, 8):
        mixed_HWC = old_THWC[5 + number] * (1 - number / 8) + new_THWC[5 + number] * number / 8
        assert np.abs(frames_THWC[5 + number] - mixed_HWC).max() <= 1


@pytest.mark.parametrize(("kind", "level"), [("fade_black", 0), ("fade_white", 255)])
def test_a_fade_passes_through_its_colour(kind, level):
    frames_THWC, old_THWC, new_THWC = shown(two_shots(Transition(kind=kind, num_frames=7)))
    assert (frames_THWC[6 + 3] == level).all()
    for number in range(1, 8):
        alone_HWC, share = (
            (old_THWC[5 + number], number / 4) if number <= 4 else (new_THWC[5 + number], (8 - number) / 4)
        )
        assert np.abs(frames_THWC[5 + number] - (alone_HWC * (1 - share) + level * share)).max() <= 1


@pytest.mark.parametrize("way", DIRECTIONS)
def test_a_whip_pan_brings_the_new_shot_in_from_its_side_and_blurs(way):
    edit = two_shots(Transition(kind="whip_pan", num_frames=7, way=way))
    backgrounds = [render_scene(scene)[0, 0, 0].astype(int) for scene in edit.scenes]
    frames_THWC, *_ = shown(edit)
    edges = {
        "left": frames_THWC[:, :, 0],
        "right": frames_THWC[:, :, -1],
        "up": frames_THWC[:, 0],
        "down": frames_THWC[:, -1],
    }
    opposite = {"left": "right", "right": "left", "up": "down", "down": "up"}
    middle = 6 + 3
    near_new = np.abs(edges[way][middle] - backgrounds[1]).sum(axis=-1)
    near_old = np.abs(edges[opposite[way]][middle] - backgrounds[0]).sum(axis=-1)
    assert np.median(near_new) == 0
    assert np.median(near_old) == 0
    # where both meet, colours lie between the two: more levels than two flat pictures have
    axis = 1 if way in ("left", "right") else 0
    along_2 = frames_THWC[middle].mean(axis=1 - axis)
    between = np.abs(along_2 - backgrounds[0]).sum(axis=-1) + np.abs(along_2 - backgrounds[1]).sum(axis=-1)
    apart = np.abs(backgrounds[0] - backgrounds[1]).sum()
    assert np.median(between) == pytest.approx(apart, rel=0.35)
    steps = np.abs(np.diff(along_2, axis=0)).sum(axis=-1)
    assert steps.max() < 0.7 * apart  # no hard edge


def test_only_transitions_that_take_time_have_frames():
    with pytest.raises(ValueError, match="take time"):
        list(render_edit(two_shots(Transition(kind="cut", num_frames=2))))


def test_a_flash_whitens_its_frames_and_no_other():
    edit = two_shots(Transition(kind="dissolve", num_frames=4), alone=10)
    flash = Flash(start=4 + 3, num_frames=2, strength=0.8)
    lit_THWC = np.stack(list(render_edit(replace(edit, flashes=(None, flash))))).astype(int)
    plain_THWC = np.stack(list(render_edit(edit))).astype(int)
    (_, end), (start, _) = edit.spans()
    assert replace(edit, flashes=(None, flash)).flash_spans() == [None, (start + 3, start + 5)]
    same = np.ones(len(lit_THWC), bool)
    same[start + 3 : start + 5] = False
    assert np.array_equal(lit_THWC[same], plain_THWC[same])
    whiter_THWC = plain_THWC[~same] + 0.8 * (255 - plain_THWC[~same])
    assert np.abs(lit_THWC[~same] - whiter_THWC).max() <= 1
    assert end + 4 == start


@pytest.mark.parametrize("seed", range(4))
def test_plans_hold_what_was_asked_for(seed):
    config = replace(CONFIG, transitions=TRANSITIONS, slate_rate=0.5, flash_rate=1.0, shot_seconds=(1.5, 2.0))
    edit = sample_edit(
        Random(seed), Random(seed), Random(seed), config, FrameSpec(width=64, height=48, fps=24.0)
    )
    spans = edit.spans()
    assert len(edit.scenes) == len(edit.transitions) + 1 == len(edit.flashes) >= 3
    for scene, (start, end), flash, lit in zip(
        edit.scenes, spans, edit.flashes, edit.flash_spans(), strict=True
    ):
        seconds = (end - start) / 24
        assert (0.45 < seconds < 1.05 and not flash) if scene.is_slate else (1.45 < seconds < 2.05 and flash)
        assert lit is None or start + 0.25 * 24 < lit[0] < lit[1] < end - 0.25 * 24
    for transition, before, after in zip(edit.transitions, spans, spans[1:], strict=False):
        assert after[0] - before[1] == transition.num_frames
        assert (transition.num_frames == 0) == (transition.kind == "cut")


@pytest.mark.parametrize("uneven_rate", [0.0, 1.0])
@pytest.mark.parametrize(
    ("form", "families"),
    [
        ("mp4/h264", ("shapes",)),
        ("mkv/vp9", ("shapes",)),
        ("mov/mpeg4", ("shapes",)),
        ("mp4/h264", FAMILY_NAMES),
    ],
)
def test_files_show_what_their_truth_says(tmp_path, uneven_rate, form, families):
    config = replace(
        CONFIG,
        num_videos=5,
        fps=(24.0, 30000 / 1001),
        aspects=("16:9", "2.39:1", "9:16"),
        transitions=TRANSITIONS,
        transition_seconds=(0.3, 0.4),
        shot_seconds=(0.9, 1.1),
        flash_rate=0.5,
        uneven_rate=uneven_rate,
        families=families,
        b_frames_rate=0.5,
        formats=(form,),
        still_rate=0,
        crf=8,
    )
    render_raw(tmp_path / "raw", config)
    seen = set()
    for text in truth_path(tmp_path / "raw", config).read_text().splitlines():
        line = json.loads(text)
        frames = list(read_frames(tmp_path / "raw" / line["file"]))
        check_cover(line)
        check_times(line, frames)
        check_pixels(line, frames)
        seen |= {transition["kind"] for transition in line["transitions"]}
    assert len(seen) >= 4


def check_cover(line):
    """Shots and transitions follow one another from the first frame to the last."""
    parts = [*line["shots"], *line["transitions"]]
    parts.sort(key=lambda part: (part["start_frame"], part["end_frame"]))
    assert parts[0]["start_frame"] == parts[0]["start_pts"] == parts[0]["start_s"] == 0
    for part, following in itertools.pairwise(parts):
        for unit in ("frame", "pts", "s"):
            assert part[f"end_{unit}"] == following[f"start_{unit}"]
    assert parts[-1]["end_frame"] == line["num_frames"]
    for transition in line["transitions"]:
        length = transition["end_frame"] - transition["start_frame"]
        assert (length == 0) == (transition["kind"] == "cut")


def check_times(line, frames):
    """Every pts in the truth is that of the decoded frame."""
    assert len(frames) == line["num_frames"]
    time_base = Fraction(line["time_base"])
    if line["pts"] is not None:
        assert line["pts"] == [frame.pts for frame in frames]
        assert len({b - a for a, b in zip(line["pts"], line["pts"][1:], strict=False)}) > 3
    flashes = [flash for shot in line["shots"] for flash in shot["flashes"]]
    for part in [*line["shots"], *line["transitions"], *flashes]:
        for edge in ("start", "end"):
            if part[f"{edge}_frame"] < len(frames):
                assert part[f"{edge}_pts"] == frames[part[f"{edge}_frame"]].pts
                assert part[f"{edge}_s"] == pytest.approx(part[f"{edge}_pts"] * time_base, abs=0.0006)


def check_pixels(line, frames):
    """Shots are alone in their spans, flashes apart; no frame of a transition shows a shot alone."""
    alone_TTHWC = [render_scene(Scene(world=from_json(shot["world"]))).astype(int) for shot in line["shots"]]
    fps = float(Fraction(line["fps"]))

    def alone(number, index):
        """Return what a shot's world shows at the time of a frame."""
        played = round((frames[number].time_s - line["shots"][index]["world_start_s"]) * fps)
        return alone_TTHWC[index][min(max(played, 0), len(alone_TTHWC[index]) - 1)]

    def away(number, index):
        return np.abs(frames[number].rgb_HWC - alone(number, index)).mean()

    for index, shot in enumerate(line["shots"]):
        lit = {n for flash in shot["flashes"] for n in range(flash["start_frame"], flash["end_frame"])}
        for number in range(shot["start_frame"], shot["end_frame"]):
            level, plain = frames[number].rgb_HWC.mean(), alone(number, index).mean()
            if number in lit:
                assert level > plain + 0.6 * (255 - plain), (line["file"], number)
            else:
                assert away(number, index) < 5, (line["file"], number)
    for index, transition in enumerate(line["transitions"]):
        for number in range(transition["start_frame"], transition["end_frame"]):
            assert min(away(number, index), away(number, index + 1)) > 2, (line["file"], number)
