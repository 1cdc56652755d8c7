"""Features for shot detection: differences of each frame from those around it.

Frames are compared at 20 x 12 pixels, whatever their aspect ratio. Distances in time are in seconds, so
that the frame rate does not matter. A feature depends on frames within `CONTEXT_S` only, so that a long
video can be processed in pieces.

Legend: T frames, H height, W width, P pixels, C channels (RGB), B histogram bins, F features.
"""

from dataclasses import dataclass, fields

import cv2
import numpy as np

from pipeline.analyze.shots.mixture import BLOCK_FRAMES, HEIGHT_PX, WIDTH_PX, FrameSeries, mixture_features

NUM_NEIGHBOURS = 4
"""Differences of this many pairs of frames before and after each frame are features."""
OFFSETS_S = (0.08, 0.16, 0.3, 0.5, 0.8, 1.4, 2.4)
"""Frames at this distance before and after are compared with each other and with the frame between them."""
CONTEXT_S = 4.9
"""Features depend on no frame farther away than this."""
CONTEXT_FRAMES = 8
"""At low frame rates, features depend on at most this many frames before and after."""
_SHIFTS = tuple((dy, dx) for dy in (-1, 0, 1) for dx in (-2, -1, 0, 1, 2))
"""Camera motion between two frames, px, that shifted differences compensate."""
_LEVELS = 4
"""Histogram levels of each channel."""
NUM_FEATURES = 3 * (2 * NUM_NEIGHBOURS + 1) + 11 * len(OFFSETS_S) + 4


def downscale(rgb_HWC: np.ndarray) -> np.ndarray:
    """Scale a frame to 20 x 12 pixels, uint8."""
    return cv2.resize(rgb_HWC, (WIDTH_PX, HEIGHT_PX), interpolation=cv2.INTER_AREA)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class FrameStatistics:
    """What the features need of each of T consecutive frames, and of it and the one before."""

    frames_THWC: np.ndarray
    """float32, 0 to 1."""
    histogram_TB: np.ndarray
    variance_TC: np.ndarray
    plain_T: np.ndarray
    shifted_T: np.ndarray
    hist_T: np.ndarray
    """Difference of each frame from the one before: of pixels, compensated for the camera, of histograms."""

    def without(self, count: int) -> "FrameStatistics":
        """Return the statistics of all but the first frames; differences from those are kept."""
        return FrameStatistics(**{field.name: getattr(self, field.name)[count:] for field in fields(self)})


def statistics(small_THWC: np.ndarray, before: FrameStatistics | None = None) -> FrameStatistics:
    """Return the statistics of frames from `downscale`; `before` holds those of the first of them."""
    known = 0 if before is None else len(before.plain_T)
    context = 0 if before is None else 1
    new_THWC = small_THWC[known - context :]
    frames_THWC = new_THWC.astype(np.float32) / 255
    histogram_TB = _histograms(new_THWC)
    plain_T, shifted_T = _neighbour_differences(frames_THWC)
    hist_T = np.concatenate([[0.0], np.abs(np.diff(histogram_TB, axis=0)).sum(axis=1) / 2]).astype(np.float32)
    new = FrameStatistics(
        frames_THWC=frames_THWC,
        histogram_TB=histogram_TB,
        variance_TC=_variance(frames_THWC),
        plain_T=plain_T,
        shifted_T=shifted_T,
        hist_T=hist_T,
    )
    if before is None:
        return new
    new = new.without(context)
    joined = {
        field.name: np.concatenate([getattr(before, field.name), getattr(new, field.name)])
        for field in fields(new)
    }
    return FrameStatistics(**joined)


