"""Worlds of shapes are sampled uniformly, stay inside the frame, and render where their truth says."""

import json

import numpy as np
import pytest

from worlds.palette import BACKGROUNDS, MOTIONS, SHAPES
from worlds.shapes.draw import render
from worlds.shapes.family import sample_world
from worlds.shapes.truth import World, boxes_px_NT4, centers_px_NT2, from_time


def test_sampling_is_seeded_and_uniform():
    draws = [sample_world(i, width=64, height=64, fps=12, num_frames=25) for i in range(1500)]
    assert draws[7] == sample_world(7, width=64, height=64, fps=12, num_frames=25)
    things = [thing for world in draws for thing in world.things]
    for values, drawn in [
        (MOTIONS, [thing.direction for thing in things]),
        (SHAPES, [thing.shape for thing in things]),
        (tuple(BACKGROUNDS), [world.background for world in draws]),
        ((1, 2), [len(world.things) for world in draws]),
    ]:
        share = len(drawn) / len(values)
        counts = np.array([drawn.count(value) for value in values])
        assert (np.abs(counts - share) < 5 * np.sqrt(share)).all(), values


@pytest.mark.parametrize(("width", "height"), [(64, 64), (128, 72), (48, 96)])
def test_things_stay_apart_and_inside(width, height):
    for seed in range(150):
        world = sample_world(seed, width=width, height=height, fps=10, num_frames=15)
        box_NT4 = boxes_px_NT4(world)
        assert np.isfinite(box_NT4).all()
        if len(world.things) == 2:
            step_T2 = np.diff(centers_px_NT2(world), axis=0)[0]
            extent = np.array([width, height])
            step_T2 = (step_T2 + extent / 2) % extent - extent / 2
            radii = sum(thing.size for thing in world.things) / 2 * world.short_side_px
            assert np.hypot(*step_T2.T).min() > radii
            assert world.things[0].color != world.things[1].color
        else:
            assert box_NT4.min() >= -1e-6
            assert (box_NT4[..., 2:].max(axis=(0, 1)) <= np.array([width, height]) + 1e-6).all()


def test_pixels_are_where_the_truth_says():
    for seed in range(30):
        world = sample_world(seed, width=80, height=64, fps=12, num_frames=4, num_things=1)
        away_THW = np.abs(render(world).astype(int) - BACKGROUNDS[world.background]).sum(axis=-1)
        rows, columns = np.indices(away_THW.shape[1:])
        centers_T2 = centers_px_NT2(world)[0]
        for away_HW, center_2 in zip(away_THW, centers_T2, strict=True):
            found = (
                ((columns + 0.5) * away_HW).sum() / away_HW.sum(),
                ((rows + 0.5) * away_HW).sum() / away_HW.sum(),
            )
            assert found == pytest.approx(center_2, abs=0.3)


def test_worlds_survive_json_and_go_on_in_time():
    world = sample_world(3, width=64, height=64, fps=12, num_frames=24, num_things=2)
    assert World.from_json(json.loads(json.dumps(world.to_json()))) == world
    later = from_time(world, 10 / 12, 14)
    assert np.abs(render(later).astype(int) - render(world)[10:]).max() <= 2


@pytest.mark.parametrize("fields", [{"num_frames": 0}, {"fps": 0}, {"num_things": 4}])
def test_impossible_worlds_are_refused(fields):
    with pytest.raises(ValueError):
        sample_world(0, **({"width": 64, "height": 64, "fps": 12, "num_frames": 5} | fields))
