"""Every family fulfils the `Family` interface in every style and frame size."""

import json

import numpy as np
import pytest
from family_samples import SIZES

from worlds import families
from worlds.occlusion.truth import hidden_span, visible_T
from worlds.physics.truth import simulate_NT2
from worlds.shapes.family import sample_world
from worlds.shapes.truth import World
from worlds.split import is_unseen
from worlds.styles import STYLES, is_night, undo_night

NAMES = tuple(families.FAMILIES)


def sampled(name, seed, size=(64, 64), style="flat", num_frames=24):
    return families.sample(
        name, seed, width=size[0], height=size[1], fps=12, num_frames=num_frames, style=style
    )


@pytest.mark.parametrize("name", NAMES)
def test_the_same_world_is_the_same_pixels_and_survives_json(name):
    family = families.family_of(name)
    for seed in range(12):
        world = sampled(name, seed)
        assert family.sample(seed, width=64, height=64, fps=12, num_frames=24) == world
        again = family.from_json(json.loads(json.dumps(world.to_json())))
        assert again == world
        for one, other in zip(family.draw(world), family.draw(again), strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("style", STYLES)
def test_renders_its_size_in_every_style_and_comes_back_from_json(name, style):
    for seed, size in enumerate(SIZES):
        world = sampled(name, seed, size, style)
        frames_THWC = families.render(world)
        assert frames_THWC.shape == (24, size[1], size[0], 3)
        assert frames_THWC.dtype == np.uint8
        again = families.from_json(json.loads(json.dumps(world.to_json())))
        assert again == world
        assert np.array_equal(families.render(again), frames_THWC)


@pytest.mark.parametrize("name", NAMES)
def test_styles_change_the_picture_but_not_its_labels(name):
    for seed in range(6):
        flat, labels_THW = families.family_of(name).draw(sampled(name, seed))
        for style in STYLES[1:]:
            styled = families.render(sampled(name, seed, style=style))
            assert not np.array_equal(styled, flat)
            assert is_night(styled) is (style == "night")
            if style == "outline":  # a thing keeps its own pixels
                assert np.array_equal(
                    styled[labels_THW == labels_THW.max()], flat[labels_THW == labels_THW.max()]
                )
            if style == "textured":
                whole = (labels_THW == 1).sum(axis=(1, 2)).argmax()
                here = labels_THW[whole] == 1
                change_3 = np.median(styled[whole][here], axis=0) - np.median(flat[whole][here], axis=0)
                assert np.abs(change_3).max() <= 10  # much of a small thing is edge, which is a mixture
            if style == "night":
                assert np.abs(undo_night(styled).astype(int) - flat).max() <= 2
        assert not is_night(flat)


@pytest.mark.parametrize("name", NAMES)
def test_captions_have_the_promised_length_and_vary(name):
    for style in STYLES:
        for seed in range(30):
            world = sampled(name, seed, style=style)
            dense = families.dense_caption(world, seed)
            assert 60 <= len(dense.split()) <= 135, dense
            assert dense == families.dense_caption(world, seed)
            assert families.parse_claims(name, dense) == families.claims(world), dense
            assert len(families.short_caption(world, seed).split()) <= (36 if name == "shapes" else 23)
        assert len({families.dense_caption(world, seed) for seed in range(40)}) > 12


@pytest.mark.parametrize("name", NAMES)
def test_seen_and_unseen_worlds_never_share_a_combination(name):
    kinds = {}
    for unseen in (True, False):
        worlds = [
            families.sample(name, seed, width=64, height=64, fps=12, num_frames=24, unseen=unseen)
            for seed in range(40)
        ]
        kinds[unseen] = {families.family_of(name).combination(world) for world in worlds}
        assert all(families.is_held_out(world) is unseen for world in worlds)
    assert not kinds[True] & kinds[False]


def test_a_fifth_is_unseen():
    share = np.mean([is_unseen("shapes", f"thing {index}") for index in range(4000)])
    assert share == pytest.approx(0.2, abs=0.02)
    hidden = next(f"thing {i}" for i in range(100) if is_unseen("shapes", f"thing {i}"))
    assert is_unseen("shapes", f"a thing; {hidden}")


def test_an_old_world_of_shapes_is_flat():
    world = sample_world(3, width=64, height=64, fps=12, num_frames=8)
    fields = world.to_json()
    del fields["style"]
    assert World.from_json(fields) == world
    assert world.style == "flat"


def test_three_things_are_kept_apart_and_told():
    world = sample_world(5, width=64, height=64, fps=12, num_frames=24, num_things=3)
    assert len({thing.color for thing in world.things}) == 3
    assert ("scene", "count", "3") in {(c.subject, c.attribute, c.value) for c in families.claims(world)}
    assert all(families.judge(families.render(world), 12, world).values())


@pytest.mark.parametrize("size", SIZES)
def test_what_is_hidden_stays_hidden_for_2_to_20_frames(size):
    for seed in range(40):
        world = sampled("occlusion", seed, size, num_frames=12 + 2 * seed)
        span = hidden_span(visible_T(world))
        assert span is not None
        assert 2 <= span[1] - span[0] <= 20
        share_T = visible_T(world)
        assert max(share_T[: span[0]]) > 0.98 < max(share_T[span[1] :])


def test_a_wall_hides_what_the_truth_says():
    for seed in range(12):
        world = sampled("occlusion", seed, (96, 96), num_frames=30)
        labels_THW = families.family_of("occlusion").draw(world).labels_THW
        area_T = (labels_THW == 1).sum(axis=(1, 2))
        assert np.abs(area_T / area_T.max() - visible_T(world)).max() < 0.12


def test_physics_keeps_the_laws_that_are_known_on_paper():
    seen = set()
    for seed in range(24):
        world = sampled("physics", seed, num_frames=30)
        seen.add(world.event)
        center_NT2 = simulate_NT2(world)
        assert np.array_equal(center_NT2, simulate_NT2(world))
        if world.event == "collide":
            first, second = center_NT2[:, :, 0]
            assert first[-1] == pytest.approx(first[-2], abs=1e-6)
            assert second[-1] - second[-2] == pytest.approx(world.bodies[0].speed / world.fps, rel=1e-3)
        else:
            fallen = center_NT2[0, 5, 1] - center_NT2[0, 0, 1]
            assert fallen == pytest.approx(world.gravity / 2 * (5 / world.fps) ** 2, rel=0.03)
    assert seen == {"fall", "bounce", "collide", "stack"}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("nothing", ["width", "height", "fps", "num_frames"])
def test_empty_worlds_are_refused(name, nothing):
    shot = {"width": 64, "height": 64, "fps": 12, "num_frames": 18} | {nothing: 0}
    with pytest.raises(ValueError, match="empty"):
        families.sample(name, 0, **shot)


def test_too_few_frames_are_refused_with_a_remedy():
    for name in ("occlusion", "physics"):
        with pytest.raises(ValueError, match="give"):
            sampled(name, 0, num_frames=4)
    with pytest.raises(ValueError, match="use one of"):
        families.family_of("nothing")
