"""Videos of known truth: perfect continuations, cuts, loops that run back or hold a frame twice."""

import numpy as np
import pytest

from kinora.evaluation.continuity import (
    BEST_PSNR_DB,
    background_distance,
    doubled_frames,
    jump_ratio,
    jumps_T,
    loop_ratio,
    moves,
    psnr_db,
    there_and_back,
)

SIDE_PX = 32


def moving(positions, *, level=200, ground=40):
    """A disc of 8 pixels at a horizontal position in each frame; it wraps around the edges."""
    rows, columns = np.indices((SIDE_PX, SIDE_PX)) + 0.5
    frames = []
    for x in positions:
        away = (columns - x + SIDE_PX / 2) % SIDE_PX - SIDE_PX / 2
        cover = np.clip(4.5 - np.hypot(rows - SIDE_PX / 2, away), 0, 1)
        frames.append(np.repeat((ground + cover * (level - ground))[..., None], 3, axis=-1))
    return np.rint(frames).astype(np.uint8)


STEADY = moving(np.arange(16) * 2.0)
"""One period of a loop: the disc comes back around the edge."""


def test_a_perfect_continuation_has_a_ratio_of_one():
    assert jump_ratio(STEADY, [8]) == pytest.approx(1, abs=0.02)
    assert len(jumps_T(STEADY)) == 15


@pytest.mark.parametrize(
    "after",
    [moving(16 + 9 + np.arange(8) * 2.0), moving(np.arange(8, 16) * 2.0, ground=48)],
    ids=["another place", "another background"],
)
def test_a_cut_at_the_join_is_far_above_the_goal(after):
    assert jump_ratio(np.concatenate([STEADY[:8], after]), [8]) > 1.5


def test_the_worst_of_several_joins_counts():
    cut = np.concatenate([STEADY[:4], STEADY[4:8], moving(30 + np.arange(8) * 2.0)])
    assert jump_ratio(cut, [4, 8]) == jump_ratio(cut, [8, 4]) > 2
    assert jump_ratio(cut, [4]) == pytest.approx(1, abs=0.05)


def test_a_join_outside_of_the_video_is_refused():
    for joins in ([], [0], [16]):
        with pytest.raises(ValueError, match="joins"):
            jump_ratio(STEADY, joins)
    with pytest.raises(ValueError, match="no jump but the joins"):
        jump_ratio(STEADY[:2], [1])


def test_a_still_continuation_is_no_jump():
    assert jump_ratio(np.repeat(STEADY[:1], 8, axis=0), [4]) == 1


def test_a_seamless_loop():
    assert loop_ratio(STEADY) == pytest.approx(1, abs=0.02)
    assert doubled_frames(STEADY) == []
    assert there_and_back(STEADY) > 0.7
    assert moves(STEADY)


def test_a_loop_that_snaps_back_is_found():
    assert loop_ratio(moving(8 + np.arange(8) * 2.0)) > 1.5


def test_a_loop_that_runs_there_and_back_is_found():
    there = moving(8 + np.arange(9) * 2.0)
    back = np.concatenate([there, there[-2:0:-1]])
    assert loop_ratio(back) == pytest.approx(1, abs=0.1)
    assert there_and_back(back) == 0
    assert there_and_back(np.roll(back, 5, axis=0)) == 0


def test_a_frame_twice_is_found_also_over_the_seam():
    assert doubled_frames(np.concatenate([STEADY[:6], STEADY[5:]])) == [6]
    assert doubled_frames(np.concatenate([STEADY, STEADY[:1]])) == [0]


def test_a_loop_in_which_nothing_moves():
    still = np.repeat(STEADY[:1], 12, axis=0)
    assert (loop_ratio(still), doubled_frames(still), there_and_back(still)) == (1, [], 1)
    assert not moves(still)
    assert not moves(still[:1])


def test_psnr():
    assert psnr_db(STEADY, STEADY) == BEST_PSNR_DB
    assert psnr_db(STEADY, STEADY + 1) == pytest.approx(48.13, abs=0.01)
    with pytest.raises(ValueError, match="compared with"):
        psnr_db(STEADY, STEADY[:3])


def test_a_drifting_background_is_measured():
    assert background_distance(STEADY[:4], STEADY[12:]) == 0
    assert background_distance(STEADY[:4], moving(np.arange(4.0), ground=70)) > 5
