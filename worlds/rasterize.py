"""Draw anti-aliased flat shapes at sub-pixel positions, and label the pixels that they cover.

Legend: P corners, T frames, H height, W width, C channels (RGB).
"""

import math
from collections.abc import Sequence

import cv2
import numpy as np

from worlds.family import Rendered
from worlds.palette import SHAPES

SUPERSAMPLING = 4
"""Shapes are drawn at this multiple of the resolution and averaged."""


def blank(num_frames: int, height: int, width: int, color: Sequence[int]) -> Rendered:
    """Return frames of one colour, labelled as background."""
    frames_THWC = np.empty((num_frames, height, width, 3), np.uint8)
    frames_THWC[:] = color
    return Rendered(frames_THWC, np.zeros((num_frames, height, width), np.uint8))


def paint(
    rendered: Rendered,
    frame: int,
    label: int,
    shape: str,
    size_px: float,
    center: Sequence[float],
    color_C: np.ndarray,
    *,
    wraps: bool = False,
) -> None:
    """Blend one shape into a frame, in place; pixels covered by at least half get its label.

    Args:
        size_px: diameter of the circumscribed circle.
        center: (x, y) in pixels from the top left corner.
        wraps: whether parts beyond an edge appear at the opposite one, instead of being clipped.
    """
    height, width = rendered.labels_THW.shape[1:]
    reach = math.ceil(size_px / 2) + 1
    left, top = math.floor(center[0]) - reach, math.floor(center[1]) - reach
    side = 2 * reach + 1
    rows, columns = np.arange(top, top + side), np.arange(left, left + side)
    if not wraps and (top >= height or left >= width or top + side <= 0 or left + side <= 0):
        return
    coverage_HW = coverage(shape, size_px, (center[0] - left, center[1] - top), (side, side))
    if wraps:
        rows, columns = rows % height, columns % width
    else:
        rows_inside, columns_inside = (rows >= 0) & (rows < height), (columns >= 0) & (columns < width)
        rows, columns = rows[rows_inside], columns[columns_inside]
        coverage_HW = coverage_HW[np.ix_(rows_inside, columns_inside)]
    where = np.ix_(rows, columns)
    frame_HWC, labels_HW = rendered.frames_THWC[frame], rendered.labels_THW[frame]
    patch_HWC = frame_HWC[where].astype(np.float32)
    patch_HWC += coverage_HW[..., None] * (color_C - patch_HWC)
    frame_HWC[where] = np.rint(patch_HWC).astype(np.uint8)
    labels_HW[where] = np.where(coverage_HW >= 0.5, np.uint8(label), labels_HW[where])


def paint_bar(
    rendered: Rendered, frame: int, label: int, axis: int, span_px: tuple[float, float], color_C: np.ndarray
) -> None:
    """Blend a bar across the whole frame, in place.

    Args:
        axis: 0 for a vertical bar, whose `span_px` is along x; 1 for a horizontal one.
        span_px: start and end of the bar.
    """
    frame_HWC, labels_HW = rendered.frames_THWC[frame], rendered.labels_THW[frame]
    along_HWC = frame_HWC.swapaxes(0, 1) if axis == 0 else frame_HWC
    along_HW = labels_HW.T if axis == 0 else labels_HW
    first, last = max(0, math.floor(span_px[0])), min(len(along_HW), math.ceil(span_px[1]))
    if first >= last:
        return
    edges_S = np.arange(first, last)
    coverage_S = np.clip(np.minimum(edges_S + 1, span_px[1]) - np.maximum(edges_S, span_px[0]), 0, 1)
    patch_SWC = along_HWC[first:last].astype(np.float32)
    patch_SWC += coverage_S[:, None, None] * (color_C - patch_SWC)
    along_HWC[first:last] = np.rint(patch_SWC).astype(np.uint8)
    along_HW[edges_S[coverage_S >= 0.5]] = label


def coverage(
    shape: str, size_px: float, center: tuple[float, float], extent_px: tuple[int, int]
) -> np.ndarray:
    """Return the coverage of each pixel by a shape as mask_HW (float32, 0 to 1).

    Args:
        size_px: diameter of the circumscribed circle.
        center: (x, y) in pixels from the top left corner.
        extent_px: (height, width) of the mask.
    """
    scale, bits = SUPERSAMPLING, 8
    fine_HW = np.zeros((extent_px[0] * scale, extent_px[1] * scale), np.uint8)
    points_P2 = (np.array(center) + outline_P2(shape) * size_px / 2) * scale - 0.5
    cv2.fillPoly(fine_HW, [np.rint(points_P2 * (1 << bits)).astype(np.int32)], 255, cv2.LINE_8, bits)
    coarse_HW = cv2.resize(fine_HW, (extent_px[1], extent_px[0]), interpolation=cv2.INTER_AREA)
    return coarse_HW.astype(np.float32) / 255


def outline_P2(shape: str) -> np.ndarray:
    """Return the corners of a shape inside the unit circle, centred on its centre of mass, y downward."""
    if shape == "circle":
        angles = np.linspace(0, 2 * math.pi, 48, endpoint=False)
        return 0.9 * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    if shape == "square":
        return math.sqrt(0.5) * np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)], float)
    if shape == "triangle":
        angles = -math.pi / 2 + np.arange(3) * 2 * math.pi / 3
        return np.stack([np.cos(angles), np.sin(angles)], axis=1)
    if shape == "star":
        angles = -math.pi / 2 + np.arange(10) * math.pi / 5
        radius = np.where(np.arange(10) % 2 == 0, 1.0, 0.42)
        return radius[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    raise ValueError(f"unknown shape {shape!r}: use one of {', '.join(SHAPES)}")
