"""Frame sampling for captioners; pure functions of frame times."""

from collections.abc import Sequence

import numpy as np


def sample_uniform(num_frames: int, count: int) -> tuple[int, ...]:
    """Return up to `count` distinct indices, evenly spaced from first to last; of 1, the middle."""
    count = min(count, num_frames)
    if count == 1:
        return (num_frames // 2,)
    return tuple(round(i) for i in np.linspace(0, num_frames - 1, count).tolist())


def sample_at_fps(times_s: Sequence[float], fps: float, count: int) -> tuple[int, ...]:
    """Return the indices of the frames at 0, 1/fps, 2/fps, ... seconds after the first.

    Always returns `count` indices: past the end the last frame is repeated, so that the interval stays fixed.
    """
    times_T = np.asarray(times_s, float)
    target_K = times_T[0] + np.arange(count) / fps
    index_K = np.searchsorted(times_T, target_K + 1e-6, side="right") - 1
    return tuple(int(k) for k in np.clip(index_K, 0, len(times_T) - 1))


def largest_gap_s(times_s: Sequence[float], until_s: float) -> float:
    """Return the longest interval between consecutive frames in the first `until_s` seconds."""
    times_T = np.asarray(times_s, float)
    gaps = np.diff(times_T)[times_T[:-1] - times_T[0] < until_s]
    return float(gaps.max()) if len(gaps) else 0.0
