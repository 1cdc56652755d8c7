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
_SLOW_S, SLOW_SHARE = 1.0, 0.3
"""A transition of at least the first goes on where the probability is above the second share of the
threshold: at the ends of a slow dissolve, hardly anything of the other shot can be seen."""

_MAX_SLOW_HOLE, _MIN_SLOW_MEAN = 5, 0.6
"""A slow transition of which the network is sure in parts only: its longest hole, in frames, and its least
mean probability."""


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
    wide = true_runs(gradual_T > SLOW_SHARE * transition)
    gradual = [
        Boundary(start=start, end=end)
        for start, end in _widened(true_runs(gradual_T > transition), wide, time_T)
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


def _widened(
    runs: list[tuple[int, int]], wide: list[tuple[int, int]], time_T: np.ndarray
) -> list[tuple[int, int]]:
    """Replace each slow run, [start, end), by the one of `wide` that contains it."""
    last = len(time_T) - 1
    widened: list[tuple[int, int]] = []
    for start, end in runs:
        if time_T[min(end, last)] - time_T[start] >= _SLOW_S:
            start, end = next((a, b) for a, b in wide if a <= start and end <= b)
        if not widened or start >= widened[-1][1]:
            widened.append((start, end))
    return widened


def slow_candidates(gradual_T: np.ndarray, time_T: np.ndarray, transition: float) -> list[Boundary]:
    """Return where a slow transition may be of which the network is sure in parts only, in order."""
    num_frames = len(gradual_T)
    return [
        Boundary(start=start, end=end)
        for start, end in true_runs(gradual_T > SLOW_SHARE * transition, _MAX_SLOW_HOLE)
        if start > 0
        and end < num_frames
        and time_T[end] - time_T[start] >= _SLOW_S
        and gradual_T[start:end].max() > transition
        and gradual_T[start:end].mean() >= _MIN_SLOW_MEAN
    ]


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
