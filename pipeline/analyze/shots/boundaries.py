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
        for start, end in true_runs(gradual_T > transition)
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


def stable_prefix(cut_T: np.ndarray, gradual_T: np.ndarray, cut: float, transition: float) -> int:
    """Return the length of the longest prefix whose boundaries no later frame can change.

    `find_boundaries` of the prefix and of the rest together equal those of the whole. Arguments are the same.
    """
    margin = max(MIN_CUT_DISTANCE, MAX_HOLE + 1)
    events_T = np.flatnonzero((cut_T > cut) | (gradual_T > transition))
    edges = np.concatenate([[-margin - 1], events_T, [len(cut_T)]])
    wide = np.flatnonzero(np.diff(edges) > 2 * margin)
    return max(0, int(edges[wide[-1] + 1]) - margin) if len(wide) else 0


def true_runs(mask_T: np.ndarray) -> list[tuple[int, int]]:
    """Return the runs of True as [start, end), with holes of up to `MAX_HOLE` filled."""
    steps = np.flatnonzero(np.diff(np.concatenate([[False], mask_T, [False]]).astype(np.int8)))
    runs: list[tuple[int, int]] = []
    for start, end in zip(steps[::2].tolist(), steps[1::2].tolist(), strict=True):
        if runs and start - runs[-1][1] <= MAX_HOLE:
            runs[-1] = (runs[-1][0], end)
        else:
            runs.append((start, end))
    return runs
