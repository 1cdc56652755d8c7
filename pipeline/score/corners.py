"""Corner marks and logos: what stays in a corner while the rest of the picture changes. Pure functions.

Legend: T frames, H x W pixels. A box is (left, top, right, bottom) as fractions of the frame.
"""

from collections.abc import Sequence

import cv2
import numpy as np

Box = tuple[float, float, float, float]

CORNER = 0.4
"""Size of a corner, as a share of the width and of the height."""
MIN_IOU = 0.9
"""Intersection over union from which two boxes are the same (as in cosmos-curate)."""
MIN_IOU_SAME_TEXT = 0.6
"""The same for boxes with equal text: detected boxes of small text vary."""
MIN_CHANGE = 6.0
"""Mean absolute change of luma, of 255, from which the scene has changed."""
EDGE_GRADIENT = 40.0
"""Gradient of luma per pixel of an edge."""
MIN_LOGO_EDGES = 0.01
"""Share of a corner's pixels that persistent edges of a logo cover."""
MIN_PERSISTENCE = 0.25
"""Share of a corner's edges that persist, relative to their mean number in one frame."""
MAX_STATIC_PERSISTENCE = 0.05
"""The same share between the corners, above which the camera is static."""
MIN_FRAMES = 3
WIDTH_PX = 320


def scene_changed(gray_THW: Sequence[np.ndarray]) -> bool:
    """Return whether the first and the last frame differ enough to tell a mark from a static scene."""
    if len(gray_THW) < 2:
        return False
    first, last = (_resize(gray) for gray in (gray_THW[0], gray_THW[-1]))
    return float(np.abs(first - last).mean()) >= MIN_CHANGE


def has_corner_mark(lines_T: Sequence[Sequence[tuple[Box, str]]]) -> bool:
    """Return whether a line of text (its box and content) stays in a corner in all frames."""
    first, *others = lines_T
    return any(
        in_corner(line[0]) and all(any(_is_same(line, other) for other in frame) for frame in others)
        for line in first
    )


def _is_same(line: tuple[Box, str], other: tuple[Box, str]) -> bool:
    return iou(line[0], other[0]) >= (MIN_IOU_SAME_TEXT if line[1] == other[1] else MIN_IOU)


def in_corner(box: Box) -> bool:
    """Return whether a box lies within one corner."""
    left, top, right, bottom = box
    return (right <= CORNER or left >= 1 - CORNER) and (bottom <= CORNER or top >= 1 - CORNER)


def iou(a: Box, b: Box) -> float:
    """Return the intersection over union of two boxes."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    return width * height / (sum(areas) - width * height)


def has_logo(gray_THW: Sequence[np.ndarray]) -> bool | None:
    """Return whether edges persist in a corner while the rest of the picture changes.

    Returns None if the scene changes too little, or if edges between corners persist too (a static camera).
    """
    if len(gray_THW) < MIN_FRAMES or not scene_changed(gray_THW):
        return None
    edges_THW = np.stack([_edges(_resize(gray)) for gray in gray_THW])
    persistent_HW: np.ndarray = np.logical_and.reduce(edges_THW)
    height, width = persistent_HW.shape
    corner_height, corner_width = round(height * CORNER), round(width * CORNER)
    between_HW = np.ones((height, width), bool)
    found = False
    for rows in (slice(0, corner_height), slice(height - corner_height, height)):
        for columns in (slice(0, corner_width), slice(width - corner_width, width)):
            between_HW[rows, columns] = False
            share = float(persistent_HW[rows, columns].mean())
            mean_share = float(edges_THW[:, rows, columns].mean())
            found |= share >= MIN_LOGO_EDGES and share >= MIN_PERSISTENCE * mean_share
    is_static = persistent_HW[between_HW].mean() > MAX_STATIC_PERSISTENCE * edges_THW[:, between_HW].mean()
    return None if is_static else found


def _resize(gray_HW: np.ndarray) -> np.ndarray:
    height, width = gray_HW.shape
    size = (WIDTH_PX, max(8, round(height * WIDTH_PX / width)))
    return cv2.resize(gray_HW, size, interpolation=cv2.INTER_AREA).astype(np.float32)


def _edges(gray_HW: np.ndarray) -> np.ndarray:
    x_HW, y_HW = (cv2.Scharr(gray_HW, cv2.CV_32F, dx, 1 - dx) / 16 for dx in (1, 0))
    return np.hypot(x_HW, y_HW) >= EDGE_GRADIENT / 2
