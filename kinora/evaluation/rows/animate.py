"""Animate an image: the first frame is the image, and it moves as the prompt says.

Legend: T frames, H height, W width, C channels (RGB).
"""

from collections.abc import Sequence

import numpy as np

from kinora.evaluation.cases import Case, Given, Maker, Outcome, Setup, Verdict, column, in_group, number
from kinora.evaluation.continuity import psnr_db
from kinora.evaluation.figures import Figure, average, share
from kinora.evaluation.paths import identity
from kinora.evaluation.rows.shapes import as_it_is, render, size_flags
from trainer.sample.verbs import animate
from worlds import families
from worlds.shapes.truth import World, requirements_of

NAME = "animate"
GOAL = 0.95
CHANCE = True
MOTION = {
    "shapes": ("direction", "speed"),
    "occlusion": ("direction", "hidden", "returns"),
    "physics": ("event", "lawful"),
    "rooms": ("camera",),
    "canvas": ("direction", "bites"),
    "grid": ("legal_moves", "goal_reached"),
}
"""Attributes of each family that one frame does not show; a world that has none of them is not judged."""
truth, with_given = render, as_it_is


def cases(setup: Setup) -> list[Case]:
    """Return moving things of `shapes`, and worlds of the other families."""
    found: list[Case] = []
    for family in setup.families:
        if family == "shapes":
            worlds = setup.worlds(setup.samples, vocabulary=setup.vocabulary.moving)
            found += number(NAME, family, worlds, setup.seed)
        else:
            found += number(NAME, family, setup.worlds_of_family(family, setup.few), setup.seed)
    return found


def make(cases: Sequence[Case], maker: Maker) -> list[np.ndarray]:
    """Return a video for each first frame and prompt."""
    conditions = [
        animate(
            maker.model,
            [(0, render(case)[0])],
            case.prompt,
            num_frames=case.world.num_frames,
            seed=case.seed,
        )
        for case in cases
    ]
    return maker(conditions)


def judge(case: Case, frames_THWC: np.ndarray) -> Verdict:
    """Return the PSNR of the first frame, whether the motion is right, and what is shown kept (`shapes`)."""
    verdict = families.judge(frames_THWC, case.world.fps, case.world)
    motion = [right for name, right in verdict.items() if name in MOTION[case.world.family]]
    judged: dict[str, bool | float] = {"psnr_db": psnr_db(frames_THWC[0], render(case)[0])}
    if motion:
        judged["motion"] = all(motion)
    if isinstance(case.world, World):
        judged["identity"] = identity(frames_THWC, case.world.fps, requirements_of(case.world)).kept
    return judged


def given(case: Case) -> list[Given]:
    return [Given("--image", render(case)[:1])]


def flags(case: Case) -> list[str]:
    return size_flags(case)


def figures(outcomes: Sequence[Outcome]) -> list[Figure]:
    """Return the PSNR of the first frame over all families, and the motion of each."""
    found = [
        average(
            "image_psnr_db",
            column(outcomes, "psnr_db"),
            goal=30,
            ceiling=column(outcomes, "psnr_db", "ceiling"),
            digits=1,
        )
    ]
    for family in dict.fromkeys(outcome.case.group for outcome in outcomes):
        own, shapes = in_group(outcomes, family), family == "shapes"
        if column(own, "motion"):
            found.append(
                share(
                    "image_motion" if shapes else f"image_motion_{family}",
                    column(own, "motion"),
                    goal=0.95 if shapes else None,
                    chance=column(own, "motion", "chance"),
                    ceiling=column(own, "motion", "ceiling"),
                )
            )
        if shapes:
            ceiling = column(own, "identity", "ceiling")
            found.append(share("image_identity", column(own, "identity"), ceiling=ceiling))
    return found
