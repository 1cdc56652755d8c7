"""Grid games follow the rules, captions are true, and the judge recovers states from pixels."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from family_samples import SIZES, as_drawn, reencoded, verdicts, worlds_of

from worlds.grid import family as grid
from worlds.grid import judge
from worlds.grid.draw import draw
from worlds.grid.judge import goal_reached, measure_game
from worlds.grid.rules import ACTIONS, State, expert, play, step, things_of
from worlds.grid.truth import layout, states_T, tasks

sampled = partial(worlds_of, grid)


def small(ahead, carrying="", facing=0):
    return State(cells=(("", ahead),), row=0, column=0, facing=facing, carrying=carrying)


def test_rules():
    assert step(small(""), "forward").column == 1
    assert [step(small(cell), "forward") for cell in ("wall", "red key", "red door", "red box")] == [None] * 4
    assert step(small("red gate"), "forward").column == 1
    assert step(small("", facing=3), "forward") is None  # the edge of the grid
    assert (step(small(""), "turn left").facing, step(small(""), "turn right").facing) == (3, 1)
    held = step(small("red key"), "pick up")
    assert (held.cells, held.carrying) == ((("", ""),), "red key")
    assert step(small("blue key", carrying="red key"), "pick up") is None
    assert step(small("red door"), "pick up") is None
    assert step(small("", carrying="red key"), "drop").cells == (("", "red key"),)
    assert step(small("wall", carrying="red key"), "drop") is None
    assert step(small(""), "drop") is None
    assert step(small("red door", carrying="red key"), "toggle").cells == (("", "red gate"),)
    assert step(small("red door", carrying="blue key"), "toggle") is None
    assert step(small("red door", carrying="red ball"), "toggle") is None
    assert step(small("red box"), "toggle").cells == (("", ""),)
    with pytest.raises(ValueError, match="unknown action"):
        step(small(""), "jump")
    with pytest.raises(ValueError, match="against the rules"):
        play(small("wall"), ["forward"])


def test_no_shorter_plan_reaches_a_thing_than_the_experts():
    for world in sampled(30):
        if world.goal == "unlock" or len(world.actions) > 7:
            continue
        reached, goal = [world.start], tasks(world.goal, world.target)
        for _ in range(len(world.actions) - 1):
            reached = [after for state in reached for a in ACTIONS[:3] if (after := step(state, a))]
            reached = list({(s.row, s.column, s.facing): s for s in reached}.values())
            facing = [s for s in reached if s.ahead and s.cells[s.ahead[0]][s.ahead[1]] == world.target]
            if facing:
                break
        assert facing
        assert len(expert(facing[0], goal)) == 1


@pytest.mark.parametrize("size", SIZES)
def test_goals_are_reached_and_labels_fit(size):
    for world in sampled(30, size):
        states = states_T(world)
        assert goal_reached(states, world.goal, world.target)
        assert len(world.actions) >= 2
        frames_THWC, labels_THW = grid.draw(world)
        assert frames_THWC.shape == (24, size[1], size[0], 3)
        assert labels_THW.shape == frames_THWC.shape[:3]
        place = layout(*size)
        agent = labels_THW.max()
        rows, columns = np.nonzero(labels_THW[-1] == agent)
        row, column = (
            (rows.mean() - place.top) // place.cell_px,
            (columns.mean() - place.left) // place.cell_px,
        )
        assert (row, column) == (states[-1].row, states[-1].column)


def test_captions_are_of_the_promised_length_and_hold_the_claims():
    for num_frames in (24, 1):
        for seed, world in enumerate(sampled(200, num_frames=num_frames)):
            dense, short = grid.dense_caption(world, seed), grid.short_caption(world, seed)
            assert 60 <= len(dense.split()) <= 135, (num_frames, dense)
            assert 6 <= len(short.split()) <= 22, short
            assert grid.dense_caption(world, seed) == dense
            assert "{" not in dense + short
            assert all(thing in dense for thing in things_of(world.start))
            assert world.color in short
            assert world.floor in dense
            assert world.floor in short
    (world,) = sampled(1)
    assert len({grid.dense_caption(world, seed) for seed in range(60)}) > 30


def test_claims_state_every_attribute():
    for world in sampled(20):
        found = {(claim.subject, claim.attribute, claim.value) for claim in grid.claims(world)}
        assert ("floor", "color", world.floor) in found
        assert (world.target, "goal", world.goal) in found
        for thing in things_of(world.start):
            assert (thing, "color", thing.split()[0]) in found
        assert grid.combination(world) == f"{world.goal} {world.target}"


@pytest.mark.parametrize("change", [as_drawn, reencoded])
def test_right_on_the_truth_and_no_better_than_chance_on_another(change):
    worlds = sampled(60)
    found = [measure_game(change(grid.draw(world).frames_THWC)) for world in worlds]
    pairs = [(i, (i + step)) for step in range(1, 5) for i in range(len(worlds) - step)]
    for attribute in ("things", "color", "floor", "legal_moves", "goal_reached"):
        right, fooled = verdicts(judge, attribute, worlds, found, pairs)
        assert len(right) == len(worlds)
        assert np.mean(right) >= 0.98, attribute
        if attribute == "legal_moves":
            continue
        assert len(fooled) > 40, attribute
        assert np.mean(fooled) <= 0.02, attribute


def test_states_are_read_exactly():
    for world in sampled(30):
        found = measure_game(grid.draw(world).frames_THWC)
        assert found.states == tuple(states_T(world))
        assert (found.moves, found.legal) == (len(world.actions), len(world.actions))


def test_moves_against_the_rules_are_seen():
    for world in sampled(30):
        frames_THWC = draw(world).frames_THWC
        step_frames = frames_THWC[:: world.hold]
        if len(world.actions) >= 4:
            skipped_THWC = step_frames[[0, 2, *range(4, len(step_frames))]]
            assert measure_game(skipped_THWC).legal < measure_game(skipped_THWC).moves
        backward = grid.judge(frames_THWC[::-1], 12, world)
        assert not backward["goal_reached"]
        unfinished = grid.judge(frames_THWC[: world.hold * len(world.actions)], 12, world)
        assert unfinished["legal_moves"]
        assert not unfinished["goal_reached"]


def test_an_agent_that_vanishes_is_against_the_rules():
    world = next(world for world in sampled(30) if world.goal == "unlock")
    frames_THWC = grid.draw(world).frames_THWC
    empty_THWC = np.full_like(frames_THWC, 8)
    assert not grid.judge(np.concatenate([frames_THWC, empty_THWC]), 12, world)["legal_moves"]
    assert not grid.judge(empty_THWC, 12, world)["legal_moves"]


def test_an_agent_that_carries_another_color_for_good_is_against_the_rules():
    world = next(world for world in sampled(30) if world.goal == "unlock")
    other = "cyan" if world.color != "cyan" else "yellow"
    swapped = replace(world, start=replace(world.start, carrying=f"{other} key"))
    before = grid.draw(replace(world, actions=(), num_frames=4)).frames_THWC
    after = grid.draw(replace(swapped, actions=(), num_frames=4)).frames_THWC
    assert measure_game(np.concatenate([before, after])).legal == 0


def test_other_sizes_and_single_frames_are_judged_as_well():
    for size in (SIZES[1], SIZES[2], (192, 108), (48, 48)):
        for world in sampled(6, size):
            assert all(grid.judge(grid.draw(world).frames_THWC, 12, world).values())
    for world in sampled(10, num_frames=1):
        assert grid.judge(grid.draw(world).frames_THWC, 12, world) == {
            "things": True,
            "color": True,
            "floor": True,
        }


def test_worlds_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="short side of at least 48"):
        grid.sample(0, width=64, height=40, fps=12, num_frames=18)
    with pytest.raises(ValueError, match="12 or more"):
        grid.sample(0, width=64, height=64, fps=12, num_frames=2)
