"""How the camera moves: a similarity fitted to optical flow, robustly, so that things that move in the
picture do not count. Iteratively reweighted least squares (Holland and Welsch, 1977) with Tukey's weights.

The picture moves against the camera: content that flows to the left is a pan to the right. Places and flow
are complex numbers, x + iy, so that a similarity is one factor and one shift.
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
_SETTLED_PX = 0.002
"""A round that moves nothing in the picture by more than this is the last."""
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
    cells = np.bincount(rows * 4 // strong_HW.shape[0] * 4 + columns * 4 // strong_HW.shape[1])
    if len(rows) < _LEAST_POINTS or np.count_nonzero(cells) < _LEAST_CELLS * 16:
        return None
    flow_N = flow_HW2[grid][rows, columns].astype(np.float64).view(np.complex128)[:, 0]
    place_N = (columns * STEP_PX + half - (width - 1) / 2) + 1j * (rows * STEP_PX + half - (height - 1) / 2)
    shift, growth = complex(_middle(flow_N.real), _middle(flow_N.imag)), 0j
    error_N = np.abs(shift - flow_N)
    for _ in range(_ROUNDS):
        scale = max(0.05, 1.4826 * _middle(error_N))
        weight_N = np.square(np.maximum(1 - np.square(error_N / (4.685 * scale)), 0))
        before = shift, growth
        shift, growth = _similarity(np.square(weight_N), place_N, flow_N)
        error_N = np.abs(shift + growth * place_N - flow_N)
        if abs(shift - before[0]) + abs(growth - before[1]) * width / 2 < _SETTLED_PX:
            break
    residual = float(error_N.mean()) / min(height, width)
    return -shift.real / width, shift.imag / height, growth.real, -growth.imag, residual


def _similarity(weight_N: np.ndarray, place_N: np.ndarray, flow_N: np.ndarray) -> tuple[complex, complex]:
    """Return the shift, and growth + i times the turn clockwise, that fit best, in closed form.

    More than half of the points have weight, and no two are at one place, so nothing is divided by 0.
    """
    share_N = weight_N / weight_N.sum()
    place, flow = share_N @ place_N, share_N @ flow_N
    away_N = place_N - place
    pull_N = share_N * away_N.conj()
    growth = (pull_N @ (flow_N - flow)) / (pull_N @ away_N).real
    return complex(flow - growth * place), complex(growth)


def _middle(values_N: np.ndarray) -> float:
    """Return the median, of an even number the upper one: `np.median` takes ten times as long on so few."""
    half = len(values_N) // 2
    return float(np.partition(values_N, half)[half])


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
