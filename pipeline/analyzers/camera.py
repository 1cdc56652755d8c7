"""How the camera moves: a similarity fitted to optical flow, robustly, so that things that move in the
picture do not count. Iteratively reweighted least squares (Holland and Welsch, 1977) with Tukey's weights.

The picture moves against the camera: content that flows to the left is a pan to the right.
"""

from typing import Any

import cv2
import numpy as np

STEP_PX = 6
"""Flow is looked at on a grid of this spacing, at the analysis size."""
_TEXTURE = 12.0
"""Least gradient (Sobel, luma) at which flow can be trusted."""
_LEAST_POINTS = 24
_LEAST_CELLS = 0.4
"""Share of a 4 x 4 grid over the frame that must hold trusted points: one thing on a plain ground tells
nothing of the camera."""
_ROUNDS = 6
_STEADY = 0.02
"""A camera slower than this, in short sides per second at the frame's edge, stands."""
_SHAKE = 0.04
"""Unsteadiness above this, in short sides per second, is a camera held by hand."""

PAN, TILT, ZOOM, ROLL, RESIDUAL = range(5)


def fit(gray_HW: np.ndarray, flow_HW2: np.ndarray) -> tuple[float, float, float, float, float] | None:
    """Return how the camera moved between two frames; None where the picture does not tell.

    Returns:
        pan (to the right, in widths), tilt (up, in heights), zoom (in, as growth), roll (clockwise, in
        radians), and the mean flow left over, in short sides.
    """
    height, width = gray_HW.shape
    half = STEP_PX // 2
    grid = (slice(half, None, STEP_PX), slice(half, None, STEP_PX))
    smooth_HW = cv2.GaussianBlur(gray_HW, (3, 3), 0)
    gx, gy = cv2.Sobel(smooth_HW, cv2.CV_32F, 1, 0), cv2.Sobel(smooth_HW, cv2.CV_32F, 0, 1)
    strong_HW = cv2.dilate(cv2.magnitude(gx, gy), np.ones((STEP_PX, STEP_PX), np.uint8))[grid]
    rows, columns = np.nonzero(strong_HW > _TEXTURE)
    cells = np.unique(rows * 4 // strong_HW.shape[0] * 4 + columns * 4 // strong_HW.shape[1])
    if len(rows) < _LEAST_POINTS or len(cells) < _LEAST_CELLS * 16:
        return None
    u_N, v_N = np.moveaxis(flow_HW2[grid][rows, columns].astype(np.float64), 1, 0)
    x_N, y_N = columns * STEP_PX + half - (width - 1) / 2, rows * STEP_PX + half - (height - 1) / 2
    found = float(np.median(u_N)), float(np.median(v_N)), 0.0, 0.0
    for _ in range(_ROUNDS):
        error_N = _errors(found, x_N, y_N, u_N, v_N)
        scale = max(0.05, 1.4826 * float(np.median(error_N)))
        weight_N = np.square(np.clip(1 - np.square(error_N / (4.685 * scale)), 0, None))
        found = _similarity(np.square(weight_N), x_N, y_N, u_N, v_N)
    residual = float(_errors(found, x_N, y_N, u_N, v_N).mean())
    shift_x, shift_y, growth, turn = found
    return -shift_x / width, shift_y / height, growth, -turn, residual / min(height, width)


def _similarity(
    weight_N: np.ndarray, x_N: np.ndarray, y_N: np.ndarray, u_N: np.ndarray, v_N: np.ndarray
) -> tuple[float, float, float, float]:
    """Return shift right, shift down, growth and turn clockwise that fit best, in closed form.

    More than half of the points have weight, and no two are at one place, so nothing is divided by 0.
    """
    share_N = weight_N / weight_N.sum()
    x, y, u, v = (float(share_N @ values_N) for values_N in (x_N, y_N, u_N, v_N))
    dx_N, dy_N, du_N, dv_N = x_N - x, y_N - y, u_N - u, v_N - v
    spread = float(share_N @ (dx_N * dx_N + dy_N * dy_N))
    growth = float(share_N @ (dx_N * du_N + dy_N * dv_N)) / spread
    turn = float(share_N @ (dx_N * dv_N - dy_N * du_N)) / spread
    return u - growth * x + turn * y, v - growth * y - turn * x, growth, turn


def _errors(
    found: tuple[float, float, float, float],
    x_N: np.ndarray,
    y_N: np.ndarray,
    u_N: np.ndarray,
    v_N: np.ndarray,
) -> np.ndarray:
    """Return how far each point is from where `found` moves it, in pixels."""
    right, down, growth, turn = found
    return np.hypot(right + growth * x_N - turn * y_N - u_N, down + growth * y_N + turn * x_N - v_N)


def columns_of(rates_N5: np.ndarray, height: int, width: int) -> dict[str, Any]:
    """Return the columns of a clip from the rates per second of its N pairs."""
    pan, tilt, zoom, roll = np.median(rates_N5[:, :4], axis=0).tolist()
    short = min(height, width)
    to_edges = np.array([width / short, height / short, 0.5 * width / short, 0.5 * width / short])
    speeds_N4 = rates_N5[:, :4] * to_edges
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
    """Name the movement by the speeds of pan, tilt, zoom and roll at the edge, in short sides per second."""
    strongest = int(np.argmax(np.abs(typical)))
    speed = float(typical[strongest])
    if shake > _SHAKE and shake > abs(speed):
        return "handheld"
    if abs(speed) < _STEADY:
        return "static"
    names = (("pan_right", "pan_left"), ("tilt_up", "tilt_down"), ("zoom_in", "zoom_out"), ("roll", "roll"))
    return names[strongest][speed < 0]
