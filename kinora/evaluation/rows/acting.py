"""Acting on the world: strokes and bites are made while the video runs, and stay to its end.

Legend: T frames, H height, W width, C channels (RGB).
"""

from collections.abc import Sequence

import numpy as np

from kinora.evaluation.cases import Case, Outcome, Setup, Verdict, column, in_group, number
from kinora.evaluation.figures import Figure, share
from kinora.evaluation.rows.shapes import as_it_is, make_from_text, nothing_given, render, size_flags
from worlds.canvas.judge import compare, measure_canvas
from worlds.canvas.truth import CanvasWorld
from worlds.family import AnyWorld

NAME = "acting"
GOAL = 0.95
CHANCE = True
STROKES, BITES = "strokes", "bites"
make, truth, with_given, given, flags = make_from_text, render, as_it_is, nothing_given, size_flags


def cases(setup: Setup) -> list[Case]:
    """Return worlds of strokes, and as many of bites."""
    found: list[Case] = []
    for group in (STROKES, BITES):

        def fits(world: AnyWorld, group: str = group) -> bool:
            return (_canvas(world).food is None) == (group == STROKES)

        worlds = setup.worlds_of_family("canvas", setup.samples, fits)
        found += number(NAME, group, worlds, setup.seed)
    return found


def _canvas(world: AnyWorld) -> CanvasWorld:
    if not isinstance(world, CanvasWorld):
        raise TypeError(f"{world.family}: this row judges worlds of `canvas`")
    return world


def judge(case: Case, frames_THWC: np.ndarray) -> Verdict:
    """Return whether something is painted or bitten and stays, and whether it is what the prompt says.

    Paint that is there from the first frame on was not made.
    """
    world, measured = _canvas(case.world), measure_canvas(frames_THWC)
    verdict = compare(measured, world)
    grows = world.food is not None or all(stroke.direction is not None for stroke in measured.strokes)
    stays = verdict["stays"] and grows
    return {**verdict, "stays": stays, "done": stays and all(verdict.values())}


def figures(outcomes: Sequence[Outcome]) -> list[Figure]:
    """Return the share that stays, of both kinds together and each, and what is as the prompt says."""
    sides = [("acting", outcomes), *((group, in_group(outcomes, group)) for group in (STROKES, BITES))]
    found: list[Figure] = []
    for name, own in sides:
        goal = 0.95 if name == "acting" else None
        found.append(
            share(f"{name}_stay", column(own, "stays"), goal=goal, ceiling=column(own, "stays", "ceiling"))
        )
        chance, ceiling = (column(own, "done", of) for of in ("chance", "ceiling"))
        found.append(share(f"{name}_as_asked", column(own, "done"), chance=chance, ceiling=ceiling))
    return found
