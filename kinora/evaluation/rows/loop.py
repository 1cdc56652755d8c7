"""Loop: no jump from the last frame to the first, no frame twice, and no running there and back.

Legend: T frames, H height, W width, C channels (RGB).
"""

from collections.abc import Sequence

import numpy as np

from kinora.evaluation.cases import Case, Maker, Outcome, Setup, Verdict, column, number
from kinora.evaluation.continuity import doubled_frames, loop_ratio, moves, there_and_back
from kinora.evaluation.figures import Figure, average, share
from kinora.evaluation.paths import identity
from kinora.evaluation.rows.shapes import as_it_is, nothing_given
from trainer.sample.verbs import loop
from worlds import families
from worlds.shapes.truth import World, requirements_of

NAME = "loop"
GOAL = 0.0
CHANCE = True
ROUNDS = 3
SMOOTH = 1.2
"""Maximum ratio of a loop without a seam."""
ONE_WAY = 0.5
"""Minimum of `there_and_back` for a loop that does not run back."""
with_given, given = as_it_is, nothing_given


def cases(setup: Setup) -> list[Case]:
    """Return one moving thing, for about a training clip: whole latent frames, as a loop has."""
    frames = setup.num_frames - 1 + setup.time_factor
    worlds = setup.worlds(setup.few, num_frames=frames, vocabulary=setup.vocabulary.moving)
    return number(NAME, "loop", worlds, setup.seed)


def make(cases: Sequence[Case], maker: Maker) -> list[np.ndarray]:
    """Return one round of each loop."""
    conditions = [
        loop(
            maker.model,
            case.prompt,
            num_frames=case.world.num_frames,
            height=case.world.height,
            width=case.world.width,
            seed=case.seed,
        )
        for case in cases
    ]
    return maker(conditions)


def truth(case: Case) -> None:
    """Return None: a world of `shapes` does not loop."""


def judge(case: Case, frames_THWC: np.ndarray) -> Verdict:
    """Return what one round, and three of them, show."""
    if not isinstance(case.world, World):
        raise TypeError(f"{case.world.family}: this row judges worlds of `shapes`")
    ratio = loop_ratio(frames_THWC, ROUNDS)
    once, one_way = not doubled_frames(frames_THWC), there_and_back(frames_THWC) >= ONE_WAY
    moving = moves(frames_THWC)
    rounds_THWC = np.concatenate([frames_THWC] * ROUNDS)
    return {
        "jump": ratio,
        "no_frame_twice": once,
        "one_way": one_way,
        "moves": moving,
        "seamless": ratio <= SMOOTH and once and one_way and moving,
        "direction": families.judge(rounds_THWC, case.world.fps, case.world)["direction"],
        "identity": identity(frames_THWC, case.world.fps, requirements_of(case.world)).kept,
    }


def flags(case: Case) -> list[str]:
    size = f"--size {case.world.width}x{case.world.height}"
    return ["--loop", size, f"--frames {case.world.num_frames}"]


def figures(outcomes: Sequence[Outcome]) -> list[Figure]:
    """Return the jump, the share without any fault, and each fault."""
    found = [average("loop_jump", column(outcomes, "jump"), goal=1.2, at_most=True)]
    for name in ("seamless", "no_frame_twice", "one_way", "moves", "direction", "identity"):
        chance = column(outcomes, name, "chance") if name in ("direction", "identity") else ()
        found.append(share(f"loop_{name}", column(outcomes, name), chance=chance))
    return found
