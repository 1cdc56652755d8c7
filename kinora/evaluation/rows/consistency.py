"""3D consistency: tracked corners of a room fit one rigid scene as well as those of real renders.

Legend: T frames, H height, W width, C channels (RGB).
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from kinora.evaluation.cases import Case, Outcome, Setup, Verdict, column, number
from kinora.evaluation.figures import Figure, average, ratio, ratio_of, share
from kinora.evaluation.rows.shapes import as_it_is, make_from_text, nothing_given, render, size_flags
from worlds import families
from worlds.family import AnyWorld
from worlds.rooms.rigid import LOST_PX, RigidError, rigid_error
from worlds.rooms.truth import STILL, RoomWorld

NAME = "consistency"
GOAL = 0.0
CHANCE = True
MOST = 1.5
"""Largest error over that of the real render."""
LEAST_MOTION = 0.5
"""Tracks shorter than this share of the real render's show no scene in motion: any still is rigid."""
make, truth, with_given, given, flags = make_from_text, render, as_it_is, nothing_given, size_flags


def cases(setup: Setup) -> list[Case]:
    """Return rooms with a camera that moves."""
    worlds = setup.worlds_of_family("rooms", setup.few, _moves)
    return number(NAME, "rooms", worlds, setup.seed)


def _moves(world: AnyWorld) -> bool:
    return isinstance(world, RoomWorld) and world.camera != STILL


@lru_cache(maxsize=64)
def _real(world: AnyWorld) -> RigidError:
    """Return the error of the real render."""
    return rigid_error(families.render(world), world.fps)


def judge(case: Case, frames_THWC: np.ndarray) -> Verdict:
    """Return the error in pixels of a short side of 64, that of the real render, and what the room shows.

    A video with too little motion has the largest error.
    """
    real, found = _real(case.world), rigid_error(frames_THWC, case.world.fps)
    moves = found.motion_px >= LEAST_MOTION * real.motion_px
    error_px = found.mean_px if moves else LOST_PX
    verdict = families.judge(frames_THWC, case.world.fps, case.world)
    return {
        "error_px": error_px,
        "real_px": real.mean_px,
        "rigid": error_px <= MOST * real.mean_px,
        "in_motion": moves,
        "camera": verdict["camera"],
        "solids": verdict["binding"],
    }


def figures(outcomes: Sequence[Outcome]) -> list[Figure]:
    """Return the mean error over that of real renders, both, and what the rooms show."""
    errors, ceiling = column(outcomes, "error_px"), column(outcomes, "error_px", "ceiling")
    real = column(outcomes, "real_px")
    found = [
        ratio(
            "rigid_error_ratio",
            errors,
            real,
            goal=MOST,
            at_most=True,
            ceiling=ratio_of(ceiling, column(outcomes, "real_px", "ceiling")) if ceiling else None,
        ),
        average("rigid_error_px", errors, at_most=True, ceiling=ceiling),
        average("rigid_error_px_real", real, at_most=True),
    ]
    for name in ("rigid", "in_motion", "camera", "solids"):
        depends = name in ("camera", "solids")
        chance = column(outcomes, name, "chance") if depends else ()
        found.append(
            share(
                f"consistency_{name}",
                column(outcomes, name),
                chance=chance,
                ceiling=column(outcomes, name, "ceiling"),
            )
        )
    return found
