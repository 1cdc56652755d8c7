"""Measure how smoothly a video goes on, how it loops, and how much of what was given it keeps.

Each function takes frames_THWC (RGB, uint8) alone. A jump is the mean absolute difference of two frames, from
0 to 255.

Legend: T frames, H height, W width, C channels (RGB).
"""

from collections.abc import Collection

import cv2
import numpy as np

from worlds.color_lookup import to_lab

NOISE = 0.1
"""Jump that is added to both sides of a ratio, so that videos in which nothing moves have a ratio of 1: what
one level of noise in a tenth of the pixels amounts to."""
DOUBLED = 0.25
"""Frames doubled: their jump is below this share of the median."""
MOVES = 3 * NOISE
"""Minimum median jump of a video in which something moves."""
BEST_PSNR_DB = 100.0
"""PSNR of equal frames."""


def jumps_T(frames_THWC: np.ndarray) -> np.ndarray:
    """Return the jump from each frame to the next (T - 1 values)."""
    frames_THWC = frames_THWC.astype(np.int16)
    return np.array([np.abs(frames_THWC[t] - frames_THWC[t - 1]).mean() for t in range(1, len(frames_THWC))])


def jump_ratio(frames_THWC: np.ndarray, joins: Collection[int]) -> float:
    """Return the largest jump at the joins over the median jump elsewhere: 1 for a perfect continuation.

    Args:
        joins: index of the first frame after each join.

    Raises:
        ValueError: if a join is not inside of the video, or there is no jump elsewhere.
    """
    if not joins or not all(0 < join < len(frames_THWC) for join in joins):
        raise ValueError(f"joins {sorted(joins)}: expected indices from 1 to {len(frames_THWC) - 1}")
    jump_T = jumps_T(frames_THWC)
    inside_T = np.delete(jump_T, [join - 1 for join in joins])
    if not len(inside_T):
        raise ValueError(f"{len(frames_THWC)} frames have no jump but the joins: give longer videos")
    return float((jump_T[[join - 1 for join in joins]].max() + NOISE) / (np.median(inside_T) + NOISE))


def loop_ratio(frames_THWC: np.ndarray, rounds: int = 3) -> float:
    """Return the jump from the last frame to the first over the median jump, in a loop of several rounds."""
    joins = [turn * len(frames_THWC) for turn in range(1, rounds)]
    return jump_ratio(np.concatenate([frames_THWC] * rounds), joins)


def doubled_frames(frames_THWC: np.ndarray) -> list[int]:
    """Return each frame of a loop that is the same as the one before it; 0 for one that equals the last.

    A loop in which nothing moves has none.
    """
    around_T = jumps_T(np.concatenate([frames_THWC[-1:], frames_THWC]))
    median = float(np.median(around_T))
    return [] if median < MOVES else np.flatnonzero(around_T < DOUBLED * median).tolist()


def there_and_back(frames_THWC: np.ndarray) -> float:
    """Return how far a loop is from running there and back: 0 if it does, about 1 if it does not.

    The mean difference of a loop from the same loop in reverse, at the best offset, over the mean difference
    of any two of its frames; 1 for a loop in which nothing moves.
    """
    small_TP = np.stack(
        [cv2.resize(frame, (16, 16), interpolation=cv2.INTER_AREA).ravel() for frame in frames_THWC]
    ).astype(np.float32)
    apart_TT = np.abs(small_TP[:, None] - small_TP[None]).mean(axis=-1)
    count = len(frames_THWC)
    any_two = float(apart_TT[~np.eye(count, dtype=bool)].mean()) if count > 1 else 0.0
    if any_two < NOISE:
        return 1.0
    index_T = np.arange(count)
    reversed_S = [apart_TT[index_T, (offset - index_T) % count].mean() for offset in range(count)]
    return float(min(reversed_S)) / any_two


def moves(frames_THWC: np.ndarray) -> bool:
    """Return whether something moves in most frames."""
    return len(frames_THWC) > 1 and float(np.median(jumps_T(frames_THWC))) >= MOVES


def psnr_db(frames: np.ndarray, expected: np.ndarray) -> float:
    """Return the peak signal-to-noise ratio of equally large frames (uint8), in decibels.

    Raises:
        ValueError: for frames of another shape.
    """
    if frames.shape != expected.shape:
        raise ValueError(f"frames are {frames.shape}, not {expected.shape} as what they are compared with")
    error = float(np.square(frames.astype(np.float64) - expected).mean())
    return BEST_PSNR_DB if error == 0 else min(BEST_PSNR_DB, 10 * float(np.log10(255**2 / error)))


def background_distance(first_THWC: np.ndarray, second_THWC: np.ndarray) -> float:
    """Return the CIELAB distance of the backgrounds (median pixels) of two parts of a video."""
    first_L, second_L = (
        np.median(to_lab(frames_THWC).reshape(-1, 3), axis=0) for frames_THWC in (first_THWC, second_THWC)
    )
    return float(np.linalg.norm(first_L - second_L))
