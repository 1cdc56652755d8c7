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
_BLOCK = 64
"""Frames that are compared at once."""
NUM_FEATURES = 3 * (2 * NEAR + 1) + 11 * len(SPANS_S) + 4


def downscale(rgb_HWC: np.ndarray) -> np.ndarray:
    """Return the small picture of a frame, uint8."""
    return cv2.resize(rgb_HWC, (WIDTH_PX, HEIGHT_PX), interpolation=cv2.INTER_AREA)


def features(
    small_THWC: np.ndarray, time_T: np.ndarray, first: int = 0, end: int | None = None
) -> np.ndarray:
    """Return features_TF (float32, most of them from 0 to 1) of frames that follow each other.

    Args:
        small_THWC: uint8, from `small`.
        time_T: seconds, strictly increasing.
        first, end: only those of the frames `first` to `end - 1`.
    """
    wanted = range(len(time_T))[first:end]
    frames_THWC = small_THWC.astype(np.float32) / 255
    histogram_TB = _histograms(small_THWC)
    plain_T, shifted_T = _neighbours(frames_THWC)
    hist_T = np.concatenate([[0.0], np.abs(np.diff(histogram_TB, axis=0)).sum(axis=1) / 2]).astype(np.float32)
    some = slice(wanted.start, wanted.stop)
    columns = [_around(values_T)[some] for values_T in (plain_T, shifted_T, hist_T)]
    moved_T = np.concatenate([[0.0], np.cumsum(shifted_T, dtype=np.float64)])
    contrast_TC = _contrast(frames_THWC)
    gray_THW = (frames_THWC.reshape(-1, 3) @ np.full(3, 1 / 3, np.float32)).reshape(frames_THWC.shape[:3])
    columns += [
        _across(
            frames_THWC, gray_THW, contrast_TC.mean(axis=1), histogram_TB, moved_T, time_T, span_s, wanted
        )
        for span_s in SPANS_S
    ]
    spread_T = np.sqrt(contrast_TC).mean(axis=1)
    light_T = frames_THWC.mean(axis=(1, 2, 3))
    step_T = np.gradient(time_T) if len(time_T) > 1 else np.full(1, 0.04)
    of_one = np.stack([spread_T, light_T, _least(spread_T), np.minimum(step_T * 10, 2.0)], axis=1)
    columns.append(of_one[some])
    return np.concatenate(columns, axis=1).astype(np.float32)


