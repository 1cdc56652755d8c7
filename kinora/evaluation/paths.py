"""Compare the paths of things in videos of `shapes`.

Legend: T frames, H height, W width, C channels (RGB), N frames in which a thing is seen.
"""

from dataclasses import dataclass

import numpy as np

from worlds.shapes.judge import Verdict, compare
from worlds.shapes.measure import Measured, measure, measure_paths
from worlds.shapes.truth import Requirements, ThingRequirements

SAME_PATH = 0.12
"""Maximum mean distance of two paths that agree, in short sides: a third of a single thing."""


def path_distance(frames_THWC: np.ndarray, others_THWC: np.ndarray) -> float | None:
    """Return the mean distance of the largest thing's paths, in short sides; None where none is seen.

    The sizes of the frames may differ, if their aspect ratio does not; so may the numbers of frames, of which
    the common ones count. Distances are across wrapped edges.
    """
    first, second = measure_paths(frames_THWC), measure_paths(others_THWC)
    if not first or not second:
        return None
    common = np.intersect1d(first[0][:, 0], second[0][:, 0])
    if not len(common):
        return None
    at = [path_N3[np.isin(path_N3[:, 0], common), 1:] for path_N3 in (first[0], second[0])]
    height, width = frames_THWC.shape[1:3]
    extent_2 = np.array([width, height]) / min(width, height)
    apart_N2 = (at[0] - at[1] + extent_2 / 2) % extent_2 - extent_2 / 2
    return float(np.hypot(*apart_N2.T).mean())


def same_path(frames_THWC: np.ndarray, others_THWC: np.ndarray) -> bool:
    """Return whether the largest thing of two videos takes the same path."""
    distance = path_distance(frames_THWC, others_THWC)
    return distance is not None and distance <= SAME_PATH


@dataclass(frozen=True, kw_only=True, slots=True)
class Identity:
    """What must not change where a video goes on."""

    things: bool
    """Whether each thing has its colour and shape, together, and none is added or lost."""
    background: bool

    @property
    def kept(self) -> bool:
        return self.things and self.background


def identity(frames_THWC: np.ndarray, fps: float, expected: Requirements) -> Identity:
    """Return whether a part of a video shows the expected things, wherever they are and move."""
    verdict = compare(measure(frames_THWC, fps), requirements_without_motion(expected))
    bound = verdict.binding if len(expected.things) > 1 else bool(verdict.color) and bool(verdict.shape)
    return Identity(things=bool(bound) and bool(verdict.count), background=bool(verdict.background))


def requirements_without_motion(expected: Requirements) -> Requirements:
    """Return the same for things that may be anywhere and move anyhow, with their number."""
    things = tuple(ThingRequirements(color=thing.color, shape=thing.shape) for thing in expected.things)
    return Requirements(things=things, background=expected.background, count=len(things))


def requirements_of_measured(measured: Measured) -> Requirements:
    """Return what a video must show to agree with a measured one, as far as that could be measured."""
    things = tuple(
        ThingRequirements(color=t.color, shape=t.shape, direction=t.direction, speed=t.speed)
        for t in measured.things
    )
    return Requirements(things=things, background=measured.background, count=measured.count)


def agreement(frames_THWC: np.ndarray, others_THWC: np.ndarray, fps: float) -> Verdict:
    """Return, for each attribute, whether a video shows what another one shows."""
    return compare(measure(frames_THWC, fps), requirements_of_measured(measure(others_THWC, fps)))
