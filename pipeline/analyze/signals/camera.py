"""Camera motion: a similarity transform fitted to optical flow, robust to moving objects.

The fit is iteratively reweighted least squares (Holland and Welsch, 1977) with Tukey's biweight. Positions
and flow are complex numbers, x + iy, so that a similarity is one factor and one shift. The picture moves
against the camera: flow to the left is a pan to the right.

Legend: H height, W width, N points, or pairs of frames.
"""

from typing import Any

import cv2
import numpy as np

STEP_PX = 6
"""Spacing of the grid of flow vectors, at the analysis size."""
_MIN_GRADIENT = 12.0
"""Least gradient of luma (Sobel) at which flow is reliable."""
_MIN_POINTS = 24
_MIN_CELLS = 0.4
"""Share of a 4 x 4 grid over the frame that must contain reliable points, since one object is not enough."""
_MAX_ROUNDS = 6
_CONVERGED_PX = 0.002
"""Iteration stops when no point of the picture moves farther than this."""
_MIN_SPEED = 0.02
"""A slower camera is static, in short sides per second at the edge of the frame."""
_MIN_SHAKE = 0.04
"""A camera that shakes more is handheld, in short sides per second."""

PAN, TILT, ZOOM, ROLL, RESIDUAL = range(5)


def fit(gray_HW: np.ndarray, flow_HW2: np.ndarray) -> tuple[float, float, float, float, float] | None:
    """Fit the camera motion between two frames; return None without enough reliable flow.

    Returns:
        Pan (right, in widths), tilt (up, in heights), zoom (in, as growth), roll (clockwise, in radians),
        and the mean residual flow, in short sides.
    """
    height, width = gray_HW.shape
    half = STEP_PX // 2
    grid = (slice(half, None, STEP_PX), slice(half, None, STEP_PX))
    smooth_HW = cv2.GaussianBlur(gray_HW, (3, 3), 0)
    gx, gy = cv2.Sobel(smooth_HW, cv2.CV_32F, 1, 0), cv2.Sobel(smooth_HW, cv2.CV_32F, 0, 1)
    gradient_HW = cv2.dilate(cv2.magnitude(gx, gy), np.ones((STEP_PX, STEP_PX), np.uint8))[grid]
    rows, columns = np.nonzero(gradient_HW > _MIN_GRADIENT)
    cells = np.bincount(rows * 4 // gradient_HW.shape[0] * 4 + columns * 4 // gradient_HW.shape[1])
    if len(rows) < _MIN_POINTS or np.count_nonzero(cells) < _MIN_CELLS * 16:
        return None
    flow_N = flow_HW2[grid][rows, columns].astype(np.float64).view(np.complex128)[:, 0]
    x_N, y_N = columns * STEP_PX + half - (width - 1) / 2, rows * STEP_PX + half - (height - 1) / 2
    position_N = x_N + 1j * y_N
    shift, growth = complex(_upper_median(flow_N.real), _upper_median(flow_N.imag)), 0j
    error_N = np.abs(shift - flow_N)
    for _ in range(_MAX_ROUNDS):
        scale = max(0.05, 1.4826 * _upper_median(error_N))
        weight_N = np.square(np.maximum(1 - np.square(error_N / (4.685 * scale)), 0))
        previous = shift, growth
        shift, growth = _similarity(np.square(weight_N), position_N, flow_N)
        error_N = np.abs(shift + growth * position_N - flow_N)
        if abs(shift - previous[0]) + abs(growth - previous[1]) * width / 2 < _CONVERGED_PX:
            break
    residual = float(error_N.mean()) / min(height, width)
    return -shift.real / width, shift.imag / height, growth.real, -growth.imag, residual


def _similarity(weight_N: np.ndarray, position_N: np.ndarray, flow_N: np.ndarray) -> tuple[complex, complex]:
    """Return the weighted least-squares shift, and growth + i * clockwise rotation, in closed form.

    Requires weight on two or more distinct points; more than half of the points always have weight.
    """
    norm_N = weight_N / weight_N.sum()
    position, flow = norm_N @ position_N, norm_N @ flow_N
    centred_N = position_N - position
    adjoint_N = norm_N * centred_N.conj()
    growth = (adjoint_N @ (flow_N - flow)) / (adjoint_N @ centred_N).real
    return complex(flow - growth * position), complex(growth)


def _upper_median(values_N: np.ndarray) -> float:
    """Return the median; of an even number, the upper one. Ten times as fast as `np.median` on few values."""
    half = len(values_N) // 2
    return float(np.partition(values_N, half)[half])


def columns_of(rates_N5: np.ndarray, height: int, width: int) -> dict[str, Any]:
    """Return the columns of a clip from rates_N5: `fit` of N pairs of frames, per second."""
    pan, tilt, zoom, roll = np.median(rates_N5[:, :4], axis=0).tolist()
    short = min(height, width)
    edge_scale = np.array([width / short, height / short, 0.5 * width / short, 0.5 * width / short])
    speeds_N4 = rates_N5[:, :4] * edge_scale
    typical = np.median(speeds_N4, axis=0)
    shake = float(1.4826 * np.median(np.abs(speeds_N4[:, :2] - typical[:2]), axis=0).max())
    return {
        "camera": class_of(typical, shake),
        "pan": pan,
        "tilt": tilt,
        "zoom": zoom,
        "roll": float(np.degrees(roll)),
        "shake": shake,
        "object_motion": float(rates_N5[:, RESIDUAL].mean()),
    }


def class_of(typical: np.ndarray, shake: float) -> str:
    """Classify movement by the speeds of pan, tilt, zoom and roll, in short sides per second at the edge."""
    strongest = int(np.argmax(np.abs(typical)))
    speed = float(typical[strongest])
    if shake > _MIN_SHAKE and shake > abs(speed):
        return "handheld"
    if abs(speed) < _MIN_SPEED:
        return "static"
    names = (("pan_right", "pan_left"), ("tilt_up", "tilt_down"), ("zoom_in", "zoom_out"), ("roll", "roll"))
    return names[strongest][speed < 0]
