"""Which frames a captioner shows its model: pure functions of their times."""

from collections.abc import Sequence

import numpy as np


def sample_uniform(num_frames: int, count: int) -> tuple[int, ...]:
    """Return at most `count` different indices, evenly spread from the first frame to the last."""
    count = min(count, num_frames)
    return tuple(round(i) for i in np.linspace(0, num_frames - 1, count).tolist())


def sample_at_fps(times_s: Sequence[float], rate_hz: float, count: int) -> tuple[int, ...]:
    """Return `count` indices of the frames shown at 0, 1/rate, 2/rate, ... seconds after the first.

    Past the end the last frame is repeated, so that the time between two frames shown always means the same
    and a speed can be seen.
    """
    times_T = np.asarray(times_s, float)
    wanted_K = times_T[0] + np.arange(count) / rate_hz
    shown_K = np.searchsorted(times_T, wanted_K + 1e-6, side="right") - 1
    return tuple(int(k) for k in np.clip(shown_K, 0, len(times_T) - 1))


def largest_gap_s(times_s: Sequence[float], until_s: float) -> float:
    """Return the longest time between neighbouring frames in the first `until_s` seconds; 0 for one frame."""
    times_T = np.asarray(times_s, float)
    gaps = np.diff(times_T)[times_T[:-1] - times_T[0] < until_s]
    return float(gaps.max()) if len(gaps) else 0.0
