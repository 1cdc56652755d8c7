"""What a shot detector looks at: for each frame, how it differs from those around it, near and far in time.

Frames are compared as small pictures, 20 x 12 pixels, whose shape does not follow the frame's: a cut is a
cut at any aspect ratio. Distances in time are in seconds, so that 12, 60 and an uneven number of frames a
second give the same. Everything is a function of the frames within `REACH_S`, so a long video is seen piece
by piece.

Legend: T frames, H height, W width, C channels (RGB), S shifts, F features.
"""

import cv2
import numpy as np

WIDTH_PX, HEIGHT_PX = 20, 12
NEAR = 4
"""The differences between neighbours are given for so many pairs before and after."""
SPANS_S = (0.08, 0.16, 0.3, 0.5, 0.8)
"""Frames so far before and after are compared with each other, and with what lies between them."""
REACH_S = 1.7
"""No feature depends on a frame that is farther away than this."""
REACH_FRAMES = 8
"""Nor, where frames are few, on more than so many frames before and after."""
_SHIFTS = tuple((dy, dx) for dy in (-1, 0, 1) for dx in (-2, -1, 0, 1, 2))
"""A camera that moves by so much between two frames makes no difference, in pixels of the small picture."""
_LEVELS = 4
"""Of each channel, in the histograms."""
NUM_FEATURES = 3 * (2 * NEAR + 1) + 9 * len(SPANS_S) + 4


def small(rgb_HWC: np.ndarray) -> np.ndarray:
    """Return the small picture of a frame, uint8."""
    return cv2.resize(rgb_HWC, (WIDTH_PX, HEIGHT_PX), interpolation=cv2.INTER_AREA)


def features(small_THWC: np.ndarray, time_T: np.ndarray) -> np.ndarray:
    """Return features_TF (float32, most of them from 0 to 1) of frames that follow each other.

    Args:
        small_THWC: uint8, from `small`.
        time_T: seconds, strictly increasing.
    """
    frames_THWC = small_THWC.astype(np.float32) / 255
    histogram_TB = _histograms(small_THWC)
    plain_T, shifted_T = _neighbours(frames_THWC)
    hist_T = np.concatenate([[0.0], np.abs(np.diff(histogram_TB, axis=0)).sum(axis=1) / 2]).astype(np.float32)
    columns = [_around(values_T) for values_T in (plain_T, shifted_T, hist_T)]
    moved_T = np.concatenate([[0.0], np.cumsum(shifted_T)])
    columns += [_across(frames_THWC, histogram_TB, moved_T, time_T, span_s) for span_s in SPANS_S]
    spread_T = frames_THWC.std(axis=(1, 2)).mean(axis=1)
    light_T = frames_THWC.mean(axis=(1, 2, 3))
    step_T = np.gradient(time_T) if len(time_T) > 1 else np.full(1, 0.04)
    columns.append(np.stack([spread_T, light_T, _least(spread_T), np.minimum(step_T * 10, 2.0)], axis=1))
    return np.concatenate(columns, axis=1).astype(np.float32)


def _neighbours(frames_THWC: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return how each frame differs from the one before: as it stands, and after the best small shift."""
    num_frames = len(frames_THWC)
    plain_T, best_T = np.zeros(num_frames, np.float32), np.zeros(num_frames, np.float32)
    if num_frames < 2:
        return plain_T, best_T
    old, new = frames_THWC[:-1], frames_THWC[1:]
    best_T[1:] = np.inf
    for dy, dx in _SHIFTS:
        there = old[:, max(0, dy) : HEIGHT_PX + min(0, dy), max(0, dx) : WIDTH_PX + min(0, dx)]
        here = new[:, max(0, -dy) : HEIGHT_PX + min(0, -dy), max(0, -dx) : WIDTH_PX + min(0, -dx)]
        difference_T = np.abs(there - here).mean(axis=(1, 2, 3))
        best_T[1:] = np.minimum(best_T[1:], difference_T)
        if dy == dx == 0:
            plain_T[1:] = difference_T
    return plain_T, best_T


def _around(values_T: np.ndarray) -> np.ndarray:
    """Return the values of the pairs before and after each frame, side by side."""
    padded = np.pad(values_T, NEAR)
    return np.lib.stride_tricks.sliding_window_view(padded, 2 * NEAR + 1)


def _across(
    frames_THWC: np.ndarray, histogram_TB: np.ndarray, moved_T: np.ndarray, time_T: np.ndarray, span_s: float
) -> np.ndarray:
    """Compare what is shown `span_s` before each frame with what is shown as long after it.

    In a dissolve or a fade, what lies between is a mixture of both; where something moves, it is not.
    """
    last = len(time_T) - 1
    index_T = np.arange(last + 1)
    before_T = np.minimum(np.searchsorted(time_T, time_T - span_s - 1e-6), np.maximum(index_T - 1, 0))
    after_T = np.maximum(np.searchsorted(time_T, time_T + span_s + 1e-6) - 1, np.minimum(index_T + 1, last))
    far_before_T = np.minimum(np.searchsorted(time_T, time_T - 2 * span_s - 1e-6), before_T)
    far_after_T = np.maximum(np.searchsorted(time_T, time_T + 2 * span_s + 1e-6) - 1, after_T)
    old, new, now = frames_THWC[before_T], frames_THWC[after_T], frames_THWC
    apart_T = np.abs(new - old).mean(axis=(1, 2, 3))
    to_old_T = np.abs(now - old).mean(axis=(1, 2, 3))
    to_new_T = np.abs(now - new).mean(axis=(1, 2, 3))
    way = new - old
    length_T = np.square(way).sum(axis=(1, 2, 3)) + 1e-4
    share_T = np.clip(((now - old) * way).sum(axis=(1, 2, 3)) / length_T, 0, 1)
    rest_T = np.abs(now - old - share_T[:, None, None, None] * way).mean(axis=(1, 2, 3))
    hist_T = np.abs(histogram_TB[after_T] - histogram_TB[before_T]).sum(axis=1) / 2
    inside_T = moved_T[after_T + 1] - moved_T[before_T + 1]
    outside_T = (moved_T[before_T + 1] - moved_T[far_before_T + 1]) + (
        moved_T[far_after_T + 1] - moved_T[after_T + 1]
    )
    columns = (
        apart_T,
        to_old_T,
        to_new_T,
        rest_T,
        rest_T / (apart_T + 0.02),
        share_T,
        hist_T,
        np.minimum(inside_T, 2.0),
        np.minimum(outside_T, 2.0),
    )
    return np.stack(columns, axis=1)


def _histograms(small_THWC: np.ndarray) -> np.ndarray:
    """Return the share of pixels of each coarse colour, histogram_TB."""
    levels = (small_THWC.astype(np.int32) * _LEVELS) >> 8
    codes_TP = (levels[..., 0] * _LEVELS + levels[..., 1]) * _LEVELS + levels[..., 2]
    num_frames, bins = len(small_THWC), _LEVELS**3
    flat = codes_TP.reshape(num_frames, -1) + bins * np.arange(num_frames)[:, None]
    counts = np.bincount(flat.ravel(), minlength=num_frames * bins).reshape(num_frames, bins)
    return (counts / (WIDTH_PX * HEIGHT_PX)).astype(np.float32)


def _least(values_T: np.ndarray) -> np.ndarray:
    """Return the least value within two frames of each."""
    padded = np.pad(values_T, 2, mode="edge")
    return np.lib.stride_tricks.sliding_window_view(padded, 5).min(axis=1)
