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
    """Return, for each attribute, whether a video (RGB, uint8) agrees with `world`.

    `color`, `shape` and `direction` are those before the thing is hidden; `hidden` is its duration, `returns`
    the same colour and shape afterwards, and `timing` the time and position of the return.
    """
    return compare(measure_hiding(frames_THWC), world)


def compare(measured: Hiding, world: OcclusionWorld) -> dict[str, bool]:
    """Compare a measurement with a world."""
    expected = true_hiding(world)
    if expected.hidden is None or expected.back is None:
        raise ValueError(f"the thing of world {world.seed} is never hidden: sample another one")
    slack = SAME_FRAMES + BLUR / max(world.speed, world.wall_speed - world.speed, 1e-6) * world.fps
    hidden = timing = False
    if measured.hidden is not None:
        long = expected.hidden[1] - expected.hidden[0]
        hidden = abs(measured.hidden[1] - measured.hidden[0] - long) <= slack + SAME_SHARE * long
        timing = abs(measured.hidden[1] - expected.hidden[1]) <= slack and _comes_back(measured, world)
    return {
        "color": measured.before[0] == world.color,
        "shape": measured.before[1] == world.shape,
        "direction": measured.direction == world.direction,
        "hidden": hidden,
        "returns": measured.hidden is not None
        and measured.after == (world.color, world.shape)
        and SAME_SIZE[0] <= measured.growth <= SAME_SIZE[1],
        "timing": timing,
    }


def _comes_back(measured: Hiding, world: OcclusionWorld) -> bool:
    if measured.back is None or measured.back[0] >= world.num_frames:
        return False
    expected_2 = centers_T2(world)[measured.back[0]]
    return float(np.hypot(*(expected_2 - measured.back[1:]))) <= SAME_PLACE


def true_hiding(world: OcclusionWorld) -> Hiding:
    """Return the ideal measurement of a world."""
    visible_fraction_T, center_T2 = visible_T(world), centers_T2(world)
    hidden = hidden_span(visible_fraction_T)
    full_size = (
        []
        if hidden is None
        else [t for t in range(hidden[1], len(visible_fraction_T)) if visible_fraction_T[t] >= WHOLE]
    )
    back = (
        (full_size[0], float(center_T2[full_size[0]][0]), float(center_T2[full_size[0]][1]))
        if full_size
        else None
    )
    name = (world.color, world.shape)
    return Hiding(before=name, after=name, direction=world.direction, hidden=hidden, back=back)


def measure_hiding(frames_THWC: np.ndarray) -> Hiding:
    """Track the largest thing of each frame (RGB, uint8), and find the frames without one."""
    segmentation = segment(frames_THWC)
    largest_T = [regions[0] if regions else None for regions in segmentation.regions_T]
    area_T = np.array([region.area if region else 0.0 for region in largest_T])
    full_area = float(np.quantile(area_T, 0.9))
    visible_fraction_T = area_T / max(full_area, 1e-6)
    hidden = hidden_span(visible_fraction_T)
    if hidden is None:
        visible = [
            region
            for region, fraction in zip(largest_T, visible_fraction_T, strict=True)
            if region and fraction >= WHOLE
        ]
        return Hiding(
            before=_describe(segmentation, visible),
            after=(None, None),
            direction=None,
            hidden=None,
            back=None,
        )
    before = _full_size(largest_T[: hidden[0]])
    after = _full_size(largest_T[hidden[1] :])
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


def _full_size(regions: Sequence[Region | None]) -> list[Region]:
    """Return the regions with at least `WHOLE` of the median of the three largest areas."""
    visible = [region for region in regions if region is not None]
    max_area = float(np.median(sorted(region.area for region in visible)[-3:])) if visible else 0.0
    return [region for region in visible if region.area >= WHOLE * max_area]


def _describe(segmentation: Segmentation, regions: Sequence[Region]) -> tuple[str | None, str | None]:
    return dominant_color(regions), classify_shape(segmentation, regions)


def _direction(regions: Sequence[Region]) -> str | None:
    """Return the direction of a line through all centres; None for fewer than two."""
    if len(regions) < 2:
        return None
    time_N = np.array([region.frame for region in regions], float)
    center_N2 = np.array([region.center_2 for region in regions])
    slope_2 = ((time_N - time_N.mean())[:, None] * center_N2).sum(axis=0)
    return max(("left", "right", "up", "down"), key=lambda name: float(np.dot(DIRECTIONS[name], slope_2)))
