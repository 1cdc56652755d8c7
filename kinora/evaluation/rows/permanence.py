"""Permanence: what is hidden comes back as it was, when and where it must.

The frames until the thing is hidden are given, so that its motion says when and where it comes back. Where
the camera turns away and back, nothing says when: those cases have a group of their own.

Legend: T frames, H height, W width, C channels (RGB).
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from kinora.evaluation.cases import Case, Outcome, Setup, Verdict, column, in_group, number
from kinora.evaluation.figures import Figure, share
from kinora.evaluation.rows.extend import flags, given, make, with_given
from kinora.evaluation.rows.shapes import render
from worlds import families
from worlds.family import AnyWorld
from worlds.occlusion.truth import OcclusionWorld, hidden_span, visible_T

__all__ = ["cases", "figures", "flags", "given", "judge", "make", "truth", "with_given"]

NAME = "permanence"
GOAL = 0.9
CHANCE = True
WALL, TURN = "behind a wall", "out of the frame"
JUDGED = ("returns", "timing", "hidden", "color", "shape", "direction")
truth = render


def cases(setup: Setup) -> list[Case]:
    """Return worlds that show the thing for at least two latent frames before it is hidden."""
    found: list[Case] = []
    for group, samples in ((WALL, setup.samples), (TURN, setup.few)):

        def fits(world: AnyWorld, group: str = group) -> bool:
            turns = isinstance(world, OcclusionWorld) and world.variant == "camera_out"
            return turns == (group == TURN) and _given(world, setup.time_factor) > 1

        worlds = setup.worlds_of_family("occlusion", samples, fits)
        found += [
            replace(case, given=_given(case.world, setup.time_factor))
            for case in number(NAME, group, worlds, setup.seed)
        ]
    return found


def _given(world: AnyWorld, time_factor: int) -> int:
    """Return how many frames are given: whole latent frames, before the thing is hidden."""
    if not isinstance(world, OcclusionWorld):
        raise TypeError(f"{world.family}: this row judges worlds of `occlusion`")
    hidden = hidden_span(visible_T(world))
    return 0 if hidden is None else 1 + (hidden[0] - 1) // time_factor * time_factor


def judge(case: Case, frames_THWC: np.ndarray) -> Verdict:
    """Return the verdict for each attribute, and whether the thing comes back as, when and where it must."""
    verdict = families.judge(frames_THWC, case.world.fps, case.world)
    return {"permanent": verdict["returns"] and verdict["timing"], **verdict}


def figures(outcomes: Sequence[Outcome]) -> list[Figure]:
    """Return the share behind walls that comes back, then each attribute; the same of cameras that turn."""
    found: list[Figure] = []
    for group, prefix in ((WALL, "permanence"), (TURN, "permanence_turn")):
        own = in_group(outcomes, group)
        found += [
            share(
                prefix if name == "permanent" else f"{prefix}_{name}",
                column(own, name),
                goal=0.9 if (name, group) == ("permanent", WALL) else None,
                chance=column(own, name, "chance"),
                ceiling=column(own, name, "ceiling"),
            )
            for name in ("permanent", *JUDGED)
        ]
    return found
