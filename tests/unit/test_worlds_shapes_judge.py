"""The judge accepts rendered and re-encoded videos, and rejects those of another world."""

import cv2
import numpy as np
import pytest

from video.encode import mp4_bytes
from video.frames import read_clip
from worlds.palette import BACKGROUNDS, COLORS
from worlds.shapes.draw import render
from worlds.shapes.family import sample_world
from worlds.shapes.grammar import prompt_truth
from worlds.shapes.judge import ATTRIBUTES, compare, judge_video
from worlds.shapes.measure import measure, measured_truth
from worlds.shapes.truth import Requirements, Thing, ThingRequirements, World

SIZES = [(64, 64), (80, 48), (48, 80), (128, 72)]
COUNT = 60


def sampled(size, count=COUNT):
    draw = np.random.default_rng(sum(size))
    for seed in range(count):
        fps = int(draw.integers(9, 25))
        num_frames = int(fps * draw.uniform(1, 2))
        yield sample_world(seed, width=size[0], height=size[1], fps=fps, num_frames=num_frames)


def as_rendered(frames_THWC, fps):
    return frames_THWC


def reencoded(frames_THWC, fps):
    return read_clip(mp4_bytes(frames_THWC, fps))[0]


def blurred_and_noisy(frames_THWC, fps):
    soft_THWC = np.stack([cv2.GaussianBlur(frame, (0, 0), 1.0) for frame in frames_THWC])
    noise_THWC = np.random.default_rng(0).normal(0, 6, soft_THWC.shape)
    return np.clip(soft_THWC + noise_THWC, 0, 255).round().astype(np.uint8)


@pytest.mark.parametrize(
    ("size", "change"),
    [(size, change) for size in SIZES for change in (as_rendered, reencoded)]
    + [(SIZES[0], blurred_and_noisy)],
)
def test_right_on_the_truth_and_no_better_than_chance_on_another(size, change):
    worlds = list(sampled(size))
    found = [measure(change(render(world), world.fps), world.fps) for world in worlds]
    for attribute in ATTRIBUTES:
        right = [getattr(compare(m, world), attribute) for m, world in zip(found, worlds, strict=True)]
        right = [value for value in right if value is not None]
        assert np.mean(right) >= 0.98, attribute
        # every other pairing: what agrees by chance is known exactly from the two truths
        pairs = [(i, (i + step) % COUNT) for i in range(COUNT) for step in (1, 2, 3)]
        said = [getattr(compare(found[i], worlds[j]), attribute) for i, j in pairs]
        true = [getattr(compare(measured_truth(worlds[i]), worlds[j]), attribute) for i, j in pairs]
        yes_where_wrong = [s for s, t in zip(said, true, strict=True) if t is False]
        assert len(yes_where_wrong) > 20, attribute
        assert np.mean(yes_where_wrong) <= 0.02, attribute


def one(shape="circle", direction="left", speed="medium", color="red", start=(0.5, 0.5), **world):
    thing = Thing(color=color, shape=shape, direction=direction, speed=speed, size=0.34, start=start)
    fields = {"background": "gray", "width": 64, "height": 64, "fps": 12, "num_frames": 12} | world
    return World(seed=0, things=(thing,), **fields)


def test_every_color_on_every_background():
    for color in COLORS:
        for background in BACKGROUNDS:
            shown = one(color=color, background=background, num_frames=2)
            found = measure(render(shown), 12)
            assert (found.background, [thing.color for thing in found.things]) == (background, [color])


def test_motion_goes_on_round_the_edges():
    shown = one(direction="down-right", speed="quick", start=(0.9, 0.9), num_frames=36)
    (thing,) = measure(render(shown), 12).things
    assert (thing.direction, thing.speed, thing.shape) == ("down-right", "quick", "circle")
    assert thing.speed_per_s == pytest.approx(0.30, rel=0.03)


def test_one_frame_has_no_motion():
    verdict = judge_video(render(one(num_frames=1)), 12, one(num_frames=1))
    assert verdict.checks() == {"color": True, "shape": True, "background": True, "count": True}


def test_an_empty_video():
    blank_THWC = np.full((5, 64, 64, 3), 126, np.uint8)
    verdict = judge_video(blank_THWC, 12, one())
    assert verdict.measured.things == ()
    assert verdict.background is True
    assert not any((verdict.color, verdict.shape, verdict.direction, verdict.count))


def test_noise_alone_shows_nothing_wanted():
    noise_THWC = np.random.default_rng(0).integers(0, 256, (9, 64, 64, 3), np.uint8)
    verdict = judge_video(noise_THWC, 12, one())
    assert not (verdict.color and verdict.shape)


def test_foreign_outlines_have_no_name():
    """An upside-down triangle, a flat ellipse and a cross are none of the four shapes."""
    down = np.array([(0, 1), (0.87, -0.5), (-0.87, -0.5)])
    angles = np.linspace(0, 2 * np.pi, 40)
    flat = np.stack([np.cos(angles), 0.5 * np.sin(angles)], axis=1)
    arm = 0.3
    half = [(-arm, -1), (arm, -1), (arm, -arm), (1, -arm), (1, arm), (arm, arm), (arm, 1), (-arm, 1)]
    cross = np.array([*half, (-arm, arm), (-1, arm), (-1, -arm), (-arm, -arm)])
    for outline in (down, flat, cross):
        fine_HWC = np.full((256, 256, 3), 126, np.uint8)
        cv2.fillPoly(fine_HWC, [np.rint(128 + outline * 48).astype(np.int32)], COLORS["red"])
        frame_HWC = cv2.resize(fine_HWC, (64, 64), interpolation=cv2.INTER_AREA)
        (thing,) = measure(np.stack([frame_HWC] * 3), 12).things
        assert (thing.color, thing.shape, thing.direction) == ("red", None, "still")


def test_binding_is_about_the_same_thing():
    pair = sample_world(4, width=128, height=64, fps=12, num_frames=12, num_things=2)
    first, second = pair.things
    assert first.shape != second.shape
    asked = [ThingRequirements(color=t.color, shape=t.shape) for t in pair.things]
    swapped = (
        ThingRequirements(color=first.color, shape=second.shape),
        ThingRequirements(color=second.color, shape=first.shape),
    )
    frames_THWC = render(pair)
    assert judge_video(frames_THWC, 12, Requirements(things=tuple(asked))).binding is True
    verdict = judge_video(frames_THWC, 12, Requirements(things=swapped))
    assert (verdict.color, verdict.shape, verdict.binding) == (True, True, False)


def test_a_prompt_judges_only_what_it_says():
    verdict = judge_video(render(one()), 12, prompt_truth("a red object on a white background"))
    assert verdict.checks() == {"color": True, "background": False, "count": True}


def test_frames_of_another_layout_are_refused():
    with pytest.raises(ValueError, match="expected"):
        measure(np.zeros((3, 8, 64, 64), np.uint8), 12)
