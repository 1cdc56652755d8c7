"""Boundaries between shots from per-frame probabilities. Pure functions.

Legend: T frames.
"""

from dataclasses import dataclass

import numpy as np

MIN_CUT_DISTANCE = 2
"""Of hard cuts within this many frames, only the most probable counts."""
MAX_HOLE = 2
"""Holes of up to this many frames in a transition are filled."""
MIN_GRADUAL_S = 0.17
"""Shorter transitions are discarded."""
_SLOW_S, SLOW_SHARE, _MAX_SLOW_HOLE = 1.0, 0.3, 5
"""A transition of at least the first lasts while the probability is above the second share of the threshold,
with holes of up to the third, frames: at its ends hardly anything of the other shot can be seen."""
_MIN_SLOW_MEAN = 0.6
"""Mean probability from which on a slow transition needs only one frame above the threshold."""


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class Boundary:
    """A transition over frames `start` to `end - 1`. For a hard cut, both are the new shot's first frame."""

    start: int
    end: int


def find_boundaries(
    cut_T: np.ndarray, gradual_T: np.ndarray, time_T: np.ndarray, cut: float, transition: float
) -> list[Boundary]:
    """Return the boundaries in a video, in order.

    Args:
        cut_T: probability that a frame is the first after a hard cut.
        gradual_T: probability that a frame lies in a gradual transition.
        time_T: seconds.
        cut, transition: thresholds on the two probabilities.
    """
    num_frames = len(cut_T)
    gradual = [
        Boundary(start=start, end=end)
        for start, end in _gradual_runs(gradual_T, time_T, transition)
        if start > 0 and end < num_frames and time_T[end] - time_T[start] >= MIN_GRADUAL_S
    ]
    inside_T = np.zeros(num_frames + 1, bool)
    for span in gradual:
        inside_T[max(0, span.start - 1) : span.end + 1] = True
    cuts = [
        Boundary(start=index, end=index)
        for index in np.flatnonzero(cut_T > cut).tolist()
        if index
        and not inside_T[index]
        and cut_T[index] == cut_T[max(0, index - MIN_CUT_DISTANCE) : index + MIN_CUT_DISTANCE + 1].max()
    ]
    return sorted([*gradual, *cuts])


def _gradual_runs(gradual_T: np.ndarray, time_T: np.ndarray, transition: float) -> list[tuple[int, int]]:
    """Return the runs above the threshold as [start, end); those of a slow transition are one."""
    last = len(time_T) - 1

    def is_slow(start: int, end: int) -> bool:
        return time_T[min(end, last)] - time_T[start] >= _SLOW_S

    runs = true_runs(gradual_T > transition)
    slow = [
        (start, end)
        for start, end in true_runs(gradual_T > SLOW_SHARE * transition, _MAX_SLOW_HOLE)
        if is_slow(start, end)
        and start > 0
        and end <= last
        and any(
            start <= a < end and (is_slow(a, b) or gradual_T[start:end].mean() >= _MIN_SLOW_MEAN)
            for a, b in runs
        )
    ]
    return sorted([*slow, *(run for run in runs if not any(a <= run[0] < b for a, b in slow))])


def stable_prefix(event_T: np.ndarray, margin: int) -> int:
    """Return the length of the longest prefix that ends at least `margin` frames from every event.

    The boundaries of the prefix and of the rest, found separately, equal those of the whole.
    """
    events = np.flatnonzero(event_T)
    edges = np.concatenate([[-margin - 1], events, [len(event_T)]])
    wide = np.flatnonzero(np.diff(edges) > 2 * margin)
    return max(0, int(edges[wide[-1] + 1]) - margin) if len(wide) else 0


def true_runs(mask_T: np.ndarray, max_hole: int = MAX_HOLE) -> list[tuple[int, int]]:
    """Return the runs of True as [start, end), with holes of up to `max_hole` filled."""
    steps = np.flatnonzero(np.diff(np.concatenate([[False], mask_T, [False]]).astype(np.int8)))
    runs: list[tuple[int, int]] = []
    for start, end in zip(steps[::2].tolist(), steps[1::2].tolist(), strict=True):
        if runs and start - runs[-1][1] <= max_hole:
            runs[-1] = (runs[-1][0], end)
        else:
            runs.append((start, end))
    return runs
