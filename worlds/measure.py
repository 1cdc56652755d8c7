"""Measure what is in a video by its pixels alone: background, things, their colour, shape and motion.

Legend: T frames, H height, W width, C channels (RGB), L channels of CIELAB, P pixels, K components in one
frame. The frame is a torus, as in `worlds.shapes`: a thing cut by the right edge goes on at the left one.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np

from worlds.drawing import coverage
from worlds.palette import BACKGROUNDS, COLORS, DIRECTIONS, SHAPES, SPEEDS, STILL
from worlds.truth import World

MEASURED_SIDE_PX = 96
"""Larger frames are scaled down to this short side first."""
FOREGROUND = 24.0
"""CIELAB distance from the background at which a pixel belongs to a thing; the nearest pair of a colour of
a thing and one of a background is 45 apart."""
UNKNOWN_COLOR = 40.0
"""CIELAB distance from every colour of the palette beyond which a colour has no name."""
SMALLEST_AREA = 0.006
"""Specks below this (in squared short sides) are noise; the smallest thing, a star, covers 0.024."""
SLOWEST = SPEEDS["slow"] / 2
"""Below this (short sides per second) a thing stays still."""
MOST_THINGS = 4
"""Things beyond these, the largest, are counted but not followed."""
BLURS = (0.4, 0.8, 1.3, 1.9, 2.6)
"""Blurs (sigma in pixels of a 64-pixel short side) under which shapes are compared."""
UNCLEAR_SHAPE = 0.05
"""One minus the squared correlation with the best template, beyond which an outline fits no shape."""
SHAPE_FRAMES = 8
"""The outline is averaged over this many frames, evenly spaced."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MeasuredThing:
    """One thing found in a video. None where nothing of the palette fits, and for motion in a single
    frame."""

    color: str | None
    shape: str | None
    direction: str | None
    speed: str | None
    """None for a thing that stays still, too."""
    speed_per_s: float | None
    """Short sides per second."""
    shape_error: float
    """Of the shape that fits best."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """What was found in a video."""

    background: str | None
    things: tuple[MeasuredThing, ...]
    count: int
    """Median over the frames."""
    num_frames: int


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Blob:
    """One connected component in one frame."""

    frame: int
    center_2: np.ndarray
    """(x, y) in pixels, on the torus."""
    area: float
    lab_L: np.ndarray
    rgb_C: np.ndarray
    cover_HW: np.ndarray
    """The frame's mask of this component, rolled so that it is whole."""
    roll: tuple[int, int]
    """(rows, columns) by which it was rolled."""