def features(
    small_THWC: np.ndarray,
    time_T: np.ndarray,
    first: int = 0,
    end: int | None = None,
    known: FrameStatistics | None = None,
) -> np.ndarray:
    """Return features_TF (float32, most of them 0 to 1) of consecutive frames.

    Args:
        small_THWC: uint8, from `downscale`.
        time_T: seconds, strictly increasing.
        first, end: return the features of frames `first` to `end - 1` only.
        known: `statistics(small_THWC)`, if they are.
    """
    targets = range(len(time_T))[first:end]
    selected = slice(targets.start, targets.stop)
    known = known or statistics(small_THWC)
    frames_THWC = known.frames_THWC
    by_neighbour = (known.plain_T, known.shifted_T, known.hist_T)
    columns = [_neighbour_window(values_T)[selected] for values_T in by_neighbour]
    series = FrameSeries(
        frames_THWC=frames_THWC,
        gray_THW=(frames_THWC.reshape(-1, 3) @ np.full(3, 1 / 3, np.float32)).reshape(frames_THWC.shape[:3]),
        variance_T=known.variance_TC.mean(axis=1),
        histogram_TB=known.histogram_TB,
        path_T=np.concatenate([[0.0], np.cumsum(known.shifted_T, dtype=np.float64)]),
        time_T=time_T,
    )
    columns += [mixture_features(series, offset_s, targets) for offset_s in OFFSETS_S]
    contrast_T = np.sqrt(known.variance_TC).mean(axis=1)
    brightness_T = frames_THWC.mean(axis=(1, 2, 3))
    step_T = np.gradient(time_T) if len(time_T) > 1 else np.full(1, 0.04)
    per_frame = [contrast_T, brightness_T, _local_minimum(contrast_T), np.minimum(step_T * 10, 2.0)]
    columns.append(np.stack(per_frame, axis=1)[selected])
    return np.concatenate(columns, axis=1).astype(np.float32)


def _neighbour_differences(frames_THWC: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean difference of each frame from the previous one: as is, and minimised over `_SHIFTS`."""
    num_frames = len(frames_THWC)
    plain_T, best_T = np.zeros(num_frames, np.float32), np.zeros(num_frames, np.float32)
    if num_frames < 2:
        return plain_T, best_T
    best_T[1:] = np.inf
    for start in range(0, num_frames - 1, BLOCK_FRAMES):
        block = slice(start, start + BLOCK_FRAMES)
        old, new = frames_THWC[:-1][block], frames_THWC[1:][block]
        plain, best = plain_T[1:][block], best_T[1:][block]
        for dy, dx in _SHIFTS:
            old_part = old[:, max(0, dy) : HEIGHT_PX + min(0, dy), max(0, dx) : WIDTH_PX + min(0, dx)]
            new_part = new[:, max(0, -dy) : HEIGHT_PX + min(0, -dy), max(0, -dx) : WIDTH_PX + min(0, -dx)]
            difference = old_part - new_part
            difference_T = np.abs(difference, out=difference).reshape(len(difference), -1).mean(axis=1)
            np.minimum(best, difference_T, out=best)
            if dy == dx == 0:
                plain[:] = difference_T
    return plain_T, best_T


def _neighbour_window(values_T: np.ndarray) -> np.ndarray:
    """Return the values from `NUM_NEIGHBOURS` before to `NUM_NEIGHBOURS` after each frame, zero-padded."""
    padded = np.pad(values_T, NUM_NEIGHBOURS)
    return np.lib.stride_tricks.sliding_window_view(padded, 2 * NUM_NEIGHBOURS + 1)


def _variance(frames_THWC: np.ndarray) -> np.ndarray:
    """Return the variance of each channel, variance_TC. Matrix products are faster than `np.var`."""
    frames_TPC = frames_THWC.reshape(len(frames_THWC), -1, 3)
    weight_P = np.full(frames_TPC.shape[1], 1 / frames_TPC.shape[1], np.float32)
    centred_TPC = frames_TPC - (weight_P @ frames_TPC)[:, None]
    return weight_P @ np.square(centred_TPC, out=centred_TPC)


def _histograms(small_THWC: np.ndarray) -> np.ndarray:
    """Return the normalised colour histogram of each frame, histogram_TB."""
    levels = (small_THWC.astype(np.int32) * _LEVELS) >> 8
    codes_TP = (levels[..., 0] * _LEVELS + levels[..., 1]) * _LEVELS + levels[..., 2]
    num_frames, bins = len(small_THWC), _LEVELS**3
    flat = codes_TP.reshape(num_frames, -1) + bins * np.arange(num_frames)[:, None]
    counts = np.bincount(flat.ravel(), minlength=num_frames * bins).reshape(num_frames, bins)
    return (counts / (WIDTH_PX * HEIGHT_PX)).astype(np.float32)


def _local_minimum(values_T: np.ndarray) -> np.ndarray:
    """Return the minimum over the frames up to two before and after each."""
    padded = np.pad(values_T, 2, mode="edge")
    return np.lib.stride_tricks.sliding_window_view(padded, 5).min(axis=1)
