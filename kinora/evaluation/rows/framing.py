"""Framing: the thing of a video is wholly in frame in every frame that shows it.

Half of the prompts are for square frames, half for wide and tall ones, so that a model of either is at home
in as many. In `NUM_FRAMES` frames no thing has to cross an edge.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from kinora.evaluation.cases import Case, Outcome, Setup, Verdict, column, number
from kinora.evaluation.figures import Figure, share
from kinora.evaluation.rows.shapes import as_it_is, make_from_text, nothing_given, render, size_flags
from worlds.shapes.judge import without_style
from worlds.shapes.measure import wholly_in_frame

NAME = "framing"
GOAL = 0.0
CHANCE = False
NATIVE, SQUARE = ((80, 48), (48, 80)), (48, 48)
"""Width and height of the frames; a square is the middle of either native one."""
NUM_FRAMES = 9
FRAMED, IN_SQUARE, IN_NATIVE = "framed", "in_square", "in_native"
make, truth, with_given, given, flags = make_from_text, render, as_it_is, nothing_given, size_flags


def cases(setup: Setup) -> list[Case]:
    """Return balanced worlds of one flat thing, half of them square."""
    alone = replace(setup.vocabulary, counts=(1,), styles=("flat",))
    sizes = (SQUARE,) * len(NATIVE) + NATIVE
    worlds = setup.worlds(setup.few, num_frames=NUM_FRAMES, sizes=sizes, vocabulary=alone)
    return number(NAME, NAME, worlds, setup.seed)


def judge(case: Case, frames_THWC: np.ndarray) -> Verdict:
    """Return `framed`, and the same again by the shape of the frame."""
    framed = wholly_in_frame(without_style(frames_THWC))
    part = IN_SQUARE if case.world.width == case.world.height else IN_NATIVE
    return {FRAMED: framed, part: framed}


def figures(outcomes: Sequence[Outcome]) -> list[Figure]:
    """Return the share of videos whose thing is wholly in frame, and that of either shape of frame."""
    parts = {FRAMED: FRAMED} | {name: f"{FRAMED}_{name}" for name in (IN_SQUARE, IN_NATIVE)}
    return [
        share(figure, verdicts, ceiling=column(outcomes, name, "ceiling"))
        for name, figure in parts.items()
        if (verdicts := column(outcomes, name))
    ]
