"""Estimate how the camera moves between two frames from dense optical flow.

The picture moves by a similarity: with positions (from the centre of the picture) and flow as complex numbers
x + iy in pixels, `flow = shift + growth * position`. The real part of `growth` is the zoom and its imaginary
part the roll. Two estimators fit it, for two kinds of picture:

- `estimate_camera_motion` weighs textured points and ignores things that move by themselves. It returns None
  for a picture whose texture does not cover enough of the frame.
- `median_similarity` takes medians over all pixels, so that a large flat area counts by its size. It always
  returns an answer, and neglects roll.

Legend: H height, W width, N sampled points.
"""

from typing import Literal, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

GRID_PX = 6
"""Spacing of the grid on which textured points are sampled."""
_MIN_GRADIENT = 12.0
"""Least Sobel gradient of luma, in the neighbourhood of a point, at which its flow is reliable."""
_MIN_POINTS = 24
_MIN_CELLS = 0.4
"""Fraction of a 4 x 4 grid over the frame that must hold textured points."""
_MAX_ITERATIONS = 6
_TOLERANCE_PX = 0.002
"""Iteration stops when no point in the picture moves by more than this."""
_TUKEY_C = 4.685
"""Tuning constant of Tukey's biweight: 95 % efficiency under normal noise."""
_MAD_TO_SIGMA = 1.4826
"""Standard deviation of normal noise over its median absolute deviation."""
_MIN_SIGMA_PX = 0.05


class Similarity(NamedTuple):
    """Motion of the picture: `shift + growth * position`, in pixels from the centre of the picture."""

    shift: complex
    growth: complex
    """Zoom (relative growth) plus i times the clockwise rotation in radians."""


class CameraMotion(NamedTuple):
    """Motion of the camera between two frames. The picture moves the opposite way."""

    pan: float
    """To the right, in widths of the frame."""
    tilt: float
    """Up, in heights."""
    zoom: float
    """Relative growth of the picture."""
    roll: float
    """Clockwise, in radians."""
    residual: float
    """Mean length of the flow that the camera does not explain, in short sides."""


_MIN_SIZE_PX = 32, 12
"""Height and width from which OpenCV 5.0's DIS is safe; smaller images are padded."""


class FlowEstimator:
    """Compute dense flow by inverse search (DIS; Kroeger et al., ECCV 2016)."""

    def __init__(self, preset: Literal["ultrafast", "fast"]) -> None:
        presets = {
            "ultrafast": cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST,
            "fast": cv2.DISOPTICAL_FLOW_PRESET_FAST,
        }
        self._dis = cv2.DISOpticalFlow.create(presets[preset])
        self._no_initial_flow = np.empty((0, 0), np.float32)

    def __call__(self, first_HW: np.ndarray, second_HW: np.ndarray) -> np.ndarray:
        """Return flow_HW2, (x, y) in pixels, from one uint8 luma image to the next."""
        height, width = first_HW.shape
        if height >= _MIN_SIZE_PX[0] and width >= _MIN_SIZE_PX[1]:
            return self._dis.calc(first_HW, second_HW, self._no_initial_flow)
        flow_HW2 = self._dis.calc(_pad(first_HW), _pad(second_HW), self._no_initial_flow)
        return np.ascontiguousarray(flow_HW2[:height, :width])


def _pad(image_HW: np.ndarray) -> np.ndarray:
    """Repeat the last row and column up to `_MIN_SIZE_PX`."""
    below, right = (max(0, least - side) for least, side in zip(_MIN_SIZE_PX, image_HW.shape, strict=True))
    return cv2.copyMakeBorder(image_HW, 0, below, 0, right, cv2.BORDER_REPLICATE)


def estimate_camera_motion(gray_HW: np.ndarray, flow_HW2: np.ndarray) -> CameraMotion | None:
    """Fit a similarity to the flow of textured points by iteratively reweighted least squares.

    The weights are Tukey's biweight (Holland and Welsch, 1977), so independently moving things do not count.

    Args:
        gray_HW: luma of the first frame, uint8.
        flow_HW2: flow from the first frame to the second, in pixels.

    Returns:
        None if there are too few textured points or they cover too little of the frame.
    """
    sampled = _textured_points(gray_HW)
    if sampled is None:
        return None
    rows, columns = sampled
    height, width = gray_HW.shape
    flow_N = flow_HW2[_grid()][rows, columns].astype(np.float64).view(np.complex128)[:, 0]
    half = GRID_PX // 2
    position_N = (columns * GRID_PX + half - (width - 1) / 2) + 1j * (
        rows * GRID_PX + half - (height - 1) / 2
    )
    (shift, growth), error_N = _fit_robust(position_N, flow_N, width)
    residual = float(error_N.mean()) / min(height, width)
    return CameraMotion(-shift.real / width, shift.imag / height, growth.real, -growth.imag, residual)


