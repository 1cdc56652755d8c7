"""Camera motion is estimated from flow and images of known motion."""

import cv2
import numpy as np
import pytest

from video.camera_motion import FlowEstimator, estimate_camera_motion, median_similarity

HEIGHT, WIDTH = 90, 160
SHIFT_PX = (-3.0, 1.5)
ZOOM, ROLL = 0.02, 0.01
GOLDEN_CAMERA = (0.018687, 0.016613, 0.015562, -0.007937, 0.001973)
"""Pan, tilt, zoom, roll and residual."""
GOLDEN_MEDIAN = (-2.921862, 1.609635, 0.017132, 0.394627)
"""Shift in x and y, zoom, and mean residual."""


def texture() -> np.ndarray:
    noise = np.random.default_rng(5).integers(0, 255, (30, 50), np.uint8)
    return cv2.resize(noise, (WIDTH + 40, HEIGHT + 40), interpolation=cv2.INTER_CUBIC)


def view(picture_HW: np.ndarray, *, moved: bool) -> np.ndarray:
    """Return the centre of a picture, before or after the similarity."""
    center = ((picture_HW.shape[1] - 1) / 2, (picture_HW.shape[0] - 1) / 2)
    growth = complex(1 + ZOOM, ROLL) if moved else 1 + 0j
    shift = complex(*SHIFT_PX) if moved else 0j
    matrix = np.array([[growth.real, -growth.imag, 0], [growth.imag, growth.real, 0]])
    matrix[:, 2] = np.array(center) - matrix[:, :2] @ center + (shift.real, shift.imag)
    warped_HW = cv2.warpAffine(picture_HW, matrix, picture_HW.shape[::-1], flags=cv2.INTER_CUBIC)
    return np.ascontiguousarray(warped_HW[20:-20, 20:-20])


def exact_flow() -> np.ndarray:
    columns, rows = np.arange(WIDTH) - (WIDTH - 1) / 2, np.arange(HEIGHT) - (HEIGHT - 1) / 2
    flow_HW = complex(*SHIFT_PX) + complex(ZOOM, ROLL) * (columns + 1j * rows[:, None])
    return np.stack([flow_HW.real, flow_HW.imag], axis=-1).astype(np.float32)


def test_a_similarity_is_recovered_from_its_flow() -> None:
    motion = estimate_camera_motion(view(texture(), moved=False), exact_flow())
    assert motion is not None
    assert motion[:4] == pytest.approx((3 / WIDTH, 1.5 / HEIGHT, ZOOM, -ROLL), abs=1e-6)
    assert motion.residual == pytest.approx(0, abs=1e-6)


def test_an_independently_moving_thing_does_not_count() -> None:
    flow_HW2 = exact_flow()
    flow_HW2[30:70, 20:80] += (9, -4)
    motion = estimate_camera_motion(view(texture(), moved=False), flow_HW2)
    assert motion is not None
    assert motion[:4] == pytest.approx((3 / WIDTH, 1.5 / HEIGHT, ZOOM, -ROLL), abs=1e-5)
    assert motion.residual > 0.01


def test_texture_in_one_corner_is_not_enough() -> None:
    gray_HW = np.full((HEIGHT, WIDTH), 128, np.uint8)
    gray_HW[:40, :50] = view(texture(), moved=False)[:40, :50]
    assert estimate_camera_motion(gray_HW, exact_flow()) is None


def test_golden_numbers_of_two_pictures() -> None:
    """Golden values of the former estimators of pipeline and captioner (commit 9abe30d)."""
    pair = view(texture(), moved=False), view(texture(), moved=True)
    motion = estimate_camera_motion(pair[0], FlowEstimator("ultrafast")(*pair))
    assert motion is not None
    assert motion == pytest.approx(GOLDEN_CAMERA, abs=1e-4)
    (shift, growth), residual_HW = median_similarity(FlowEstimator("fast")(*pair))
    assert (shift.real, shift.imag, growth.real) == pytest.approx(GOLDEN_MEDIAN[:3], abs=1e-3)
    assert float(residual_HW.mean()) == pytest.approx(GOLDEN_MEDIAN[3], abs=1e-3)


def test_medians_follow_the_larger_area_and_report_the_rest() -> None:
    flow_HW2 = np.zeros((HEIGHT, WIDTH, 2), np.float32)
    flow_HW2[20:40, 30:60] = (5, 0)
    (shift, growth), residual_HW = median_similarity(flow_HW2)
    assert (shift, growth) == (0, 0)
    assert np.count_nonzero(residual_HW > 0.5) == 20 * 30
    assert residual_HW.max() == pytest.approx(5)


@pytest.mark.parametrize(("height", "width"), [(4, 160), (90, 4), (4, 4)])
def test_images_too_small_for_the_flow_are_padded(height: int, width: int):
    first_HW = np.ascontiguousarray(texture()[:height, :width])
    flow_HW2 = FlowEstimator("ultrafast")(first_HW, first_HW)
    assert flow_HW2.shape == (height, width, 2)
    assert np.abs(flow_HW2).max() < 0.01