def measure(frames_THWC: np.ndarray, fps: float) -> Measured:
    """Measure a video (RGB, uint8).

    Args:
        fps: frames per second, for speeds.
    """
    if frames_THWC.ndim != 4 or frames_THWC.shape[-1] != 3 or not frames_THWC.size:
        raise ValueError(f"frames are {frames_THWC.shape}: expected (T, H, W, 3) with at least one frame")
    frames_THWC = shrink(frames_THWC)
    num_frames, height, width = frames_THWC.shape[:3]
    lab_THWL = to_lab(frames_THWC)
    background_L = np.median(lab_THWL.reshape(-1, 3)[:: max(1, num_frames // 8)], axis=0)
    away_THW = np.sqrt(((lab_THWL - background_L) ** 2).sum(axis=-1))
    blobs_T = [
        _find_blobs(index, frames_THWC[index], lab_THWL[index], away_THW[index])
        for index in range(num_frames)
    ]
    count = int(np.median([len(blobs) for blobs in blobs_T]))
    tracks = _follow(blobs_T, min(count, MOST_THINGS), np.array([width, height], float))
    background_rgb_C = np.median(frames_THWC[away_THW < FOREGROUND], axis=0)
    return Measured(
        background=nearest(background_L, BACKGROUNDS),
        things=tuple(_describe(track, frames_THWC, background_rgb_C, fps) for track in tracks),
        count=count,
        num_frames=num_frames,
    )


def measured_truth(world: World) -> Measured:
    """Return what a perfect measurement of `world` would find."""
    things = tuple(
        MeasuredThing(
            color=thing.color,
            shape=thing.shape,
            direction=thing.direction if world.num_frames > 1 else None,
            speed=thing.speed if world.num_frames > 1 else None,
            speed_per_s=math.hypot(*thing.velocity) if world.num_frames > 1 else None,
            shape_error=0.0,
        )
        for thing in world.things
    )
    return Measured(
        background=world.background, things=things, count=len(things), num_frames=world.num_frames
    )


def shrink(frames_THWC: np.ndarray) -> np.ndarray:
    """Scale frames down to a short side of MEASURED_SIDE_PX; smaller ones stay as they are."""
    height, width = frames_THWC.shape[1:3]
    scale = MEASURED_SIDE_PX / min(height, width)
    if scale >= 1:
        return frames_THWC
    size = (round(width * scale), round(height * scale))
    return np.stack([cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for frame in frames_THWC])


def to_lab(rgb: np.ndarray) -> np.ndarray:
    """Convert RGB (uint8, any shape ending in C) to CIELAB (float32)."""
    flat = np.ascontiguousarray(rgb.reshape(1, -1, 3)).astype(np.float32) / 255
    return cv2.cvtColor(flat, cv2.COLOR_RGB2LAB).reshape(rgb.shape)


def nearest(lab_L: np.ndarray, palette: Mapping[str, tuple[int, int, int]]) -> str | None:
    """Return the name of the nearest colour, or None if none is near."""
    palette_NL = to_lab(np.array(list(palette.values()), np.uint8))
    distance_N = np.sqrt(((palette_NL - lab_L) ** 2).sum(axis=1))
    best = int(np.argmin(distance_N))
    return list(palette)[best] if distance_N[best] < UNKNOWN_COLOR else None


def _find_blobs(index: int, rgb_HWC: np.ndarray, lab_HWL: np.ndarray, away_HW: np.ndarray) -> list[_Blob]:
    """Return the things in one frame, the largest first."""
    mask_HW = (away_HW > FOREGROUND).astype(np.uint8)
    roll = (-int(np.argmin(mask_HW.sum(axis=1))), -int(np.argmin(mask_HW.sum(axis=0))))
    rolled_HW = np.roll(mask_HW, roll, axis=(0, 1))  # the seam now runs where there is nothing
    num_labels, label_HW, stats, centers = cv2.connectedComponentsWithStats(rolled_HW, connectivity=4)
    height, width = mask_HW.shape
    smallest = SMALLEST_AREA * min(height, width) ** 2
    blobs = []
    for label in range(1, num_labels):
        area = float(stats[label, cv2.CC_STAT_AREA])
        if area < smallest:
            continue
        cover_HW = label_HW == label
        inside_HW = np.roll(cover_HW, (-roll[0], -roll[1]), axis=(0, 1))
        away_P = away_HW[inside_HW]
        core_P = away_P >= np.quantile(away_P, 0.6)  # far from the background: not its edge
        center_2 = (centers[label] + 0.5 - np.array(roll[::-1])) % (width, height)
        blobs.append(
            _Blob(
                frame=index,
                center_2=center_2,
                area=area,
                lab_L=np.median(lab_HWL[inside_HW][core_P], axis=0),
                rgb_C=np.median(rgb_HWC[inside_HW][core_P], axis=0),
                cover_HW=cover_HW,
                roll=roll,
            )
        )
    return sorted(blobs, key=lambda blob: -blob.area)


def _follow(blobs_T: Sequence[Sequence[_Blob]], count: int, extent_2: np.ndarray) -> list[list[_Blob]]:
    """Join the blobs of all frames into `count` tracks, by place and colour; a track may miss frames."""
    if not count:
        return []
    first = next(index for index, blobs in enumerate(blobs_T) if len(blobs) >= count)
    tracks = [[blob] for blob in blobs_T[first][:count]]
    last = list(blobs_T[first][:count])
    for blobs in blobs_T[first + 1 :]:
        _extend(tracks, last, blobs[:count], extent_2)
    last = list(blobs_T[first][:count])
    for blobs in reversed(blobs_T[:first]):
        _extend(tracks, last, blobs[:count], extent_2)
    return [sorted(track, key=lambda blob: blob.frame) for track in tracks]


def _extend(
    tracks: list[list[_Blob]], last: list[_Blob], blobs: Sequence[_Blob], extent_2: np.ndarray
) -> None:
    """Give each blob of a frame to one track, so that places and colours change least."""

    def change(order: Sequence[int]) -> float:
        return sum(_change(last[n], blob, extent_2) for n, blob in zip(order, blobs, strict=True))

    best = min(itertools.permutations(range(len(tracks)), len(blobs)), key=change)
    for n, blob in zip(best, blobs, strict=True):
        tracks[n].append(blob)
        last[n] = blob


def _change(before: _Blob, after: _Blob, extent_2: np.ndarray) -> float:
    moved = float(np.hypot(*_shortest(after.center_2 - before.center_2, extent_2))) / float(extent_2.min())
    return moved + float(np.linalg.norm(after.lab_L - before.lab_L)) / 100


def _shortest(step_2: np.ndarray, extent_2: np.ndarray) -> np.ndarray:
    """Return a step on the torus as the shortest one."""
    return (step_2 + extent_2 / 2) % extent_2 - extent_2 / 2


def _describe(
    track: Sequence[_Blob], frames_THWC: np.ndarray, background_rgb_C: np.ndarray, fps: float
) -> MeasuredThing:
    extent_2 = np.array(frames_THWC.shape[2:0:-1], float)
    direction, speed, speed_per_s = _motion(track, extent_2, fps)
    shape, error = _shape(track, frames_THWC, background_rgb_C)
    color_L = np.median([blob.lab_L for blob in track], axis=0)
    return MeasuredThing(
        color=nearest(color_L, COLORS),
        shape=shape,
        direction=direction,
        speed=speed,
        speed_per_s=speed_per_s,
        shape_error=error,
    )


def _motion(
    track: Sequence[_Blob], extent_2: np.ndarray, fps: float
) -> tuple[str | None, str | None, float | None]:
    """Return direction, speed, and short sides per second: the slope of a straight line through all
    centres."""
    if len(track) < 2:
        return None, None, None
    steps = [_shortest(b.center_2 - a.center_2, extent_2) for a, b in itertools.pairwise(track)]
    path_T2 = np.concatenate([np.zeros((1, 2)), np.cumsum(steps, axis=0)]) / extent_2.min()
    time_T = np.array([blob.frame for blob in track]) / fps
    time_T = time_T - time_T.mean()
    velocity_2 = (time_T[:, None] * path_T2).sum(axis=0) / (time_T**2).sum()
    speed_per_s = float(np.hypot(*velocity_2))
    if speed_per_s < SLOWEST:
        return STILL, None, speed_per_s
    direction = max(DIRECTIONS, key=lambda name: float(np.dot(DIRECTIONS[name], velocity_2)))
    speed = min(SPEEDS, key=lambda name: abs(math.log(SPEEDS[name] / speed_per_s)))
    return direction, speed, speed_per_s


def _shape(
    track: Sequence[_Blob], frames_THWC: np.ndarray, background_rgb_C: np.ndarray
) -> tuple[str | None, float]:
    """Return the shape whose blurred template fits the averaged outline best, and its error."""
    reach = math.ceil(0.75 * math.sqrt(max(blob.area for blob in track))) + 4
    chosen = [track[i] for i in np.unique(np.linspace(0, len(track) - 1, SHAPE_FRAMES).round().astype(int))]
    outline_HW = np.mean([_outline(blob, frames_THWC, background_rgb_C, reach) for blob in chosen], axis=0)
    return fit_shape(outline_HW, min(frames_THWC.shape[1:3]) / 64)


def fit_shape(outline_HW: np.ndarray, scale: float) -> tuple[str | None, float]:
    """Return the shape whose blurred template fits an outline best (None if none does), and its error.

    Args:
        outline_HW: how much of each pixel is covered, centred.
        scale: short side of the frame in units of 64 pixels.
    """
    errors = {shape: min(_misfit(outline_HW, shape, sigma * scale) for sigma in BLURS) for shape in SHAPES}
    best = min(errors, key=errors.__getitem__)
    return (best if errors[best] < UNCLEAR_SHAPE else None), errors[best]


def _outline(blob: _Blob, frames_THWC: np.ndarray, background_rgb_C: np.ndarray, reach: int) -> np.ndarray:
    """Return how much of each pixel round the blob's centre it covers (0 to 1), centred, as mask_HW."""
    near_HW = cv2.dilate(blob.cover_HW.astype(np.uint8), np.ones((5, 5), np.uint8))
    rgb_HWC = np.roll(frames_THWC[blob.frame], blob.roll, axis=(0, 1)).astype(np.float32)
    contrast_C = blob.rgb_C - background_rgb_C
    alpha_HW = ((rgb_HWC - background_rgb_C) @ contrast_C) / (contrast_C @ contrast_C)
    alpha_HW = (np.clip(alpha_HW, 0, 2) * near_HW).astype(np.float32)
    rows, columns = np.indices(alpha_HW.shape)
    total = alpha_HW.sum()
    center = ((columns * alpha_HW).sum() / total, (rows * alpha_HW).sum() / total)
    shift = np.array([[1, 0, reach - center[0]], [0, 1, reach - center[1]]], np.float64)
    return cv2.warpAffine(alpha_HW, shift, (2 * reach + 1, 2 * reach + 1), flags=cv2.INTER_LINEAR)


def _misfit(outline_HW: np.ndarray, shape: str, sigma: float) -> float:
    """Return 1 minus the squared correlation of an outline with a template blurred by `sigma`.

    The template has the outline's spread (of which blur gives 2 sigma^2); how strong the outline is does
    not matter, because a blurred thing never reaches its full colour.
    """
    side = outline_HW.shape[0]
    size_px = math.sqrt(max(_spread(outline_HW) - 2 * sigma**2, 1.0) / _unit_spread(shape))
    template_HW = cv2.GaussianBlur(
        coverage(shape, size_px, (side / 2, side / 2), (side, side)), (0, 0), sigma
    )
    return 1 - float((outline_HW * template_HW).sum() ** 2 / ((outline_HW**2).sum() * (template_HW**2).sum()))


def _spread(mask_HW: np.ndarray) -> float:
    """Return the mean squared distance from the centre, in pixels."""
    rows, columns = np.indices(mask_HW.shape)
    total = mask_HW.sum()
    row, column = (rows * mask_HW).sum() / total, (columns * mask_HW).sum() / total
    return float((((rows - row) ** 2 + (columns - column) ** 2) * mask_HW).sum() / total)


@cache
def _unit_spread(shape: str) -> float:
    """Return the spread of a shape of size 1."""
    return _spread(coverage(shape, 96, (50, 50), (100, 100))) / 96**2
