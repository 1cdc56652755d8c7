"""Tell whether two frames show the same scene, whatever its light: by the fine structure that persists.

A strobe, coloured light or a flash changes every pixel, an inset or a banner a part of the frame; edges stay
where they were, or all move together with the camera. Another shot has other edges, or colours that no change
of light makes.

Legend: H height, W width, C channels (RGB).
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

import cv2
import numpy as np

from pipeline.analyze.shots.lighting import Relighting, relighting

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
_RELIT, _MIN_CONTRAST = 0.25, 8.0
"""Light alone explains a change that leaves at most the first share of the contrast, which is at least the
second, of 255."""
_MAX_RESIDUAL = 0.8
"""Share of the contrast that light leaves unexplained, at most, in the same scene: the rest is motion."""
_MIN_SLIDE_SHARE, _MIN_SLIDE_CORRELATION, _MAX_SLIDE_RESIDUAL = 0.7, 0.85, 0.6
"""The same for two frames that are far apart: share in place; correlation and residual when shifted."""
_MIN_PLAIN, _SAME_LUMA = 0.4, 4
"""A slide with a plain ground: its share of the picture, and how far luma may be from the most frequent."""
_SLIDE_CHANGE, _MAX_SLIDE_CHANGE = 20, 0.03
"""Greatest share of pixels that change by more than the first, of 255, in one slide with a plain ground."""
_UNCHANGED, _MAX_CHANGED_BOX, _MIN_FILLED = 12, 0.5, 0.55
"""An inset changes a box of at most the second share of the picture, by more than the first, of 255, in at
least the third share of the box."""
_MAX_BESIDE, _MAX_CHANGE_BESIDE = 0.04, 4.0
"""Greatest share of the pixels beside an inset that change, and greatest mean change there, of 255."""
_MAX_BAND, _MIN_BAND_CHANGE = 0.4, 0.8
"""A banner or a bar changes at least the second share of each line at a side, of at most the first share of
the lines."""
_PLAIN = 12
"""Lines at a side that vary by at most this in both frames together, of 255, are a border."""
_MIN_PICTURE = 0.45
"""Share of the frame that must be inside borders for a comparison of shifted pictures."""
_BLANK_STD, _BLANK_RANGE, _DARK, _BRIGHT = 5.0, 48, 30.0, 228.0
"""A blank frame varies less than the first, by at most the second from its darkest to its brightest pixel (a
small thing on white is a scene), and its mean is below the third or above the fourth, of 255."""
_ROUNDING = 1.0
"""Scaling a picture down changes its mean by less than this, of 255."""


class Picture(NamedTuple):
    """A frame at the two sizes in which scenes are compared."""

    detail_HW: np.ndarray
    """uint8, from `detail`."""
    small_HWC: np.ndarray
    """uint8, from `features.downscale`."""


def detail(gray_HW: np.ndarray) -> np.ndarray:
    """Scale the luma of a frame to the size compared, uint8."""
    return cv2.resize(gray_HW, (WIDTH_PX, HEIGHT_PX), interpolation=cv2.INTER_AREA)


def is_blank(gray_HW: np.ndarray) -> bool:
    """Return whether a frame is black or white throughout."""
    is_scaled_down = gray_HW.shape[0] >= HEIGHT_PX and gray_HW.shape[1] >= WIDTH_PX
    if is_scaled_down and _DARK + _ROUNDING < cv2.mean(gray_HW)[0] < _BRIGHT - _ROUNDING:
        return False  # as is its detail, which takes longer to compute
    detail_HW = detail(gray_HW)
    mean, std = cv2.meanStdDev(detail_HW)
    if std[0, 0] >= _BLANK_STD or _DARK <= mean[0, 0] <= _BRIGHT:
        return False
    return int(detail_HW.max()) - int(detail_HW.min()) <= _BLANK_RANGE


def same_scene(old: Picture, new: Picture, *, inset: bool = True) -> bool:
    """Return whether two pictures differ by light, an inset (if allowed) or the camera, and by what moves.

    Most of the structure must be the same, in place or shifted as a whole, and its colours what a change of
    light makes of them: two things in the same place on plain grounds have the same structure.
    """
    light = relighting(old.small_HWC, new.small_HWC)
    if light.contrast >= _MIN_CONTRAST and light.residual <= _RELIT:
        return True
    if inset and _is_inset(old.small_HWC, new.small_HWC):
        return True
    if inset and any(same_scene(*rest, inset=False) for rest in _beside_bands(old, new)):
        return True
    rows, columns = _inside_borders(old.detail_HW, new.detail_HW)
    height, width = rows.stop - rows.start, columns.stop - columns.start
    if min(height, width) < _WINDOW_PX:
        return False
    old_HW, new_HW = (_structure(each.detail_HW[rows, columns]) for each in (old, new))
    area, common_area, share = _persisting(old_HW, new_HW)
    if area >= _MIN_AREA and share >= _MIN_SHARE and light.residual <= _MAX_RESIDUAL:
        return True
    if common_area < _MIN_MOVED_AREA or height * width < _MIN_PICTURE * old.detail_HW.size:
        return False
    correlation, down, across = _best_shift(old_HW, new_HW)
    return correlation >= _MIN_MOVED_CORRELATION and _relit(old, new, down, across).residual <= _MAX_RESIDUAL


def persists_in_part(old: Picture, new: Picture) -> bool:
    """Return whether the structure beside a side of two pictures persists, as where a banner fades in."""
    parts = (
        [_without_band(each, _MAX_BAND, axis, at_end) for each in (old, new)]
        for axis in (0, 1)
        for at_end in (False, True)
    )
    return any(persistence(*each) >= _MIN_SHARE for each in parts)


def persistence(old: Picture, new: Picture) -> float:
    """Return the share of the structure that persists in place, inside borders; 0 for pictures without."""
    rows, columns = _inside_borders(old.detail_HW, new.detail_HW)
    if min(rows.stop - rows.start, columns.stop - columns.start) < _WINDOW_PX:
        return 0.0
    area, _, share = _persisting(*(_structure(each.detail_HW[rows, columns]) for each in (old, new)))
    return share if area >= _MIN_AREA else 0.0


def same_slide(old: Picture, new: Picture) -> bool:
    """Return whether two frames that are far apart in time are one slide or one place.

    Slides share a ground, a heading or a frame. On a plain ground, any change makes another slide.
    """
    if min(_plain_share(each.detail_HW) for each in (old, new)) >= _MIN_PLAIN:
        changes = cv2.absdiff(old.detail_HW, new.detail_HW), cv2.absdiff(old.small_HWC, new.small_HWC)
        shares = [float((each > _SLIDE_CHANGE).mean()) for each in (changes[0], changes[1].max(axis=2))]
        return max(shares) <= _MAX_SLIDE_CHANGE
    old_HW, new_HW = _structure(old.detail_HW), _structure(new.detail_HW)
    _, common_area, share = _persisting(old_HW, new_HW)
    light = relighting(old.small_HWC, new.small_HWC)
    if share >= _MIN_SLIDE_SHARE and light.residual <= _MAX_RESIDUAL:
        return True
    correlation, down, across = _best_shift(old_HW, new_HW)
    return (
        common_area >= _MIN_MOVED_AREA
        and correlation >= _MIN_SLIDE_CORRELATION
        and _relit(old, new, down, across).residual <= _MAX_SLIDE_RESIDUAL
    )


def _plain_share(detail_HW: np.ndarray) -> float:
    """Return the share of the pixels of about the most frequent luma."""
    counts = np.bincount(detail_HW.ravel(), minlength=256)
    return float(np.convolve(counts, np.ones(2 * _SAME_LUMA + 1)).max() / detail_HW.size)


def _best_shift(old_HW: np.ndarray, new_HW: np.ndarray) -> tuple[float, int, int]:
    """Return the greatest correlation of the middle of one structure with the other, and the shift, px."""
    height, width = old_HW.shape
    down, across = round(_MAX_SHIFT * height), round(_MAX_SHIFT * width)
    found = cv2.matchTemplate(
        new_HW, old_HW[down : height - down, across : width - across], cv2.TM_CCOEFF_NORMED
    )
    _, correlation, _, (x, y) = cv2.minMaxLoc(found)
    return correlation, y - down, x - across


def _relit(old: Picture, new: Picture, down: int, across: int) -> Relighting:
    """Return what light explains where two pictures overlap, the old one shifted by pixels of its detail."""
    height, width = old.small_HWC.shape[:2]
    y, x = down * height / old.detail_HW.shape[0], across * width / old.detail_HW.shape[1]
    moved_HWC = cv2.warpAffine(
        old.small_HWC, np.array([[1, 0, x], [0, 1, y]]), (width, height), borderMode=cv2.BORDER_REPLICATE
    )
    inside = (
        slice(max(0, math.ceil(y)), height + min(0, math.floor(y))),
        slice(max(0, math.ceil(x)), width + min(0, math.floor(x))),
    )
    return relighting(moved_HWC[inside], new.small_HWC[inside])


def _is_inset(old_HWC: np.ndarray, new_HWC: np.ndarray) -> bool:
    """Return whether hardly more than one box changed."""
    change_HW = cv2.absdiff(old_HWC, new_HWC).max(axis=2)
    changed_HW = (change_HW > _UNCHANGED).astype(np.uint8)
    _, _, stats, _ = cv2.connectedComponentsWithStats(changed_HW, connectivity=4)
    if len(stats) < 2:
        return True
    x, y, width, height, area = stats[1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))].tolist()
    if width * height > _MAX_CHANGED_BOX * changed_HW.size or area < _MIN_FILLED * width * height:
        return False
    change_HW[y : y + height, x : x + width] = changed_HW[y : y + height, x : x + width] = 0
    rest = changed_HW.size - width * height
    return bool(changed_HW.sum() <= _MAX_BESIDE * rest and change_HW.sum() <= _MAX_CHANGE_BESIDE * rest)


def _beside_bands(old: Picture, new: Picture) -> Iterator[tuple[Picture, Picture]]:
    """Yield what two pictures show beside a band that changed, for each side that has one."""
    changed_HW = cv2.absdiff(old.small_HWC, new.small_HWC).max(axis=2) > _UNCHANGED
    for axis in (0, 1):
        lines = changed_HW.mean(axis=1 - axis) >= _MIN_BAND_CHANGE
        for at_end in (False, True):
            rest = np.flatnonzero(~(lines[::-1] if at_end else lines))
            band = int(rest[0]) if len(rest) else len(lines)
            if not 0 < band <= _MAX_BAND * len(lines):
                continue
            share = band / len(lines)
            yield _without_band(old, share, axis, at_end), _without_band(new, share, axis, at_end)


def _without_band(picture: Picture, share: float, axis: int, at_end: bool) -> Picture:
    """Return a picture without the lines at a side, and without the line beside them."""
    parts = []
    for each in picture:
        count = math.ceil(share * each.shape[axis]) + 1
        lines = slice(None, -count) if at_end else slice(count, None)
        parts.append(each[lines] if axis == 0 else each[:, lines])
    return Picture(*parts)


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


def _inside_borders(old_HW: np.ndarray, new_HW: np.ndarray) -> tuple[slice, slice]:
    """Return the rows and columns inside borders that both frames have, without the edge of the border."""
    low_HW, high_HW = np.minimum(old_HW, new_HW).astype(int), np.maximum(old_HW, new_HW).astype(int)
    rows, columns = (high_HW.max(axis=axis) - low_HW.min(axis=axis) > _PLAIN for axis in (1, 0))
    return _inside(rows), _inside(columns)


def _inside(varied_L: np.ndarray) -> slice:
    """Return the lines from the first to the last that vary, and more on both sides up to a window."""
    lines = np.flatnonzero(varied_L)
    if not len(lines):
        return slice(0, 0)
    first, last = int(lines[0]), int(lines[-1]) + 1
    first, last = first + 2 * (first > 0), last - 2 * (last < len(varied_L))
    more = max(0, _WINDOW_PX - (last - first) + 1) // 2
    return slice(max(0, first - more), min(len(varied_L), last + more))
