"""Given frames are exact, and what decoding took from them fades out in new ones, where nothing moves."""

import numpy as np
import pytest

from kinora.evaluation.continuity import jump_ratio
from trainer.sample.conditions import Kept
from trainer.sample.joins import put_kept

TINT = 6
"""What decoding takes from every pixel of these videos."""


def moving_square(num_frames: int) -> np.ndarray:
    """Return a gray video of a white square that moves 3 pixels a frame."""
    frames_THWC = np.full((num_frames, 24, 64, 3), 120, np.uint8)
    for t in range(num_frames):
        frames_THWC[t, 8:16, 3 * t : 3 * t + 8] = 240
    return frames_THWC


def joined(
    decoded_THWC: np.ndarray, kept: list[Kept], *, fade: int = 4, chunk: int = 100, loop: bool = False
) -> np.ndarray:
    chunks = [decoded_THWC[start : start + chunk] for start in range(0, len(decoded_THWC), chunk)]
    return np.concatenate([*put_kept(chunks, kept, fade=fade, loop=loop)])


def test_without_given_frames_nothing_changes():
    decoded_THWC = moving_square(5)
    assert np.array_equal(joined(decoded_THWC, []), decoded_THWC)


def test_what_decoding_took_fades_out_where_nothing_moves():
    true_THWC = moving_square(12)
    out_THWC = joined(true_THWC - TINT, [Kept(0, true_THWC[:3])])
    assert np.array_equal(out_THWC[:3], true_THWC[:3])
    resting = out_THWC[:, 2, 2, 0].astype(int) - (120 - TINT)
    assert resting.tolist() == [6, 6, 6, 5, 4, 2, 1, 0, 0, 0, 0, 0]  # 6 * (1 - k / 5), rounded
    plain_THWC = np.concatenate([true_THWC[:3], true_THWC[3:] - TINT])
    assert jump_ratio(plain_THWC, [3]) > 2 > 1.3 > jump_ratio(out_THWC, [3])


def test_a_pixel_that_changes_takes_nothing_with_it_and_gets_nothing_back():
    true_THWC = moving_square(12)
    decoded_THWC = true_THWC.copy()
    decoded_THWC[2, 8:16, 6:14] = 200  # decoding darkened the square in the last given frame
    out_THWC = joined(decoded_THWC, [Kept(0, true_THWC[:3])])
    assert np.array_equal(out_THWC[3:, :, :8], true_THWC[3:, :, :8])  # left behind by the square
    assert (out_THWC[8:] == true_THWC[8:]).all()


@pytest.mark.parametrize("chunk", [1, 5, 100])
def test_both_sides_of_given_frames_in_any_chunks(chunk):
    true_THWC = moving_square(14)
    out_THWC = joined(true_THWC - TINT, [Kept(6, true_THWC[6:8])], chunk=chunk)
    resting = out_THWC[:, 2, 2, 0].astype(int) - (120 - TINT)
    assert resting.tolist() == [0, 0, 1, 2, 4, 5, 6, 6, 5, 4, 2, 1, 0, 0]


def test_a_short_gap_takes_from_both_sides_and_never_more_than_there_is():
    true_THWC = moving_square(9)
    kept = [Kept(0, true_THWC[:3]), Kept(5, true_THWC[5:])]
    out_THWC = joined(true_THWC - TINT, kept, fade=8)
    resting = out_THWC[:, 2, 2, 0].astype(int) - (120 - TINT)
    assert resting.tolist() == [6] * 9


@pytest.mark.parametrize("chunk", [1, 5, 100])
def test_the_end_of_a_loop_joins_its_given_start(chunk):
    still_THWC = np.full((14, 24, 64, 3), 120, np.uint8)
    out_THWC = joined(still_THWC - TINT, [Kept(0, still_THWC[:2])], chunk=chunk, loop=True)
    resting = out_THWC[:, 2, 2, 0].astype(int) - (120 - TINT)
    assert resting.tolist() == [6, 6, 5, 4, 2, 1, 0, 0, 0, 0, 1, 2, 4, 5]
    once_THWC = joined(still_THWC - TINT, [Kept(0, still_THWC[:2])], chunk=chunk)
    assert (once_THWC[6:] == 120 - TINT).all()


def test_frames_that_decoding_never_made_are_replaced():
    true_THWC = moving_square(6)
    unknown_THWC = np.full_like(true_THWC, 77)
    unknown_THWC[2:] = true_THWC[2:]
    assert np.array_equal(joined(unknown_THWC, [Kept(0, true_THWC[:4])]), true_THWC)


def test_a_later_given_frame_covers_an_earlier_one():
    true_THWC = moving_square(4)
    other_THWC = np.zeros_like(true_THWC[:1])
    out_THWC = joined(true_THWC, [Kept(0, true_THWC), Kept(1, other_THWC)])
    assert not out_THWC[1].any()
    assert np.array_equal(out_THWC[[0, 2, 3]], true_THWC[[0, 2, 3]])
