"""Find the things of a video by their named colours, whatever the style: what all judges look through.

The colours of things and those of grounds (backgrounds, walls, floors, lines) share no name, so a pixel is
part of a thing when the nearest name is that of a thing.

Legend: T frames, H height, W width, C channels (RGB), P pixels.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np

from worlds.naming import look_up, nearest_table, shrink
from worlds.outlines import centered, fit_shape, sampled
from worlds.palette import BACKGROUNDS, COLORS
from worlds.styles import DARK_INK, DARK_LUMA, LIGHT_INK, undo_night

MEASURED_SIDE_PX = 96
"""Larger frames are scaled down to this short side first."""
LUMA_C = np.array([0.299, 0.587, 0.114])
INK_REACH = 75.0
"""RGB distance from the colour of ink within which a pixel is taken for ink."""
SMALLEST_SPOT = 0.0015
"""Specks below this (in squared short sides) are noise."""
LINED_SHARE = 0.12
"""Share of the pixels round things that are ink where lines are drawn."""


def named_THW(frames_THWC: np.ndarray) -> np.ndarray:
    """Return, for each pixel, the number of the thing's colour (from 1, in the order of COLORS) that is
    nearest in CIELAB, or 0 where the colour of a ground or a line is nearer."""
    return look_up(_numbers(), frames_THWC)


@cache
def _numbers() -> np.ndarray:
    nearest = nearest_table([*COLORS.values(), *BACKGROUNDS.values(), DARK_INK, LIGHT_INK])
    return np.where(nearest < len(COLORS), nearest + 1, 0).astype(np.uint8)


def ground_and_ink(frames_THWC: np.ndarray, named_THW: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the colour of most of what is no thing (ground_C), and that of lines drawn on it (ink_C)."""
    bare_PC = frames_THWC[named_THW == 0]
    ground_C = np.median(bare_PC[:: max(1, len(bare_PC) // 50_000)], axis=0) if len(bare_PC) else np.zeros(3)
    return ground_C, np.array(LIGHT_INK if ground_C @ LUMA_C < DARK_LUMA else DARK_INK, float)


def without_outlines(frames_THWC: np.ndarray) -> np.ndarray:
    """Return frames without the lines round things, on a plain ground; as they are if there are no lines."""
    named = named_THW(frames_THWC)
    ground_C, ink_C = ground_and_ink(frames_THWC, named)
    if not _has_lines(frames_THWC, named, ink_C):
        return frames_THWC
    plain_THWC = np.empty_like(frames_THWC)
    plain_THWC[:] = np.rint(ground_C)
    for frame_HWC, plain_HWC, named_HW in zip(frames_THWC, plain_THWC, named, strict=True):
        _repaint(frame_HWC, plain_HWC, named_HW, ground_C, ink_C)
    return plain_THWC


def _has_lines(frames_THWC: np.ndarray, named_THW: np.ndarray, ink_C: np.ndarray) -> bool:
    near_THW = np.stack([cv2.dilate(frame_HW, np.ones((5, 5), np.uint8)) for frame_HW in named_THW]) > 0
    bare_PC = frames_THWC[near_THW & (named_THW == 0)].astype(np.float32)
    return len(bare_PC) > 0 and np.mean(np.linalg.norm(bare_PC - ink_C, axis=1) < INK_REACH) > LINED_SHARE


def _repaint(
    frame_HWC: np.ndarray,
    plain_HWC: np.ndarray,
    named_HW: np.ndarray,
    ground_C: np.ndarray,
    ink_C: np.ndarray,
) -> None:
    """Paint each thing of a frame over a plain ground, as far as its colour is neither ground nor ink."""
    num_labels, label_HW, stats, _ = cv2.connectedComponentsWithStats(
        (named_HW > 0).astype(np.uint8), connectivity=8
    )
    for label in range(1, num_labels):
        if stats[label, cv2.CC_STAT_AREA] < 6:
            continue
        inside_HW = label_HW == label
        color = np.bincount(named_HW[inside_HW]).argmax()
        color_C = np.median(frame_HWC[inside_HW & (named_HW == color)], axis=0)
        near_HW = cv2.dilate(inside_HW.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
        alpha_P1 = share_of_thing(frame_HWC[near_HW], color_C, ground_C, ink_C)[:, None]
        plain_HWC[near_HW] = np.rint(ground_C + alpha_P1 * (color_C - ground_C))


def share_of_thing(
    rgb_PC: np.ndarray, color_C: np.ndarray, ground_C: np.ndarray, ink_C: np.ndarray
) -> np.ndarray:
    """Return how much of each pixel a thing covers (0 to 1), by how near its colour is: 0 is where ground or
    ink is, whichever is nearer."""
    nearest = min(np.linalg.norm(color_C - ground_C), np.linalg.norm(color_C - ink_C))
    away_P = np.linalg.norm(rgb_PC.astype(np.float32) - color_C, axis=1)
    return np.clip(1 - away_P / max(nearest, 1.0), 0, 1)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Spot:
    """A connected piece of thing in one frame."""

    frame: int
    color: str
    """Of the palette."""
    area: float
    """Squared short sides."""
    center_2: np.ndarray
    """(x, y) in short sides."""
    rgb_C: np.ndarray
    inside_HW: np.ndarray


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Sight:
    """A video by day, small enough to be measured, and where its things are."""

    frames_THWC: np.ndarray
    spots_T: tuple[tuple[Spot, ...], ...]
    """Those of each frame, the largest first."""
    ground_C: np.ndarray
    """Colour of most of what is no thing."""
    ink_C: np.ndarray | None
    """Colour of the lines; None where there are none."""

    @property
    def short_side_px(self) -> int:
        return min(self.frames_THWC.shape[1:3])


def look(frames_THWC: np.ndarray) -> Sight:
    """Find the things of a video (RGB, uint8) in any style.

    Raises:
        ValueError: if the frames have another layout.
    """
    frames_THWC = undo_night(shrink(frames_THWC, MEASURED_SIDE_PX))
    named = named_THW(frames_THWC)
    ground_C, ink_C = ground_and_ink(frames_THWC, named)
    return Sight(
        frames_THWC=frames_THWC,
        spots_T=tuple(tuple(_spots(index, frames_THWC[index], named[index])) for index in range(len(named))),
        ground_C=ground_C,
        ink_C=ink_C if _has_lines(frames_THWC, named, ink_C) else None,
    )


def _spots(index: int, rgb_HWC: np.ndarray, named_HW: np.ndarray) -> list[Spot]:
    num_labels, label_HW, stats, centers = cv2.connectedComponentsWithStats(
        (named_HW > 0).astype(np.uint8), connectivity=4
    )
    side, spots = min(named_HW.shape), []
    for label in range(1, num_labels):
        area = stats[label, cv2.CC_STAT_AREA] / side**2
        if area < SMALLEST_SPOT:
            continue
        inside_HW = label_HW == label
        core_HW = cv2.erode(inside_HW.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
        core_HW = core_HW if core_HW.any() else inside_HW
        number = np.bincount(named_HW[core_HW]).argmax()
        spots.append(
            Spot(
                frame=index,
                color=list(COLORS)[number - 1],
                area=float(area),
                center_2=(centers[label] + 0.5) / side,
                rgb_C=np.median(rgb_HWC[core_HW & (named_HW == number)], axis=0),
                inside_HW=inside_HW,
            )
        )
    return sorted(spots, key=lambda spot: -spot.area)


def common_color(spots: Sequence[Spot]) -> str | None:
    """Return the colour that most of the area of some spots has; None if there are none."""
    areas: dict[str, float] = {}
    for spot in spots:
        areas[spot.color] = areas.get(spot.color, 0.0) + spot.area
    return max(areas, key=areas.__getitem__) if areas else None


def shape_of(sight: Sight, spots: Sequence[Spot]) -> str | None:
    """Return the shape of a thing, whole and alone in each of some spots; None if none fits."""
    if not spots:
        return None
    chosen = sampled(spots)
    side = sight.short_side_px
    reach = math.ceil(0.75 * math.sqrt(max(spot.area for spot in chosen)) * side) + 4
    outline_HW = np.mean([_cover(sight, spot, reach) for spot in chosen], axis=0)
    return fit_shape(outline_HW, side / 64)[0] if outline_HW.any() else None


def _cover(sight: Sight, spot: Spot, reach: int) -> np.ndarray:
    """Return how much of each pixel round a spot's centre it covers (0 to 1), centred, as mask_HW."""
    lined = sight.ink_C is not None
    kernel = np.ones((3, 3) if lined else (5, 5), np.uint8)
    near_HW = cv2.dilate(spot.inside_HW.astype(np.uint8), kernel) > 0
    ink_C = sight.ink_C if sight.ink_C is not None else sight.ground_C
    frame_HWC = sight.frames_THWC[spot.frame]
    alpha_HW = np.zeros(near_HW.shape, np.float32)
    alpha_HW[near_HW] = share_of_thing(frame_HWC[near_HW], spot.rgb_C, sight.ground_C, ink_C)
    return centered(alpha_HW, reach)
