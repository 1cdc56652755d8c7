"""What stays in a corner while the rest of the picture changes. Pure functions.

Legend: T frames, H x W pixels; boxes are (left, top, right, bottom) in shares of the frame.
"""

from collections.abc import Sequence

import cv2
import numpy as np

Box = tuple[float, float, float, float]

REACH = 0.4
"""A corner is this share of the width and of the height."""
SAME_BOX = 0.9
"""Intersection over union from which two boxes are one (cosmos-curate takes the same)."""
SAME_BOX_OF_TEXT = 0.6
"""... where both hold the same text."""
LEAST_CHANGE = 6.0
"""Mean change of luma, of 255, from which a picture counts as changed."""
EDGE = 40.0
"""Gradient of luma per pixel that makes an edge."""
LEAST_EDGES = 0.01
"""Share of a corner that must be lasting edges for a logo."""
LASTING = 0.25
"""... and share of the corner's edges, of those in one frame on average."""
STANDING = 0.05
"""The same share between the corners, from which the camera counts as standing."""
LEAST_FRAMES = 3
WIDTH_PX = 320


def changed(gray_THW: Sequence[np.ndarray]) -> bool:
    """Return whether the first and the last picture differ enough to tell what stays from what stands."""
    if len(gray_THW) < 2:
        return False
    first, last = (_small(gray) for gray in (gray_THW[0], gray_THW[-1]))
    return float(np.abs(first - last).mean()) >= LEAST_CHANGE


def stays(lines_T: Sequence[Sequence[tuple[Box, str]]]) -> bool:
    """Return whether some line (its box and text) in a corner of the first frame stays in all."""
    first, *others = lines_T
    return any(
        in_corner(line[0]) and all(any(_same(line, other) for other in there) for there in others)
        for line in first
    )


def _same(one: tuple[Box, str], other: tuple[Box, str]) -> bool:
    """Return whether two lines are one: boxes of small text shake, so equal text asks for less."""
    return overlap(one[0], other[0]) >= (SAME_BOX_OF_TEXT if one[1] == other[1] else SAME_BOX)


def in_corner(box: Box) -> bool:
    """Return whether a box lies wholly within the reach of one corner."""
    left, top, right, bottom = box
    return (right <= REACH or left >= 1 - REACH) and (bottom <= REACH or top >= 1 - REACH)


def overlap(a: Box, b: Box) -> float:
    """Return intersection over union."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    return width * height / (sum(areas) - width * height)


def logo(gray_THW: Sequence[np.ndarray]) -> bool | None:
    """Return whether edges last in some corner while those of the rest of the picture do not.

    An edge lasts when it is there in every frame, at the same pixel. Where those between corners last too,
    the camera stands, and a wall in a corner looks like a logo: None, as where too little changes at all.
    """
    if len(gray_THW) < LEAST_FRAMES or not changed(gray_THW):
        return None
    edges_THW = np.stack([_edges(_small(gray)) for gray in gray_THW])
    lasting_HW: np.ndarray = np.logical_and.reduce(edges_THW)
    height, width = lasting_HW.shape
    tall, wide = round(height * REACH), round(width * REACH)
    between = np.ones((height, width), bool)
    found = False
    for rows in (slice(0, tall), slice(height - tall, height)):
        for columns in (slice(0, wide), slice(width - wide, width)):
            between[rows, columns] = False
            share = float(lasting_HW[rows, columns].mean())
            usual = float(edges_THW[:, rows, columns].mean())
            found |= share >= LEAST_EDGES and share >= LASTING * usual
    standing = lasting_HW[between].mean() > STANDING * edges_THW[:, between].mean()
    return None if standing else found


def _small(gray_HW: np.ndarray) -> np.ndarray:
    height, width = gray_HW.shape
    size = (WIDTH_PX, max(8, round(height * WIDTH_PX / width)))
    return cv2.resize(gray_HW, size, interpolation=cv2.INTER_AREA).astype(np.float32)


def _edges(gray_HW: np.ndarray) -> np.ndarray:
    x_HW, y_HW = (cv2.Scharr(gray_HW, cv2.CV_32F, dx, 1 - dx) / 16 for dx in (1, 0))
    return np.hypot(x_HW, y_HW) >= EDGE / 2
