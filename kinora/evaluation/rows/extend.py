"""Extend a video forward and backward: no jump at the join, the same things, the same motion.

Legend: T frames, H height, W width, C channels (RGB).
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from kinora.evaluation.cases import Case, Given, Maker, Outcome, Setup, Verdict, column, in_group, number
from kinora.evaluation.continuity import background_distance, jump_ratio
from kinora.evaluation.figures import Figure, average, share
from kinora.evaluation.paths import identity
from kinora.evaluation.rows.shapes import render
from trainer.sample.conditions import Kept
from trainer.sample.decode import with_kept
from trainer.sample.verbs import extend
from worlds import families
from worlds.shapes.truth import World, requirements_of

NAME = "extend"
GOAL = 0.97
CHANCE = True
AFTER_JOIN = 8
"""New frames next to the join that speed and direction are measured on, with the given frame beside them."""
truth = render


def cases(setup: Setup) -> list[Case]:
    """Return moving things, half of a training clip given; the new part is longer than the model's window.

    Given are as many frames as the VAE encodes without padding: 1 more than a multiple of its time factor
    forward, a multiple backward.
    """
    factor = setup.time_factor
    half = factor * max(1, (setup.num_frames - 1) // (2 * factor))
    total = setup.num_frames + half
    found: list[Case] = []
    for group, given_frames in (("forward", half + 1), ("backward", half)):
        worlds = setup.worlds(setup.samples, num_frames=total, vocabulary=setup.vocabulary.moving)
        found += number(NAME, group, worlds, setup.seed, given=given_frames)
    return found


def make(cases: Sequence[Case], maker: Maker) -> list[np.ndarray]:
    """Return the videos, given frames included."""
    conditions = [
        extend(
            maker.model,
            given(case)[0].frames_THWC,
            case.prompt,
            new_frames=case.world.num_frames - case.given,
            direction=_direction(case),
            seed=case.seed,
        )
        for case in cases
    ]
    return maker(conditions)


def _direction(case: Case) -> Literal["forward", "backward"]:
    """Return the direction of a case; groups of other rows that extend are forward."""
    return "backward" if case.group == "backward" else "forward"


def given(case: Case) -> list[Given]:
    frames_THWC = render(case)
    part_THWC = frames_THWC[: case.given] if _direction(case) == "forward" else frames_THWC[-case.given :]
    return [Given("--video", part_THWC)]


def with_given(case: Case, frames_THWC: np.ndarray) -> np.ndarray:
    """Return frames in which the given ones are exact, joined as `kinora generate` does."""
    (_, part_THWC) = given(case)[0]
    start = 0 if _direction(case) == "forward" else len(frames_THWC) - case.given
    return with_kept(frames_THWC, [Kept(start, part_THWC)], case.world.fps)


def judge(case: Case, frames_THWC: np.ndarray) -> Verdict:
    """Return the jump, and what of the given part the new part keeps."""
    fps, forward = case.world.fps, _direction(case) == "forward"
    new = len(frames_THWC) - case.given
    join = case.given if forward else new
    new_THWC = frames_THWC[join:] if forward else frames_THWC[:join]
    given_THWC = frames_THWC[:join] if forward else frames_THWC[join:]
    first = join - 1 if forward else max(0, join - AFTER_JOIN)
    near_THWC = frames_THWC[first : first + AFTER_JOIN + 1]
    far_THWC = new_THWC[-max(1, new // 4) :] if forward else new_THWC[: max(1, new // 4)]
    motion = families.judge(near_THWC, fps, case.world)
    if not isinstance(case.world, World):
        raise TypeError(f"{case.world.family}: this row judges worlds of `shapes`")
    return {
        "jump": jump_ratio(frames_THWC, [join]),
        "identity": identity(new_THWC, fps, requirements_of(case.world)).kept,
        "direction": motion["direction"],
        "speed": motion["speed"],
        "drift_per_s": background_distance(given_THWC, far_THWC) / (new / fps),
    }


def flags(case: Case) -> list[str]:
    return [f"--extend {_direction(case)}", f"--frames {case.world.num_frames - case.given}"]


def figures(outcomes: Sequence[Outcome]) -> list[Figure]:
    """Return jumps of each direction; identity, motion and drift of both."""
    found: list[Figure] = []
    for group in ("forward", "backward"):
        own = in_group(outcomes, group)
        found.append(
            average(
                f"extend_{group}_jump",
                column(own, "jump"),
                goal=1.2,
                at_most=True,
                ceiling=column(own, "jump", "ceiling"),
            )
        )
    found += [
        share(
            f"extend_{name}",
            column(outcomes, name),
            goal=0.97 if name == "identity" else None,
            chance=column(outcomes, name, "chance"),
            ceiling=column(outcomes, name, "ceiling"),
        )
        for name in ("identity", "direction", "speed")
    ]
    ceiling = column(outcomes, "drift_per_s", "ceiling")
    found.append(average("drift_per_s", column(outcomes, "drift_per_s"), at_most=True, ceiling=ceiling))
    return found
