"""Segment the things of a video by their named colours, in any style. All judges measure these segments.

The palettes of things and of grounds (backgrounds, walls, floors, lines) are disjoint, so a pixel belongs to
a thing if its nearest named colour does.

Legend: T frames, H height, W width, C channels (RGB), P pixels.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np

from worlds.color_lookup import build_nearest_table, lookup_nearest, shrink
from worlds.palette import BACKGROUNDS, COLORS
from worlds.shape_matching import centered, fit_shape, sampled
from worlds.styles import DARK_INK, DARK_LUMA, LIGHT_INK, undo_night

MEASURED_SIDE_PX = 96
"""Larger frames are scaled down to this short side first."""
LUMA_C = np.array([0.299, 0.587, 0.114])
INK_REACH = 75.0
"""Maximum RGB distance of an ink pixel from the colour of the ink."""
MIN_REGION_AREA = 0.0015
"""Smaller regions are noise, in squared short sides."""
LINED_SHARE = 0.12
"""Minimum fraction of ink among the pixels around things in an outlined video."""


def color_labels_THW(frames_THWC: np.ndarray) -> np.ndarray:
    """Label each pixel with the index (from 1) of the nearest of COLORS; 0 for grounds and lines."""
    return lookup_nearest(_label_table(), frames_THWC)


@cache
def _label_table() -> np.ndarray:
    nearest = build_nearest_table([*COLORS.values(), *BACKGROUNDS.values(), DARK_INK, LIGHT_INK])
    return np.where(nearest < len(COLORS), nearest + 1, 0).astype(np.uint8)


def ground_and_ink(frames_THWC: np.ndarray, labels_THW: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the median colour outside of things (ground_C) and the colour of lines on it (ink_C)."""
    background_PC = frames_THWC[labels_THW == 0]
    ground_C = (
        np.median(background_PC[:: max(1, len(background_PC) // 50_000)], axis=0)
        if len(background_PC)
        else np.zeros(3)
    )
    return ground_C, np.array(LIGHT_INK if ground_C @ LUMA_C < DARK_LUMA else DARK_INK, float)


def remove_outlines(frames_THWC: np.ndarray) -> np.ndarray:
    """Remove the outlines of things and the texture of the ground; return frames without lines unchanged."""
    labels_THW = color_labels_THW(frames_THWC)
    ground_C, ink_C = ground_and_ink(frames_THWC, labels_THW)
    if not _has_lines(frames_THWC, labels_THW, ink_C):
        return frames_THWC
    plain_THWC = np.empty_like(frames_THWC)
    plain_THWC[:] = np.rint(ground_C)
    for frame_HWC, plain_HWC, labels_HW in zip(frames_THWC, plain_THWC, labels_THW, strict=True):
        _repaint(frame_HWC, plain_HWC, labels_HW, ground_C, ink_C)
    return plain_THWC


def _has_lines(frames_THWC: np.ndarray, labels_THW: np.ndarray, ink_C: np.ndarray) -> bool:
    near_THW = np.stack([cv2.dilate(frame_HW, np.ones((5, 5), np.uint8)) for frame_HW in labels_THW]) > 0
    background_PC = frames_THWC[near_THW & (labels_THW == 0)].astype(np.float32)
    return (
        len(background_PC) > 0
        and np.mean(np.linalg.norm(background_PC - ink_C, axis=1) < INK_REACH) > LINED_SHARE
    )


def _repaint(
    frame_HWC: np.ndarray,
    plain_HWC: np.ndarray,
    labels_HW: np.ndarray,
    ground_C: np.ndarray,
    ink_C: np.ndarray,
) -> None:
    """Paint each thing of a frame over a plain ground, weighted by its coverage, in place."""
    num_components, component_HW, stats, _ = cv2.connectedComponentsWithStats(
        (labels_HW > 0).astype(np.uint8), connectivity=8
    )
    for component in range(1, num_components):
        if stats[component, cv2.CC_STAT_AREA] < 6:
            continue
        inside_HW = component_HW == component
        color = np.bincount(labels_HW[inside_HW]).argmax()
        color_C = np.median(frame_HWC[inside_HW & (labels_HW == color)], axis=0)
        near_HW = cv2.dilate(inside_HW.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
        alpha_P1 = coverage_by_color(frame_HWC[near_HW], color_C, ground_C, ink_C)[:, None]
        plain_HWC[near_HW] = np.rint(ground_C + alpha_P1 * (color_C - ground_C))


def coverage_by_color(
    rgb_PC: np.ndarray, color_C: np.ndarray, ground_C: np.ndarray, ink_C: np.ndarray
) -> np.ndarray:
    """Estimate the coverage of each pixel by a thing (0 to 1) from the distance to its colour.

    0 is at the distance of the ground or the ink, whichever is nearer.
    """
    nearest = min(np.linalg.norm(color_C - ground_C), np.linalg.norm(color_C - ink_C))
    away_P = np.linalg.norm(rgb_PC.astype(np.float32) - color_C, axis=1)
    return np.clip(1 - away_P / max(nearest, 1.0), 0, 1)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Region:
    """A connected region of things in one frame."""

    frame: int
    color: str
    """A name of `palette.COLORS`."""
    area: float
    """Squared short sides."""
    center_2: np.ndarray
    """(x, y) in short sides."""
    rgb_C: np.ndarray
    inside_HW: np.ndarray


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Segmentation:
    """A scaled-down video without its night style, and the regions of its things."""

    frames_THWC: np.ndarray
    regions_T: tuple[tuple[Region, ...], ...]
    """Regions of each frame, largest first."""
    ground_C: np.ndarray
    """Median colour outside of things."""
    ink_C: np.ndarray | None
    """Colour of outlines; None without outlines."""

    @property
    def short_side_px(self) -> int:
        return min(self.frames_THWC.shape[1:3])


def segment(frames_THWC: np.ndarray) -> Segmentation:
    """Segment the things of a video (RGB, uint8) in any style.

    Raises:
        ValueError: unless frames are (T, H, W, 3).
    """
    frames_THWC = undo_night(shrink(frames_THWC, MEASURED_SIDE_PX))
    labels_THW = color_labels_THW(frames_THWC)
    ground_C, ink_C = ground_and_ink(frames_THWC, labels_THW)
    return Segmentation(
        frames_THWC=frames_THWC,
        regions_T=tuple(
            tuple(_regions(index, frames_THWC[index], labels_THW[index])) for index in range(len(labels_THW))
        ),
        ground_C=ground_C,
        ink_C=ink_C if _has_lines(frames_THWC, labels_THW, ink_C) else None,
    )


def _regions(index: int, rgb_HWC: np.ndarray, labels_HW: np.ndarray) -> list[Region]:
    num_components, component_HW, stats, centers = cv2.connectedComponentsWithStats(
        (labels_HW > 0).astype(np.uint8), connectivity=4
    )
    side, regions = min(labels_HW.shape), []
    for component in range(1, num_components):
        area = stats[component, cv2.CC_STAT_AREA] / side**2
        if area < MIN_REGION_AREA:
            continue
        inside_HW = component_HW == component
        core_HW = cv2.erode(inside_HW.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
        core_HW = core_HW if core_HW.any() else inside_HW
        number = np.bincount(labels_HW[core_HW]).argmax()
        regions.append(
            Region(
                frame=index,
                color=list(COLORS)[number - 1],
                area=float(area),
                center_2=(centers[component] + 0.5) / side,
                rgb_C=np.median(rgb_HWC[core_HW & (labels_HW == number)], axis=0),
                inside_HW=inside_HW,
            )
        )
    return sorted(regions, key=lambda region: -region.area)


def dominant_color(regions: Sequence[Region]) -> str | None:
    """Return the colour with the largest total area; None without regions."""
    areas: dict[str, float] = {}
    for region in regions:
        areas[region.color] = areas.get(region.color, 0.0) + region.area
    return max(areas, key=areas.__getitem__) if areas else None


def classify_shape(segmentation: Segmentation, regions: Sequence[Region]) -> str | None:
    """Return the shape of a thing that fills each of the regions; None if no shape fits."""
    if not regions:
        return None
    chosen = sampled(regions)
    side = segmentation.short_side_px
    reach = math.ceil(0.75 * math.sqrt(max(region.area for region in chosen)) * side) + 4
    outline_HW = np.mean([_coverage_mask(segmentation, region, reach) for region in chosen], axis=0)
    return fit_shape(outline_HW, side / 64)[0] if outline_HW.any() else None


def _coverage_mask(segmentation: Segmentation, region: Region, reach: int) -> np.ndarray:
    """Return a region's coverage of each pixel (0 to 1) as mask_HW, centred."""
    lined = segmentation.ink_C is not None
    kernel = np.ones((3, 3) if lined else (5, 5), np.uint8)
    near_HW = cv2.dilate(region.inside_HW.astype(np.uint8), kernel) > 0
    ink_C = segmentation.ink_C if segmentation.ink_C is not None else segmentation.ground_C
    frame_HWC = segmentation.frames_THWC[region.frame]
    alpha_HW = np.zeros(near_HW.shape, np.float32)
    alpha_HW[near_HW] = coverage_by_color(frame_HWC[near_HW], region.rgb_C, segmentation.ground_C, ink_C)
    return centered(alpha_HW, reach)
