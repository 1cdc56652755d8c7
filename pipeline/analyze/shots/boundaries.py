"""Where one shot gives way to the next: the decision, apart from what it is made on. Pure functions."""

from dataclasses import dataclass

import numpy as np

APART = 2
"""Two hard cuts are farther apart than so many frames; of closer ones the likelier counts."""
CLOSES = 2
"""A hole of so many frames in a transition is none."""
LEAST_GRADUAL_S = 0.17
"""A shorter transition is none."""


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class Boundary:
    """Frames `start` to `end - 1` show neither shot alone. A hard cut has none: the new shot begins."""

    start: int
    end: int


def decide(
    cut_T: np.ndarray, gradual_T: np.ndarray, time_T: np.ndarray, cut: float, transition: float
) -> list[Boundary]:
    """Return the boundaries in a video, in order.

    Args:
        cut_T: how likely each frame is the first after a hard cut, 0 to 1.
        gradual_T: how likely each frame lies in a gradual transition.
        time_T: seconds.
        cut, transition: from which on either is likely enough.
    """
    num_frames = len(cut_T)
    spans = [
        Boundary(start=start, end=end)
        for start, end in runs(gradual_T > transition)
        if time_T[min(end, num_frames - 1)] - time_T[start] >= LEAST_GRADUAL_S and end < num_frames
    ]
    spans = [span for span in spans if span.start > 0]
    inside_T = np.zeros(num_frames + 1, bool)
    for span in spans:
        inside_T[max(0, span.start - 1) : span.end + 1] = True
    cuts = [
        Boundary(start=index, end=index)
        for index in np.flatnonzero(cut_T > cut).tolist()
        if index
        and not inside_T[index]
        and cut_T[index] == cut_T[max(0, index - APART) : index + APART + 1].max()
    ]
    return sorted([*spans, *cuts])


def settled(cut_T: np.ndarray, gradual_T: np.ndarray, cut: float, transition: float) -> int:
    """Return the last frame such that what `decide` finds before it and from it on depends on nothing beyond
    it; 0 if there is none. Arguments are those of `decide`, of a video as far as it is known."""
    reach = max(APART, CLOSES + 1)
    events_T = np.flatnonzero((cut_T > cut) | (gradual_T > transition))
    edges = np.concatenate([[-reach - 1], events_T, [len(cut_T)]])
    wide = np.flatnonzero(np.diff(edges) > 2 * reach)
    return max(0, int(edges[wide[-1] + 1]) - reach) if len(wide) else 0


def runs(mask_T: np.ndarray) -> list[tuple[int, int]]:
    """Return [start, end) of the runs of True, small holes closed."""
    steps = np.flatnonzero(np.diff(np.concatenate([[False], mask_T, [False]]).astype(np.int8)))
    found = list(zip(steps[::2].tolist(), steps[1::2].tolist(), strict=True))
    joined: list[tuple[int, int]] = []
    for start, end in found:
        if joined and start - joined[-1][1] <= CLOSES:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    return joined
