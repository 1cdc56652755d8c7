"""Tell whether two frames show the same scene, whatever its light: by the fine structure that persists.

A strobe, coloured light or a flash changes every pixel, an inset or a banner a part of the frame; edges stay
where they were, or all move together with the camera. Another shot has other edges.

Legend: T frames, H height, W width.
"""

import cv2
import numpy as np

HEIGHT_PX, WIDTH_PX = 28, 48
"""Size of the pictures compared."""
_FINE_PX, _COARSE_PX = 0.8, 4.0
"""Standard deviations of the two Gaussians whose difference is a picture's structure."""
_WINDOW_PX = 9
"""Side of the windows in which structures are compared in place."""
_MIN_CORRELATION = 0.6
"""Correlation from which on the structure in a window persists."""
_TEXTURED, _FLAT = 1.5, 0.4
"""Standard deviation of structure, of 255: a window has structure from the first on in either picture, and
can persist from the second on in both."""
_MIN_AREA, _MIN_MOVED_AREA = 0.04, 0.5
"""Least share of the picture with structure in either frame, in place; and in both, shifted: one thing on a
plain ground can always be shifted over another."""
_MIN_SHARE = 0.42
"""Share of the structure that persists in place in the same scene."""
_MIN_MOVED_CORRELATION = 0.72
"""Correlation of a shifted picture's middle with the same scene."""
_MAX_SHIFT = 0.22
"""Greatest shift by the camera, as a share of the picture."""
_UNCHANGED, _MAX_CHANGED_BOX, _MIN_FILLED = 5, 0.5, 0.55
"""An inset changes a box of at most the second share of the picture, by more than the first, of 255, in at
least the third share of the box; and nothing else."""
_PLAIN = 12
"""Lines at a side that vary by at most this in both frames together, of 255, are a border."""
_MIN_PICTURE = 0.45
"""Share of the frame that must be inside borders for a comparison of shifted pictures."""
_BLANK_STD, _DARK, _BRIGHT = 5.0, 30.0, 228.0
"""A blank frame varies less than the first, and its mean is below the second or above the third, of 255."""


def detail(gray_HW: np.ndarray) -> np.ndarray:
    """Scale the luma of a frame to the size compared, uint8."""
    return cv2.resize(gray_HW, (WIDTH_PX, HEIGHT_PX), interpolation=cv2.INTER_AREA)


def is_blank(detail_HW: np.ndarray) -> bool:
    """Return whether a frame is black or white throughout."""
    mean, std = cv2.meanStdDev(detail_HW)
    return bool(std[0, 0] < _BLANK_STD and not _DARK <= mean[0, 0] <= _BRIGHT)


def same_scene(old_HW: np.ndarray, new_HW: np.ndarray) -> bool:
    """Return whether most of the structure of two frames is the same, in place or shifted as a whole."""
    if _is_inset(old_HW, new_HW):
        return True
    rows, columns = _picture(old_HW, new_HW)
    height, width = rows.stop - rows.start, columns.stop - columns.start
    if min(height, width) < _WINDOW_PX:
        return False
    old, new = (_structure(each[rows, columns]) for each in (old_HW, new_HW))
    area, common_area, share = _persisting(old, new)
    if area >= _MIN_AREA and share >= _MIN_SHARE:
        return True
    if common_area < _MIN_MOVED_AREA or height * width < _MIN_PICTURE * old_HW.size:
        return False
    down, across = round(_MAX_SHIFT * height), round(_MAX_SHIFT * width)
    middle = old[down : height - down, across : width - across]
    return bool(cv2.matchTemplate(new, middle, cv2.TM_CCOEFF_NORMED).max() >= _MIN_MOVED_CORRELATION)


def _is_inset(old_HW: np.ndarray, new_HW: np.ndarray) -> bool:
    """Return whether only a box changed."""
    changed_HW = cv2.absdiff(old_HW, new_HW) > _UNCHANGED
    rows, columns = (np.flatnonzero(changed_HW.any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return True
    box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    small = changed_HW[box].size <= _MAX_CHANGED_BOX * changed_HW.size
    return bool(small and changed_HW[box].mean() >= _MIN_FILLED)


def _structure(detail_HW: np.ndarray) -> np.ndarray:
    values = detail_HW.astype(np.float32)
    return cv2.GaussianBlur(values, (0, 0), _FINE_PX) - cv2.GaussianBlur(values, (0, 0), _COARSE_PX)


def _persisting(old_HW: np.ndarray, new_HW: np.ndarray) -> tuple[float, float, float]:
    """Return the shares of the picture with structure in either and in both, and the share that persists."""
    mean_old, mean_new, square_old, square_new, product = (
        _window_mean(each) for each in (old_HW, new_HW, old_HW * old_HW, new_HW * new_HW, old_HW * new_HW)
    )
    std_old = np.sqrt(np.maximum(square_old - mean_old * mean_old, 0))
    std_new = np.sqrt(np.maximum(square_new - mean_new * mean_new, 0))
    textured = np.maximum(std_old, std_new) > _TEXTURED
    covariance = product - mean_old * mean_new
    persists = (np.minimum(std_old, std_new) > _FLAT) & (covariance > _MIN_CORRELATION * std_old * std_new)
    count, common = np.count_nonzero(textured), np.count_nonzero(np.minimum(std_old, std_new) > _TEXTURED)
    share = np.count_nonzero(textured & persists) / max(1, count)
    return count / textured.size, common / textured.size, share


def _window_mean(values_HW: np.ndarray) -> np.ndarray:
    return cv2.boxFilter(values_HW, -1, (_WINDOW_PX, _WINDOW_PX), borderType=cv2.BORDER_REFLECT_101)


def _picture(old_HW: np.ndarray, new_HW: np.ndarray) -> tuple[slice, slice]:
    """Return the rows and columns inside borders that both frames have, without the edge of the border."""
    low_HW, high_HW = np.minimum(old_HW, new_HW).astype(int), np.maximum(old_HW, new_HW).astype(int)
    rows, columns = (high_HW.max(axis=axis) - low_HW.min(axis=axis) > _PLAIN for axis in (1, 0))
    return _inside(rows), _inside(columns)


def _inside(varied_L: np.ndarray) -> slice:
    lines = np.flatnonzero(varied_L)
    if not len(lines):
        return slice(0, 0)
    first, last = int(lines[0]), int(lines[-1]) + 1
    return slice(first + 2 * (first > 0), last - 2 * (last < len(varied_L)))
