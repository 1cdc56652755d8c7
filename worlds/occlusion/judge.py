"""Judge whether a video shows a thing that is hidden and comes back.

Legend: T frames, H height, W width, C channels (RGB). Lengths are in short sides of the frame.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from worlds.occlusion.truth import WHOLE, OcclusionWorld, centers_T2, hidden_span, visible_T
from worlds.palette import DIRECTIONS
from worlds.segmentation import Region, Segmentation, classify_shape, dominant_color, segment

SAME_FRAMES, SAME_SHARE = 2.0, 0.2
"""Tolerance of the hidden duration: this many frames plus this fraction."""
BLUR = 0.03
"""Error of a measured edge in short sides; it costs more frames for slower things."""
SAME_SIZE = (0.7, 1.4)
"""Allowed range of the area after over the area before."""
SAME_PLACE = 0.08
"""Maximum distance from the expected position of reappearance."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Hiding:
    """Result of the measurement; None where it failed."""

    before: tuple[str | None, str | None]
    """Colour and shape before the thing is hidden."""
    after: tuple[str | None, str | None]
    direction: str | None
    """Direction in the image before the thing is hidden."""
    hidden: tuple[int, int] | None
    """First frame without the thing, and the next frame with it."""
    back: tuple[int, float, float] | None
    """First frame in which the thing is whole again, and its position (x, y)."""
    growth: float = 1.0
    """Area after over area before."""


def judge(frames_THWC: np.ndarray, fps: float, world: OcclusionWorld) -> dict[str, bool]:
    """Return, for each attribute, whether a video shows it: `color`, `shape` and `direction` before, `hidden`
    (about as long as expected), `returns` (the same colour and shape), `timing` (when and where)."""
    return compare(measure_hiding(frames_THWC), world)


def compare(found: Hiding, world: OcclusionWorld) -> dict[str, bool]:
    """Compare a measurement with a world."""
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
    """Return the ideal measurement of a world."""
    share_T, center_T2 = visible_T(world), centers_T2(world)
    hidden = hidden_span(share_T)
    whole = [] if hidden is None else [t for t in range(hidden[1], len(share_T)) if share_T[t] >= WHOLE]
    back = (whole[0], float(center_T2[whole[0]][0]), float(center_T2[whole[0]][1])) if whole else None
    name = (world.color, world.shape)
    return Hiding(before=name, after=name, direction=world.direction, hidden=hidden, back=back)


def measure_hiding(frames_THWC: np.ndarray) -> Hiding:
    """Track the largest thing of each frame (RGB, uint8), and find the frames without one."""
    segmentation = segment(frames_THWC)
    largest_T = [regions[0] if regions else None for regions in segmentation.regions_T]
    area_T = np.array([region.area if region else 0.0 for region in largest_T])
    whole_area = float(np.quantile(area_T, 0.9))
    share_T = area_T / max(whole_area, 1e-6)
    hidden = hidden_span(share_T)
    if hidden is None:
        seen = [region for region, share in zip(largest_T, share_T, strict=True) if region and share >= WHOLE]
        return Hiding(
            before=_describe(segmentation, seen), after=(None, None), direction=None, hidden=None, back=None
        )
    before = _whole(largest_T[: hidden[0]])
    after = _whole(largest_T[hidden[1] :])
    back = (after[0].frame, float(after[0].center_2[0]), float(after[0].center_2[1])) if after else None
    return Hiding(
        before=_describe(segmentation, before),
        after=_describe(segmentation, after),
        direction=_direction([region for region in largest_T[: hidden[0]] if region]),
        hidden=hidden,
        back=back,
        growth=_area(after) / max(_area(before), 1e-6),
    )


def _area(regions: Sequence[Region]) -> float:
    return float(np.median([region.area for region in regions])) if regions else 0.0


def _whole(regions: Sequence[Region | None]) -> list[Region]:
    """Return the regions of about the maximum size."""
    seen = [region for region in regions if region is not None]
    most = float(np.median(sorted(region.area for region in seen)[-3:])) if seen else 0.0
    return [region for region in seen if region.area >= WHOLE * most]


def _describe(segmentation: Segmentation, regions: Sequence[Region]) -> tuple[str | None, str | None]:
    return dominant_color(regions), classify_shape(segmentation, regions)


def _direction(regions: Sequence[Region]) -> str | None:
    """Return the direction of a line through all centres; None for fewer than two."""
    if len(regions) < 2:
        return None
    time_N = np.array([region.frame for region in regions], float)
    center_N2 = np.array([region.center_2 for region in regions])
    slope_2 = ((time_N - time_N.mean())[:, None] * center_N2).sum(axis=0)
    return max(("left", "right", "up", "down"), key=lambda way: float(np.dot(DIRECTIONS[way], slope_2)))
