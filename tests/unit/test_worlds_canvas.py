"""Canvases are deterministic, captions are true, and the judge detects paint and bites that vanish."""

from functools import partial

import numpy as np
import pytest
from family_samples import SIZES, as_drawn, reencoded, verdicts, worlds_of

from worlds.canvas import family as canvas
from worlds.canvas import judge
from worlds.canvas.truth import path_P2

sampled = partial(worlds_of, canvas)


@pytest.mark.parametrize("size", SIZES)
def test_paint_is_where_the_truth_says(size):
    for world in sampled(20, size):
        frames_THWC, labels_THW = canvas.draw(world)
        assert frames_THWC.shape == (24, size[1], size[0], 3)
        assert labels_THW.shape == frames_THWC.shape[:3]
        for number, stroke in enumerate(world.strokes, start=1):
            columns, rows = (path_P2(stroke) * 64).astype(int).T
            assert (labels_THW[-1][rows, columns] == number).mean() > 0.97
            assert not (labels_THW[0] == number).any()
        if world.food is not None:
            areas = [(labels_THW[index] == 1).sum() for index in (0, -1)]
            assert 0.6 < areas[1] / areas[0] < 0.95


def test_captions_are_of_the_promised_length_and_hold_the_claims():
    for num_frames in (24, 1):
        for seed, world in enumerate(sampled(150, num_frames=num_frames)):
            dense, short = canvas.dense_caption(world, seed), canvas.short_caption(world, seed)
            assert 60 <= len(dense.split()) <= 135, (num_frames, dense)
            assert 6 <= len(short.split()) <= 26
            assert canvas.dense_caption(world, seed) == dense
            assert "{" not in dense + short
            for thing in [*world.strokes, *filter(None, [world.food])]:
                assert thing.name in dense
                assert thing.name in short
            assert world.background in dense
            assert world.background in short
    (world,) = sampled(1)
    assert len({canvas.dense_caption(world, seed) for seed in range(60)}) > 30


def test_claims_state_every_attribute():
    for world in sampled(30):
        found = {(claim.subject, claim.attribute, claim.value) for claim in canvas.claims(world)}
        assert ("background", "color", world.background) in found
        for stroke in world.strokes:
            assert (stroke.name, "direction", stroke.direction) in found
            assert ("paint", "stays", "yes") in found
        if world.food is not None:
            assert {(world.food.name, "bitten", bite.side) for bite in world.food.bites} <= found
            assert ("bite", "stays", "yes") in found


@pytest.mark.parametrize("change", [as_drawn, reencoded])
def test_right_on_the_truth_and_no_better_than_chance_on_another(change):
    worlds = sampled(60)
    found = [judge.measure_canvas(change(canvas.draw(world).frames_THWC)) for world in worlds]
    pairs = [(i, (i + step) % len(worlds)) for i in range(len(worlds)) for step in range(1, 8)]
    of_paint, of_food = ("color", "form", "direction", "count", "binding"), ("kind", "bites")
    for attribute in ("background", *of_paint, *of_food, "stays"):
        right, fooled = verdicts(judge, attribute, worlds, found, pairs)
        assert np.mean(right) >= 0.98, attribute
        assert len(fooled) > 40, attribute
        assert np.mean(fooled) <= 0.02, attribute


def test_what_does_not_stay_is_seen():
    """Paint vanishes in a reversed video, and in one whose halves are swapped."""
    for world in sampled(40):
        frames_THWC = canvas.draw(world).frames_THWC
        assert canvas.judge(frames_THWC, 12, world)["stays"]
        assert not canvas.judge(frames_THWC[::-1], 12, world)["stays"]
        undone_THWC = np.concatenate([frames_THWC, frames_THWC[:6]])
        assert not canvas.judge(undone_THWC, 12, world)["stays"]


def test_one_of_two_strokes_that_fades_is_seen():
    for world in [world for world in sampled(40) if len(world.strokes) == 2]:
        frames_THWC, labels_THW = (array.copy() for array in canvas.draw(world))
        frames_THWC[-6:][labels_THW[-6:] == 1] = frames_THWC[0, 0, 0]
        assert not canvas.judge(frames_THWC, 12, world)["stays"]


def test_a_wrong_way_is_seen():
    """Mirroring a video reverses left and right."""
    for world in sampled(40):
        if any(stroke.direction in ("left", "right", "clockwise") for stroke in world.strokes):
            assert not canvas.judge(canvas.draw(world).frames_THWC[:, :, ::-1], 12, world)["direction"]


def test_other_sizes_and_single_frames_are_judged_as_well():
    for size in (SIZES[1], SIZES[2], (256, 144)):
        for world in sampled(8, size):
            assert all(canvas.judge(canvas.draw(world).frames_THWC, 12, world).values())
    for world in sampled(20, num_frames=1):
        verdict = canvas.judge(canvas.draw(world).frames_THWC, 12, world)
        assert not {"stays", "direction"} & set(verdict)
        assert all(verdict.values()), (world, verdict)


def test_worlds_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="6 or more"):
        canvas.sample(0, width=64, height=64, fps=12, num_frames=3)
