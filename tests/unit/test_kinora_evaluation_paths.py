"""Paths and identities of things in rendered worlds."""

from dataclasses import replace

import numpy as np
import pytest

from kinora.evaluation.paths import agreement, identity, path_distance, same_path
from worlds.shapes.draw import render
from worlds.shapes.family import place_things
from worlds.shapes.truth import ThingRequirements, requirements_of

SIZE = {"width": 64, "height": 64, "fps": 8.0, "num_frames": 12}
RED = ThingRequirements(color="red", shape="circle", direction="left", speed="quick")
BLUE = ThingRequirements(color="blue", shape="star", direction="right", speed="slow")


def world_of(*things, seed=1, background="gray", **size):
    return place_things(seed, things, background=background, **{**SIZE, **size})


def recolored(world, color):
    return replace(world, things=tuple(replace(thing, color=color) for thing in world.things))


def test_the_same_path_in_another_color_and_size():
    world = world_of(RED)
    larger = replace(world, width=96, height=96)
    assert path_distance(render(world), render(recolored(world, "green"))) == pytest.approx(0, abs=0.01)
    assert same_path(render(world), render(larger))
    assert same_path(render(world), render(larger)[:5])


def test_another_path_is_told_apart():
    world = world_of(RED)
    back = replace(world, things=(replace(world.things[0], direction="right"),))
    assert not same_path(render(world), render(back))
    assert path_distance(render(world), render(world)[::-1].copy()) > 0.2


def test_a_path_around_the_edge_is_no_jump():
    world = world_of(RED, num_frames=40)
    assert path_distance(render(world), render(world)) == 0


def test_nothing_has_no_path():
    empty = np.full((4, 64, 64, 3), 126, np.uint8)
    assert path_distance(empty, render(world_of(RED))) is None
    assert not same_path(empty, empty)


def test_identity_ignores_motion_but_not_what_a_thing_is():
    world = world_of(RED, BLUE)
    asked = requirements_of(world)
    assert identity(render(world)[::-1].copy(), 8.0, asked).kept
    assert not identity(render(recolored(world_of(RED), "green")), 8.0, requirements_of(world_of(RED))).things
    assert not identity(render(world_of(RED)), 8.0, asked).things
    other = identity(render(replace(world, background="white")), 8.0, asked)
    assert (other.things, other.background, other.kept) == (True, False, False)


def test_agreement_of_two_sizes():
    world = world_of(RED, BLUE)
    assert all(agreement(render(replace(world, width=96, height=96)), render(world), 8.0).checks().values())
    assert not agreement(render(recolored(world_of(RED), "blue")), render(world_of(RED)), 8.0).color
