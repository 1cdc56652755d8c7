"""What several rows share: verdicts on `shapes`, and videos from text alone.

Legend: T frames, H height, W width, C channels (RGB).
"""

from collections.abc import Collection, Sequence

import numpy as np

from kinora.evaluation.cases import Case, Given, Maker, Outcome, Verdict, column
from kinora.evaluation.figures import Figure, share
from trainer.sample.conditions import Conditions
from trainer.sample.verbs import text_to_video
from worlds import families
from worlds.family import AnyWorld

ATTRIBUTES = ("color", "background", "shape", "direction", "speed", "count")
"""Attributes of a world of `shapes` that are judged alone."""
GOALS = {
    "color": 0.97,
    "background": 0.97,
    "shape": 0.93,
    "direction": 0.95,
    "speed": 0.85,
    "count": 0.85,
    "binding": 0.85,
}
PUBLIC = {"color": "colour"}
"""Names of figures that differ from their attribute's."""


def make_from_text(cases: Sequence[Case], maker: Maker) -> list[np.ndarray]:
    """Return a video for each prompt."""
    return maker([from_text(case, maker) for case in cases])


def from_text(case: Case, maker: Maker) -> Conditions:
    """Return the conditions of a case from its prompt alone."""
    world = case.world
    return text_to_video(
        maker.model,
        case.prompt,
        num_frames=world.num_frames,
        height=world.height,
        width=world.width,
        seed=case.seed,
    )


def judge_all(case: Case, frames_THWC: np.ndarray, untold: Collection[str] = ()) -> Verdict:
    """Return the verdict for each attribute of the family, and `score`, the share that is right.

    Args:
        untold: attributes that are not asked about.
    """
    every = families.judge(frames_THWC, case.world.fps, case.world)
    verdict = {name: right for name, right in every.items() if name not in untold}
    return {**verdict, "score": score(verdict)}


def score(verdict: Verdict) -> float:
    """Return the share of the attributes that are right, `binding` apart."""
    alone = [bool(right) for name, right in verdict.items() if name != "binding"]
    return sum(alone) / len(alone)


def render(case: Case) -> np.ndarray:
    """Return the world of a case."""
    return families.render(case.world)


def as_it_is(case: Case, frames_THWC: np.ndarray) -> np.ndarray:
    """Return the frames: nothing is given."""
    return frames_THWC


def nothing_given(case: Case) -> list[Given]:
    return []


def size_flags(case: Case) -> list[str]:
    """Return the flags for the size and length of a new video."""
    return [f"--size {case.world.width}x{case.world.height}", f"--frames {case.world.num_frames}"]


def attribute_figures(outcomes: Sequence[Outcome], goals: dict[str, float], prefix: str = "") -> list[Figure]:
    """Return the share that is right of each attribute that was judged, in the order of `goals`."""
    judged = dict.fromkeys(name for outcome in outcomes for name in outcome.verdict)
    names = [name for name in (*goals, *judged) if name in judged and name != "score"]
    return [
        share(
            prefix + PUBLIC.get(name, name),
            column(outcomes, name),
            goal=goals.get(name),
            chance=column(outcomes, name, "chance"),
            ceiling=column(outcomes, name, "ceiling"),
        )
        for name in dict.fromkeys(names)
    ]


def is_shapes(world: AnyWorld) -> bool:
    """Return whether a world is of the family `shapes`."""
    return world.family == "shapes"
