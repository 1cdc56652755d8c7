"""Connect two videos: both are kept, the way between them is smooth, and the second subject is reached.

In `same`, both are parts of one world with a gap, so that the way is known. In `other`, the second shows
another thing, on the same background.

Legend: T frames, H height, W width, C channels (RGB).
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from kinora.evaluation.cases import Case, Given, Maker, Outcome, Setup, Verdict, column, in_group, number
from kinora.evaluation.continuity import jump_ratio, psnr_db
from kinora.evaluation.figures import Figure, average, share
from kinora.evaluation.paths import identity, same_path
from kinora.evaluation.rows.shapes import render
from trainer.sample.conditions import Kept
from trainer.sample.decode import with_kept
from trainer.sample.verbs import connect
from worlds.shapes import draw
from worlds.shapes.captions import short_caption
from worlds.shapes.family import place_things
from worlds.shapes.truth import World, requirements_of

NAME = "connect"
GOAL = 0.9
CHANCE = True
REACHED = 2
"""New frames before the second video that must show its subject."""


def cases(setup: Setup) -> list[Case]:
    """Return pairs: together with the new part they are about a training clip and a half long."""
    factor = setup.time_factor
    half = factor * max(1, (setup.num_frames - 1) // (2 * factor))
    moving = replace(setup.vocabulary.moving, counts=(1,))
    worlds = setup.worlds(setup.samples, num_frames=3 * half + 1, vocabulary=moving)
    same = number(NAME, "same", worlds, setup.seed, given=half + 1)
    subjects = replace(setup, seed=setup.seed + 1).worlds(setup.samples, num_frames=half, vocabulary=moving)
    return same + [_to_another(case, subject, half) for case, subject in zip(same, subjects, strict=True)]


def _to_another(case: Case, subject: World, num_frames: int) -> Case:
    """Return a case that leads to the thing of another world, in frames of the same size and background."""
    if not isinstance(case.world, World):
        raise TypeError("this row connects worlds of `shapes`")
    other = place_things(
        subject.seed,
        requirements_of(subject).things,
        background=case.world.background,
        width=case.world.width,
        height=case.world.height,
        fps=case.world.fps,
        num_frames=num_frames,
        style=case.world.style,
    )
    return replace(case, group="other", source=other, prompt=short_caption(other, other.seed))


def given(case: Case) -> list[Given]:
    frames_THWC = render(case)
    second_THWC = frames_THWC[-(case.given - 1) :] if case.source is None else draw.render(case.source)
    return [Given("--connect", frames_THWC[: case.given]), Given("", second_THWC)]


def make(cases: Sequence[Case], maker: Maker) -> list[np.ndarray]:
    """Return the videos, given frames included."""
    conditions = []
    for case in cases:
        (_, first_THWC), (_, second_THWC) = given(case)
        new = case.world.num_frames - len(first_THWC) - len(second_THWC)
        conditions.append(
            connect(maker.model, first_THWC, second_THWC, case.prompt, new_frames=new, seed=case.seed)
        )
    return maker(conditions)


def truth(case: Case) -> np.ndarray | None:
    """Return the world of one that goes on; None from one thing to another."""
    return render(case) if case.source is None else None


def with_given(case: Case, frames_THWC: np.ndarray) -> np.ndarray:
    """Return frames in which both ends are exact, joined as `kinora generate` does."""
    (_, first_THWC), (_, second_THWC) = given(case)
    kept = [Kept(0, first_THWC), Kept(len(frames_THWC) - len(second_THWC), second_THWC)]
    return with_kept(frames_THWC, kept, case.world.fps)


def judge(case: Case, frames_THWC: np.ndarray) -> Verdict:
    """Return how well both ends are kept, the jumps, and whether the second subject is reached."""
    (_, first_THWC), (_, second_THWC) = given(case)
    begin, end = len(first_THWC), len(frames_THWC) - len(second_THWC)
    goal = case.world if case.source is None else case.source
    if not isinstance(goal, World):
        raise TypeError("this row connects worlds of `shapes`")
    last_THWC = frames_THWC[end - REACHED : end]
    judged: dict[str, bool | float] = {
        "psnr_db": min(psnr_db(frames_THWC[:begin], first_THWC), psnr_db(frames_THWC[end:], second_THWC)),
        "jump": jump_ratio(frames_THWC, [begin, end]),
        "reached": identity(last_THWC, goal.fps, requirements_of(goal)).kept,
    }
    if case.source is None:
        judged["path"] = same_path(frames_THWC, render(case))
    return judged


def flags(case: Case) -> list[str]:
    return [f"--frames {case.world.num_frames - 2 * case.given + 1}"]


def figures(outcomes: Sequence[Outcome]) -> list[Figure]:
    """Return PSNR of both, jump and path where one thing goes on, and whether another one is reached."""
    same, other = in_group(outcomes, "same"), in_group(outcomes, "other")
    return [
        average("connect_psnr_db", column(outcomes, "psnr_db"), goal=30, digits=1),
        average(
            "connect_jump",
            column(same, "jump"),
            goal=1.2,
            at_most=True,
            ceiling=column(same, "jump", "ceiling"),
        ),
        share("connect_path", column(same, "path"), ceiling=column(same, "path", "ceiling")),
        share(
            "connect_reached", column(other, "reached"), goal=0.9, chance=column(other, "reached", "chance")
        ),
        average("connect_other_jump", column(other, "jump"), at_most=True),
    ]
