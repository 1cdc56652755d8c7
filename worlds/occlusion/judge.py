"""Judge by its pixels whether a video shows a thing that is hidden and comes back.

Legend: T frames, H height, W width, C channels (RGB). Lengths are in short sides of the frame.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from worlds.occlusion.truth import WHOLE, OcclusionWorld, centers_T2, hidden_span, visible_T
from worlds.palette import DIRECTIONS
from worlds.sight import Sight, Spot, common_color, look, shape_of

SAME_FRAMES, SAME_SHARE = 2.0, 0.2
"""A thing is hidden about as long as expected within this many frames and this share of them."""
BLUR = 0.03
"""How far an edge may seem to be from where it is (in short sides): the slower a thing, the more frames."""
SAME_SIZE = (0.7, 1.4)
"""Least and most that a thing that comes back may have grown (in area)."""
SAME_PLACE = 0.08
"""How far from the expected place a thing may come back."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Hiding:
    """What was found; None where it could not be."""

    before: tuple[str | None, str | None]
    """Colour and shape before the thing is hidden."""
    after: tuple[str | None, str | None]
    direction: str | None
    """Over the picture, before the thing is hidden."""
    hidden: tuple[int, int] | None
    """First frame without the thing, and the first one after it with it."""
    back: tuple[int, float, float] | None
    """First frame in which the thing is whole again, and its place (x, y)."""
    growth: float = 1.0
    """Area after, in areas before."""


def judge(frames_THWC: np.ndarray, fps: float, world: OcclusionWorld) -> dict[str, bool]:
    """Say for each attribute whether a video shows it: `color`, `shape` and `direction` before, `hidden`
    (about as long as expected), `returns` (the same colour and shape), `timing` (when and where)."""
    return compare(measure_hiding(frames_THWC), world)


def compare(found: Hiding, world: OcclusionWorld) -> dict[str, bool]:
    """Compare what was found with a world."""
    expected = true_hiding(world)
    if expected.hidden is None or expected.back is None:
        raise ValueError(f"the thing of world {world.seed} is never hidden: sample another one")
    slack = SAME_FRAMES + BLUR / max(world.speed, world.wall_speed - world.speed, 1e-6) * world.fps
    hidden = timing = False
    if found.hidden is not None:
        long = expected.hidden[1] - expected.hidden[0]
        hidden = abs(found.hidden[1] - found.hidden[0] - long) <= slack + SAME_SHARE * long
        timing = abs(found.hidden[1] - expected.hidden[1]) <= slack and _comes_back(found, world)
    return {
        "color": found.before[0] == world.color,
        "shape": found.before[1] == world.shape,
        "direction": found.direction == world.direction,
        "hidden": hidden,
        "returns": found.hidden is not None
        and found.after == (world.color, world.shape)
        and SAME_SIZE[0] <= found.growth <= SAME_SIZE[1],
        "timing": timing,
    }


def _comes_back(found: Hiding, world: OcclusionWorld) -> bool:
    if found.back is None or found.back[0] >= world.num_frames:
        return False
    expected_2 = centers_T2(world)[found.back[0]]
    return float(np.hypot(*(expected_2 - found.back[1:]))) <= SAME_PLACE


def true_hiding(world: OcclusionWorld) -> Hiding:
    """Return what a perfect measurement of a world would find."""
    share_T, center_T2 = visible_T(world), centers_T2(world)
    hidden = hidden_span(share_T)
    whole = [] if hidden is None else [t for t in range(hidden[1], len(share_T)) if share_T[t] >= WHOLE]
    back = (whole[0], float(center_T2[whole[0]][0]), float(center_T2[whole[0]][1])) if whole else None
    name = (world.color, world.shape)
    return Hiding(before=name, after=name, direction=world.direction, hidden=hidden, back=back)


def measure_hiding(frames_THWC: np.ndarray) -> Hiding:
    """Follow the largest thing of each frame (RGB, uint8), and find when there is none."""
    sight = look(frames_THWC)
    largest_T = [spots[0] if spots else None for spots in sight.spots_T]
    area_T = np.array([spot.area if spot else 0.0 for spot in largest_T])
    whole_area = float(np.quantile(area_T, 0.9))
    share_T = area_T / max(whole_area, 1e-6)
    hidden = hidden_span(share_T)
    if hidden is None:
        seen = [spot for spot, share in zip(largest_T, share_T, strict=True) if spot and share >= WHOLE]
        return Hiding(
            before=_describe(sight, seen), after=(None, None), direction=None, hidden=None, back=None
        )
    before = _whole(largest_T[: hidden[0]])
    after = _whole(largest_T[hidden[1] :])
    back = (after[0].frame, float(after[0].center_2[0]), float(after[0].center_2[1])) if after else None
    return Hiding(
        before=_describe(sight, before),
        after=_describe(sight, after),
        direction=_direction([spot for spot in largest_T[: hidden[0]] if spot]),
        hidden=hidden,
        back=back,
        growth=_area(after) / max(_area(before), 1e-6),
    )


def _area(spots: Sequence[Spot]) -> float:
    return float(np.median([spot.area for spot in spots])) if spots else 0.0


def _whole(spots: Sequence[Spot | None]) -> list[Spot]:
    """Return the spots that are about as large as the largest of them."""
    seen = [spot for spot in spots if spot is not None]
    most = float(np.median(sorted(spot.area for spot in seen)[-3:])) if seen else 0.0
    return [spot for spot in seen if spot.area >= WHOLE * most]


def _describe(sight: Sight, spots: Sequence[Spot]) -> tuple[str | None, str | None]:
    return common_color(spots), shape_of(sight, spots)


def _direction(spots: Sequence[Spot]) -> str | None:
    """Return the way of a straight line through all centres; None if there are less than two."""
    if len(spots) < 2:
        return None
    time_N = np.array([spot.frame for spot in spots], float)
    center_N2 = np.array([spot.center_2 for spot in spots])
    slope_2 = ((time_N - time_N.mean())[:, None] * center_N2).sum(axis=0)
    return max(("left", "right", "up", "down"), key=lambda way: float(np.dot(DIRECTIONS[way], slope_2)))
