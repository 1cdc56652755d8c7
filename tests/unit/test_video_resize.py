"""Frames are resized to cover a shape and cropped at the centre."""

import numpy as np
import pytest

from video.resize import fit_long_side, resize_and_crop

GOLDEN_SMALLER = [[[18, 27, 36], [48, 77, 106]], [[108, 117, 126], [138, 167, 196]]]
GOLDEN_LARGER = [[[11, 18, 26], [45, 75, 106]], [[111, 119, 126], [145, 176, 206]]]


def test_frames_of_the_right_size_are_returned_unchanged() -> None:
    frames_THWC = np.random.default_rng(0).integers(0, 255, (2, 12, 20, 3), np.uint8)
    assert np.array_equal(resize_and_crop(frames_THWC, 12, 20), frames_THWC)


def test_the_centre_is_cropped() -> None:
    frames_THWC = np.random.default_rng(0).integers(0, 255, (2, 12, 20, 3), np.uint8)
    cropped_THWC = resize_and_crop(frames_THWC, 12, 12)
    assert np.array_equal(cropped_THWC, frames_THWC[:, :, 4:16])
    assert cropped_THWC.flags.c_contiguous


@pytest.mark.parametrize("size", [(6, 10), (7, 33), (24, 40), (31, 9)])
def test_any_shape_is_filled(size: tuple[int, int]) -> None:
    frames_THWC = np.full((3, 12, 20, 3), 77, np.uint8)
    filled_THWC = resize_and_crop(frames_THWC, *size)
    assert filled_THWC.shape == (3, *size, 3)
    assert (filled_THWC == 77).all()


def test_golden_numbers_of_both_interpolations() -> None:
    """Golden values of the former `trainer.data.decode.cover` (commit 9abe30d)."""
    columns, rows = np.meshgrid(np.arange(20), np.arange(12))
    ramp_THWC = (columns[..., None] * (3, 5, 7) + rows[..., None] * 9).astype(np.uint8)[None]
    assert resize_and_crop(ramp_THWC, 6, 6)[0, ::5, ::5].tolist() == GOLDEN_SMALLER
    assert resize_and_crop(ramp_THWC, 18, 18)[0, ::17, ::17].tolist() == GOLDEN_LARGER


def test_long_side() -> None:
    assert fit_long_side((720, 1280), 640) == (360, 640)
    assert fit_long_side((90, 160), 640) == (90, 160)
    assert fit_long_side((4000, 1), 100) == (100, 1)