def _neighbours(frames_THWC: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return how each frame differs from the one before: as it stands, and after the best small shift."""
    num_frames = len(frames_THWC)
    plain_T, best_T = np.zeros(num_frames, np.float32), np.zeros(num_frames, np.float32)
    if num_frames < 2:
        return plain_T, best_T
    best_T[1:] = np.inf
    for some in _blocks(num_frames - 1):
        old, new = frames_THWC[:-1][some], frames_THWC[1:][some]
        plain, best = plain_T[1:][some], best_T[1:][some]
        for dy, dx in _SHIFTS:
            there = old[:, max(0, dy) : HEIGHT_PX + min(0, dy), max(0, dx) : WIDTH_PX + min(0, dx)]
            here = new[:, max(0, -dy) : HEIGHT_PX + min(0, -dy), max(0, -dx) : WIDTH_PX + min(0, -dx)]
            difference = there - here
            difference_T = np.abs(difference, out=difference).reshape(len(difference), -1).mean(axis=1)
            np.minimum(best, difference_T, out=best)
            if dy == dx == 0:
                plain[:] = difference_T
    return plain_T, best_T


def _around(values_T: np.ndarray) -> np.ndarray:
    """Return the values of the pairs before and after each frame, side by side."""
    padded = np.pad(values_T, NEAR)
    return np.lib.stride_tricks.sliding_window_view(padded, 2 * NEAR + 1)


def _across(
    frames_THWC: np.ndarray,
    gray_THW: np.ndarray,
    contrast_T: np.ndarray,
    histogram_TB: np.ndarray,
    moved_T: np.ndarray,
    time_T: np.ndarray,
    span_s: float,
    wanted: range,
) -> np.ndarray:
    """Compare what is shown `span_s` before each wanted frame with what is shown as long after it.

    In a dissolve or a fade, what lies between is a mixture of both; where something moves, it is not.
    """
    last = len(time_T) - 1
    index_T = np.array(wanted, int)
    now_T = time_T[index_T]
    before_T = np.minimum(np.searchsorted(time_T, now_T - span_s - 1e-6), np.maximum(index_T - 1, 0))
    after_T = np.maximum(np.searchsorted(time_T, now_T + span_s + 1e-6) - 1, np.minimum(index_T + 1, last))
    far_before_T = np.minimum(np.searchsorted(time_T, now_T - 2 * span_s - 1e-6), before_T)
    far_after_T = np.maximum(np.searchsorted(time_T, now_T + 2 * span_s + 1e-6) - 1, after_T)
    mixed = [
        _mixture(frames_THWC, gray_THW, index_T[some], before_T[some], after_T[some])
        for some in _blocks(len(index_T))
    ]
    apart_T, to_old_T, to_new_T, rest_T, share_T, camera_T = map(np.concatenate, zip(*mixed, strict=True))
    hist_T = np.abs(histogram_TB[after_T] - histogram_TB[before_T]).sum(axis=1) / 2
    dip_T = contrast_T[index_T] / ((contrast_T[before_T] + contrast_T[after_T]) / 2 + 1e-3)
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
        np.minimum(dip_T, 2.0),
        camera_T,
        np.minimum(inside_T, 2.0),
        np.minimum(outside_T, 2.0),
    )
    return np.stack(columns, axis=1)


def _blocks(num_frames: int) -> list[slice]:
    """Divide frames into runs so short that what is made of one stays in the processor's cache."""
    return [slice(start, start + _BLOCK) for start in range(0, num_frames, _BLOCK)]


def _mixture(
    frames_THWC: np.ndarray,
    gray_THW: np.ndarray,
    now_T: np.ndarray,
    before_T: np.ndarray,
    after_T: np.ndarray,
) -> tuple[np.ndarray, ...]:
    """Say of some frames how far from what is before and after they are, and from any mixture of both."""
    old, new, now = (frames_THWC[at_T].reshape(len(at_T), -1) for at_T in (before_T, after_T, now_T))
    way, gone = new - old, now - old
    length_T = np.vecdot(way, way) + 1e-4
    share_T = np.clip(np.vecdot(gone, way) / length_T, 0, 1)
    rest = gone - share_T[:, None] * way
    distances = (np.abs(each, out=each).mean(axis=1) for each in (way, gone, now - new, rest))
    return *distances, share_T, unexplained(gray_THW[before_T], gray_THW[after_T])


def unexplained(old_THW: np.ndarray, new_THW: np.ndarray) -> np.ndarray:
    """Return which share of the difference of two grey pictures no small move of the camera explains, 0 to 1.

    A pan, a tilt and a zoom that are small change a picture along its own slopes (Lucas and Kanade, 1981); so
    does a change of light along its own values. A dissolve does neither: it brings in what was not there.
    """
    mean_THW = (old_THW + new_THW) / 2
    down_THW, right_THW = np.gradient(mean_THW, axis=(1, 2))
    y_H1 = np.linspace(-1, 1, HEIGHT_PX, dtype=np.float32)[:, None]
    x_W = np.linspace(-1, 1, WIDTH_PX, dtype=np.float32)
    zoom_THW = x_W * right_THW * (WIDTH_PX / HEIGHT_PX) + y_H1 * down_THW
    ways = (right_THW, down_THW, zoom_THW, mean_THW, np.ones_like(mean_THW))
    num_frames = len(mean_THW)
    ways_TKP = np.stack([way.reshape(num_frames, -1) for way in ways], axis=1)
    change_TP = (new_THW - old_THW).reshape(num_frames, -1)
    normal_TKK = ways_TKP @ ways_TKP.transpose(0, 2, 1) + 1e-3 * np.eye(len(ways), dtype=np.float32)
    best_TK1 = np.linalg.solve(normal_TKK, ways_TKP @ change_TP[:, :, None])
    rest_TP = change_TP - (best_TK1.transpose(0, 2, 1) @ ways_TKP)[:, 0]
    return np.vecdot(rest_TP, rest_TP) / (np.vecdot(change_TP, change_TP) + 1e-2)


def _contrast(frames_THWC: np.ndarray) -> np.ndarray:
    """Return the variance of each channel, contrast_TC: sums as products, which are faster than `var`."""
    frames_TPC = frames_THWC.reshape(len(frames_THWC), -1, 3)
    share_P = np.full(frames_TPC.shape[1], 1 / frames_TPC.shape[1], np.float32)
    away_TPC = frames_TPC - (share_P @ frames_TPC)[:, None]
    return share_P @ np.square(away_TPC, out=away_TPC)


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
