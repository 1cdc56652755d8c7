"""Long range: a video goes on for a minute, and its things stay what and as many as they are.

A training clip is given; the rest is one extension, window by window.

Legend: T frames, H height, W width, C channels (RGB).
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from kinora.evaluation.cases import Case, Outcome, Setup, Verdict, column, number
from kinora.evaluation.continuity import background_distance
from kinora.evaluation.figures import Figure, average, share
from kinora.evaluation.paths import requirements_without_motion
from kinora.evaluation.rows.extend import flags, given, make, with_given
from kinora.evaluation.rows.shapes import render
from worlds.shapes.family import place_things
from worlds.shapes.judge import compare, without_style
from worlds.shapes.measure import measure
from worlds.shapes.truth import World, requirements_of

__all__ = ["cases", "figures", "flags", "given", "judge", "make", "truth", "with_given"]

NAME = "long"
GOAL = 0.9
CHANCE = True
DURATION_S = 60.0
PART_S = 2.0
"""Parts of the new frames that are judged alone."""
CONSTANT = ("color", "shape", "count", "background")
truth = render


def cases(setup: Setup) -> list[Case]:
    """Return a minute of one to three things that move alike, so that they never touch."""
    factor = setup.time_factor
    first = 1 + (setup.num_frames - 1) // factor * factor
    new = round((DURATION_S * setup.fps - first) / factor) * factor
    moving = setup.vocabulary.moving
    worlds = [_for_long(world, first + new) for world in setup.worlds(setup.few, vocabulary=moving)]
    return number(NAME, "minute", worlds, setup.seed, given=first)


def _for_long(world: World, num_frames: int) -> World:
    """Return a longer world of the same things, all with the motion of the first."""
    wanted = requirements_of(world).things
    first = wanted[0]
    return place_things(
        world.seed,
        [replace(thing, direction=first.direction, speed=first.speed) for thing in wanted],
        background=world.background,
        width=world.width,
        height=world.height,
        fps=world.fps,
        num_frames=num_frames,
        style=world.style,
    )


def parts(case: Case, frames_THWC: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the new frames in parts of `PART_S`; the rest at the end joins the last part."""
    size = max(1, round(PART_S * case.world.fps))
    starts = [*range(case.given, len(frames_THWC) - size + 1, size)] or [case.given]
    for start, stop in zip(starts, [*starts[1:], len(frames_THWC)], strict=True):
        yield frames_THWC[start:stop]


def judge(case: Case, frames_THWC: np.ndarray) -> Verdict:
    """Return what is constant in all parts, the share of parts in which all is, and the drift."""
    if not isinstance(case.world, World):
        raise TypeError(f"{case.world.family}: this row judges worlds of `shapes`")
    expected = requirements_without_motion(requirements_of(case.world))
    plain_THWC, fps = without_style(frames_THWC), case.world.fps
    checks = [compare(measure(part_THWC, fps), expected).checks() for part_THWC in parts(case, plain_THWC)]
    held = [all(check.values()) for check in checks]
    new_s = (len(frames_THWC) - case.given) / fps
    *_, last_THWC = parts(case, frames_THWC)
    return {
        "identity": all(held),
        **{name: all(check[name] for check in checks) for name in CONSTANT},
        "held": sum(held) / len(held),
        "drift_per_s": background_distance(frames_THWC[: case.given], last_THWC) / new_s,
    }


def figures(outcomes: Sequence[Outcome]) -> list[Figure]:
    """Return the share of videos that keep all, or one attribute, the parts held, and the drift."""
    found = [
        share(
            f"long_{name}",
            column(outcomes, name),
            goal=0.9 if name in ("identity", "color", "count") else None,
            chance=column(outcomes, name, "chance"),
            ceiling=column(outcomes, name, "ceiling"),
        )
        for name in ("identity", *CONSTANT)
    ]
    found.append(average("long_held", column(outcomes, "held"), ceiling=column(outcomes, "held", "ceiling")))
    ceiling = column(outcomes, "drift_per_s", "ceiling")
    found.append(average("long_drift_per_s", column(outcomes, "drift_per_s"), at_most=True, ceiling=ceiling))
    return found
