"""Every new latent frame is made once, from what is known, in windows of bounded length."""

import random
from itertools import pairwise

import pytest

from trainer.sample.windows import default_overlap, plan_windows


def check(new: list[bool], window: int, overlap: int | None, *, loop: bool) -> None:
    """Assert what holds for every plan."""
    known = {t for t, is_new in enumerate(new) if not is_new}
    made = []
    for each in plan_windows(new, window, overlap, loop=loop):
        assert each.lead == (loop or each.latents[0] > 0)
        assert len(each.latents) + each.lead <= window
        assert {*each.latents} - {*each.made} <= known
        assert {*each.made} <= {*each.latents}
        assert all(b == (a + 1) % len(new) for a, b in pairwise(each.latents))
        known |= {*each.made}
        made += each.made
    assert sorted(made) == [t for t, is_new in enumerate(new) if is_new]


@pytest.mark.parametrize("window", [4, 5, 6, 9])
@pytest.mark.parametrize("loop", [False, True])
def test_every_new_latent_is_made_once_from_known_ones(window, loop):
    rng = random.Random(f"{window} {loop}")
    for overlap in (None, *range(1, window - 1)):
        for size in range(2, 4 * window):
            for share in (0.3, 0.6, 0.9, 1.0):
                check([rng.random() < share for _ in range(size)], window, overlap, loop=loop)


def test_a_window_that_goes_on_sees_at_least_the_overlap():
    forward = plan_windows([True] * 40, 9, 3)
    assert all(len(each.latents) - len(each.made) >= 3 for each in forward[1:])
    assert [len(each.latents) + each.lead for each in forward] == [9] * len(forward)
    backward = plan_windows([True] * 40 + [False] * 3, 9, 3)
    assert [each.made[0] for each in backward] == sorted((each.made[0] for each in backward), reverse=True)
    assert all(each.latents[-1] == each.made[-1] + 3 for each in backward[:-1])
    assert not backward[-1].lead


def test_a_long_gap_is_filled_from_both_sides_and_joined():
    plan = plan_windows([False] * 2 + [True] * 30 + [False] * 2, 9)
    assert plan[0].latents[0] == 0
    assert plan[1].latents[-1] == 33
    join = plan[-1]
    assert join.latents[0] < join.made[0]
    assert join.latents[-1] > join.made[-1]


def test_a_loop_is_a_part_and_a_bridge_from_its_end_to_its_start():
    first, bridge = plan_windows([True] * 5, 5, loop=True)
    assert (first.latents, first.made, first.lead) == ((0, 1, 2), (0, 1, 2), True)
    assert (bridge.latents, bridge.made, bridge.lead) == ((2, 3, 4, 0), (3, 4), True)
    with pytest.raises(ValueError, match="a loop of 1 latent frame is too short"):
        plan_windows([True], 5, loop=True)


def test_what_fits_is_one_window_and_nothing_new_is_none():
    (only,) = plan_windows([False, True, True], 5)
    assert (only.latents, only.made, only.lead) == ((0, 1, 2), (1, 2), False)
    (unlimited,) = plan_windows([True] * 50, None)
    assert len(unlimited.made) == 50
    assert plan_windows([False] * 50, 5) == []


def test_60_seconds_are_windows_of_one_length():
    plan = plan_windows([True] * (1 + 60 * 24 // 4), 9)
    assert {len(each.latents) + each.lead for each in plan} == {9}
    assert len(plan) == 1 + -(-(361 - 9) // (9 - 1 - default_overlap(9)))


def test_windows_that_cannot_join_are_refused():
    with pytest.raises(ValueError, match="window of 3 latent frames is too short for a longer video"):
        plan_windows([True] * 4, 3)
    with pytest.raises(ValueError, match="overlap_latents=4: must be from 1 to 3"):
        plan_windows([True] * 9, 5, 4)