def median_similarity(flow_HW2: np.ndarray) -> tuple[Similarity, np.ndarray]:
    """Fit shift and zoom by medians over all pixels; return them and residual_HW in pixels.

    Zoom is the median outward flow of the pixels further than a quarter of the height from the centre.
    """
    height, width = flow_HW2.shape[:2]
    flow_HW = np.ascontiguousarray(flow_HW2, np.float32).view(np.complex64)[..., 0]
    columns_W = np.arange(width, dtype=np.float64) - width / 2
    rows_H = np.arange(height, dtype=np.float64) - height / 2
    position_HW: NDArray[np.complex128] = columns_W + 1j * rows_H[:, None]
    distance2_HW = position_HW.real**2 + position_HW.imag**2
    shift = complex(np.median(flow_HW.real), np.median(flow_HW.imag))
    outward_HW: np.ndarray = ((flow_HW - shift) * position_HW.conj()).real / np.maximum(distance2_HW, 1)
    zoom = float(np.median(outward_HW[distance2_HW > (height / 4) ** 2]))
    return Similarity(shift, complex(zoom)), np.abs(flow_HW - shift - zoom * position_HW)


def _grid() -> tuple[slice, slice]:
    return slice(GRID_PX // 2, None, GRID_PX), slice(GRID_PX // 2, None, GRID_PX)


def _textured_points(gray_HW: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Return the rows and columns of the sampling grid that lie on texture; None if they are too few."""
    smooth_HW = cv2.GaussianBlur(gray_HW, (3, 3), 0)
    gx, gy = cv2.Sobel(smooth_HW, cv2.CV_32F, 1, 0), cv2.Sobel(smooth_HW, cv2.CV_32F, 0, 1)
    textured_HW = (cv2.magnitude(gx, gy) > _MIN_GRADIENT).astype(np.uint8)
    textured_HW = cv2.dilate(textured_HW, np.ones((GRID_PX, GRID_PX), np.uint8))[_grid()]
    rows, columns = np.nonzero(textured_HW)
    cells = np.bincount(rows * 4 // textured_HW.shape[0] * 4 + columns * 4 // textured_HW.shape[1])
    if len(rows) < _MIN_POINTS or np.count_nonzero(cells) < _MIN_CELLS * 16:
        return None
    return rows, columns


def _fit_robust(
    position_N: NDArray[np.complex128], flow_N: NDArray[np.complex128], width: int
) -> tuple[Similarity, np.ndarray]:
    """Return the similarity and the length of each point's residual in pixels."""
    shift, growth = complex(_upper_median(flow_N.real), _upper_median(flow_N.imag)), 0j
    error_N = np.abs(shift - flow_N)
    for _ in range(_MAX_ITERATIONS):
        sigma = max(_MIN_SIGMA_PX, _MAD_TO_SIGMA * _upper_median(error_N))
        weight_N = np.square(np.maximum(1 - np.square(error_N / (_TUKEY_C * sigma)), 0))
        before = shift, growth
        shift, growth = _fit_weighted(np.square(weight_N), position_N, flow_N)
        error_N = np.abs(shift + growth * position_N - flow_N)
        if abs(shift - before[0]) + abs(growth - before[1]) * width / 2 < _TOLERANCE_PX:
            break
    return Similarity(shift, growth), error_N


def _fit_weighted(
    weight_N: np.ndarray, position_N: NDArray[np.complex128], flow_N: NDArray[np.complex128]
) -> tuple[complex, complex]:
    """Return shift and growth by weighted least squares, in closed form.

    More than half of the points have weight and all positions differ, so no denominator is 0.
    """
    share_N = weight_N / weight_N.sum()
    position, flow = share_N @ position_N, share_N @ flow_N
    offset_N = position_N - position
    weighted_N = share_N * offset_N.conj()
    growth = (weighted_N @ (flow_N - flow)) / (weighted_N @ offset_N).real
    return complex(flow - growth * position), complex(growth)


def _upper_median(values_N: np.ndarray) -> float:
    """Return the median, the upper one of an even number. Faster than `np.median` on short arrays."""
    half = len(values_N) // 2
    return float(np.partition(values_N, half)[half])
