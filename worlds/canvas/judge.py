"""Judge a video of a canvas: strokes or bites, their directions, and whether they are permanent.

Legend: T frames, H height, W width, C channels (RGB), P pixels. A pixel is painted if its nearest reference
colour is one of `COLORS`.
"""

import math
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np

from worlds.canvas.draw import CHIP, DARK, LIGHT
from worlds.canvas.truth import SIDES, WAYS, CanvasWorld
from worlds.color_lookup import build_nearest_table, components, lookup_nearest, shrink
from worlds.palette import BACKGROUNDS, COLORS
from worlds.styles import undo_night

MEASURED_SIDE_PX = 64
"""Short side to which larger frames are scaled down."""
MIN_STROKE_AREA = 0.015
"""Minimum area of a stroke, in squared short sides; the smallest true stroke covers 0.04."""
MAX_LINE_WIDTH = 0.2
"""Maximum width of the box of a line, in short sides; that of a wave is at least 0.25."""
MIN_CIRCLE_ASPECT = 0.66
"""Minimum ratio of the sides of the box of a circle; that of a wave is at most 0.6."""
MAX_TURN_ERROR = 0.15
"""Maximum mean error of the painting order along a circle, in fractions of the circle; the wrong direction
gives 0.25."""
MIN_FOOD_AREA = 0.08
"""Minimum area of food, in squared short sides."""
MIN_FOOD_RADIUS = 0.11
"""Minimum radius of the largest inscribed disc of food, in short sides; strokes are thinner."""
MIN_BITE_AREA = 0.03
"""Minimum area of a bite, in areas of the whole food; a true bite takes about 0.1."""
MIN_CHIP_AREA = 0.03
"""Minimum fraction of dark spots in a cookie: chips cover 0.07; after opening, the lines of a texture cover
at most 0.018."""
MIN_PERSISTENCE = 0.85
"""Minimum fraction of painted pixels that remain at the end, and on average until then; the brush may hide
some of them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MeasuredStroke:
    color: str
    form: str
    direction: str | None
    """None for a single frame or if the paint did not grow."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MeasuredCanvas:
    """Result of the measurement."""

    background: str | None
    strokes: tuple[MeasuredStroke, ...]
    """In the order of painting; empty if there is food."""
    paint_stays: bool
    food: tuple[str, str] | None
    """(colour, kind) of the food in the first frames."""
    bites: tuple[str, ...]
    """Bitten sides of the food at the end, sorted."""
    bites_stay: bool


def judge(frames_THWC: np.ndarray, fps: float, world: CanvasWorld) -> dict[str, bool]:
    """Return, for each attribute, whether a video (RGB, uint8) agrees with `world`."""
    return compare(measure_canvas(frames_THWC), world)


def compare(measured: MeasuredCanvas, world: CanvasWorld) -> dict[str, bool]:
    """Compare a measurement with `world`; ignore motion in a single frame."""
    expected = measured_truth(world)
    verdict = {"background": measured.background == expected.background}
    if expected.food is not None:
        verdict |= {
            "color": measured.food is not None and measured.food[0] == expected.food[0],
            "kind": measured.food is not None and measured.food[1] == expected.food[1],
            "bites": measured.food is not None and measured.bites == expected.bites,
        }
        return verdict | ({"stays": measured.bites_stay} if world.moves else {})
    verdict |= {
        "color": sorted(s.color for s in measured.strokes) == sorted(s.color for s in expected.strokes),
        "form": sorted(s.form for s in measured.strokes) == sorted(s.form for s in expected.strokes),
        "count": len(measured.strokes) == len(expected.strokes),
    }
    if world.moves:
        directions = [sorted(str(s.direction) for s in side.strokes) for side in (measured, expected)]
        verdict |= {"direction": directions[0] == directions[1], "stays": measured.paint_stays}
        verdict["binding"] = measured.strokes == expected.strokes
    return verdict


def measured_truth(world: CanvasWorld) -> MeasuredCanvas:
    """Return the ideal measurement of `world`."""
    moves, food = world.moves, world.food
    return MeasuredCanvas(
        background=world.background,
        strokes=tuple(
            MeasuredStroke(color=s.color, form=s.form, direction=s.direction if moves else None)
            for s in world.strokes
        ),
        paint_stays=bool(world.strokes) and moves,
        food=None if food is None else (food.color, food.kind),
        bites=() if food is None else tuple(sorted(bite.side for bite in food.bites)),
        bites_stay=food is not None and moves,
    )


def measure_canvas(frames_THWC: np.ndarray) -> MeasuredCanvas:
    """Measure a video (RGB, uint8).

    Raises:
        ValueError: if the frames have another layout.
    """
    frames_THWC = undo_night(shrink(frames_THWC, MEASURED_SIDE_PX))
    table, names = _references()
    nearest_THW = lookup_nearest(table, frames_THWC)
    paint_THW = np.where(nearest_THW < len(COLORS), nearest_THW + 1, 0).astype(np.uint8)
    grounds = np.bincount(
        nearest_THW[(nearest_THW >= len(COLORS)) & (nearest_THW < len(COLORS) + len(BACKGROUNDS))],
        minlength=len(names),
    )
    background = names[int(np.argmax(grounds))] if grounds.any() else None
    short = min(paint_THW.shape[1:])
    food = _food(paint_THW, short)
    strokes, stays = ((), False) if food is not None else _strokes(paint_THW, short)
    bites, bites_stay = ((), False) if food is None else _bites(paint_THW == food[0], food[1])
    return MeasuredCanvas(
        background=background,
        strokes=strokes,
        paint_stays=stays,
        food=None if food is None else (list(COLORS)[food[0] - 1], _kind(frames_THWC, paint_THW, food)),
        bites=bites,
        bites_stay=bites_stay,
    )


@cache
def _references() -> tuple[np.ndarray, list[str]]:
    """Return a lookup table of reference colours and their names: things, backgrounds, then tools."""
    return (
        build_nearest_table([*COLORS.values(), *BACKGROUNDS.values(), DARK, LIGHT, CHIP]),
        [*COLORS, *BACKGROUNDS, "dark", "light", "chip"],
    )


def _strokes(paint_THW: np.ndarray, short: int) -> tuple[tuple[MeasuredStroke, ...], bool]:
    """Return the final strokes in the order of painting, and whether all paint is permanent."""
    num_frames = len(paint_THW)
    last_THW = paint_THW[-max(1, min(3, num_frames // 8)) :]
    strokes, stays = [], num_frames > 1
    for number, color in enumerate(COLORS, start=1):
        mask_HW = (last_THW == number).mean(axis=0) > 0.5
        parts = components(mask_HW, MIN_STROKE_AREA * short**2)
        painted_HW, persistence = _persistence(paint_THW == number)
        if (parts or components(painted_HW, MIN_STROKE_AREA * short**2)) and persistence < MIN_PERSISTENCE:
            stays = False
        whole_HW = np.any(parts, axis=0) if parts else None
        if whole_HW is None:
            continue
        first_HW = _first_time(paint_THW == number)
        begin = float(np.median(first_HW[whole_HW])) if num_frames > 1 else 0.0
        form = _form(whole_HW, short)
        direction = _direction(whole_HW, first_HW, form) if num_frames > 1 else None
        strokes.append((begin, MeasuredStroke(color=color, form=form, direction=direction)))
    order = sorted(strokes, key=lambda pair: pair[0])
    return tuple(stroke for _, stroke in order), stays and bool(strokes)


def _first_time(mask_THW: np.ndarray) -> np.ndarray:
    """Return the first of two consecutive frames in which each pixel is painted; 0 if there are none."""
    twice_THW = mask_THW.copy()
    twice_THW[:-1] &= mask_THW[1:]
    return np.argmax(twice_THW, axis=0)


def _persistence(mask_THW: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the mask of pixels painted in two consecutive frames, and the fraction that remains painted."""
    if len(mask_THW) < 2:
        return mask_THW[0], 1.0
    twice_HW = np.asarray((mask_THW[:-1] & mask_THW[1:]).any(axis=0), np.uint8)
    painted_HW = cv2.morphologyEx(twice_HW, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)) > 0
    if not painted_HW.any():
        return painted_HW, 1.0
    first_HW = _first_time(mask_THW)
    since_THW = (np.arange(len(mask_THW))[:, None, None] >= first_HW) & painted_HW
    held = float((mask_THW & since_THW).sum() / since_THW.sum())
    at_end = float(np.logical_or(mask_THW[-2], mask_THW[-1])[painted_HW].mean())
    return painted_HW, min(held, at_end)


def _form(mask_HW: np.ndarray, short: int) -> str:
    rows, columns = np.nonzero(mask_HW)
    sides = sorted((np.ptp(rows) + 1, np.ptp(columns) + 1))
    if sides[0] < MAX_LINE_WIDTH * short:
        return "line"
    return "circle" if sides[0] >= MIN_CIRCLE_ASPECT * sides[1] and _hollow(mask_HW) else "wave"


def _hollow(mask_HW: np.ndarray) -> bool:
    """Return whether less than 30 % of the central ninth of the bounding box is covered."""
    rows, columns = np.nonzero(mask_HW)
    height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
    middle_HW = mask_HW[
        rows.min() + height // 3 : rows.min() + 2 * height // 3 + 1,
        columns.min() + width // 3 : columns.min() + 2 * width // 3 + 1,
    ]
    return float(middle_HW.mean()) < 0.3


def _direction(mask_HW: np.ndarray, first_HW: np.ndarray, form: str) -> str | None:
    """Return the direction in which the paint appeared, or None if it appeared at once."""
    rows, columns = np.nonzero(mask_HW)
    time_P = first_HW[mask_HW].astype(float)
    if np.ptp(time_P) == 0:
        return None
    if form == "circle":
        return _turn(np.arctan2(rows - rows.mean(), columns - columns.mean()), time_P)
    directions = ("left", "right") if np.ptp(columns) > np.ptp(rows) else ("up", "down")
    slope_2 = np.array([np.cov(columns, time_P)[0, 1], np.cov(rows, time_P)[0, 1]])
    return max(directions, key=lambda name: float(np.dot(WAYS[name], slope_2)))


def _turn(angle_P: np.ndarray, time_P: np.ndarray) -> str | None:
    """Return the direction of rotation that best fits the painting order over all start angles, or None."""
    order_P = np.argsort(np.argsort(time_P, kind="stable")) / len(time_P)
    misfit: dict[str | None, float] = {None: MAX_TURN_ERROR}
    for name, sign in (("clockwise", 1), ("counterclockwise", -1)):
        starts_S1 = np.linspace(0, 2 * math.pi, 24, endpoint=False)[:, None]
        progress_SP = (sign * (angle_P - starts_S1)) % (2 * math.pi) / (2 * math.pi)
        error_SP = np.abs(progress_SP - order_P)  # circular: start and end overlap
        misfit[name] = float(np.minimum(error_SP, 1 - error_SP).mean(axis=1).min())
    return min(misfit, key=misfit.__getitem__)


def _food(paint_THW: np.ndarray, short: int) -> tuple[int, np.ndarray] | None:
    """Return the colour label of the food in the first frames and its mask_HW before bites, or None."""
    first_THW = paint_THW[: max(1, min(3, len(paint_THW) // 8))]
    counts = [int((first_THW == number).sum()) for number in range(1, len(COLORS) + 1)]
    number = int(np.argmax(counts)) + 1
    parts = components((first_THW == number).mean(axis=0) > 0.5, MIN_FOOD_AREA * short**2)
    if not parts:
        return None
    whole_HW = parts[0].astype(np.uint8)
    closed_HW = cv2.morphologyEx(np.pad(whole_HW, 3), cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))
    if cv2.distanceTransform(closed_HW, cv2.DIST_L2, 5).max() < MIN_FOOD_RADIUS * short:
        return None
    contours, _ = cv2.findContours(whole_HW, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    outline, filled_HW = max(contours, key=cv2.contourArea), np.zeros_like(whole_HW)
    if len(paint_THW) > 1:
        cv2.drawContours(filled_HW, [outline], 0, 1, -1)
    else:  # a single frame shows bitten food
        (x, y), radius = cv2.minEnclosingCircle(outline)
        cv2.circle(filled_HW, (round(x), round(y)), max(1, round(radius)), 1, -1)
    return number, filled_HW.astype(bool)


def _kind(frames_THWC: np.ndarray, paint_THW: np.ndarray, food: tuple[int, np.ndarray]) -> str:
    """Return `cookie` if the food has dark chips, else `apple`."""
    inside_HW = cv2.erode(food[1].astype(np.uint8), np.ones((7, 7), np.uint8)).astype(bool)
    start = max(1, len(paint_THW) // 8)
    light_HW = frames_THWC[:start].astype(np.float32).mean(axis=(0, 3))
    skin = np.array(list(COLORS.values())[food[0] - 1], np.float32).mean()
    chips_HW = inside_HW & (light_HW < skin - 0.35 * (skin - np.mean(CHIP))) & (light_HW < skin - 12)
    if len(paint_THW) == 1:
        chips_HW &= cv2.dilate((paint_THW[0] == food[0]).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    spots_HW = cv2.morphologyEx(chips_HW.astype(np.uint8), cv2.MORPH_OPEN, np.ones((2, 2), np.uint8))
    return "cookie" if spots_HW.sum() > MIN_CHIP_AREA * food[1].sum() else "apple"


def _bites(mask_THW: np.ndarray, whole_HW: np.ndarray) -> tuple[tuple[str, ...], bool]:
    """Return the bitten sides at the end, sorted, and whether bites are permanent."""
    rows, columns = np.nonzero(whole_HW)
    center_2 = np.array([columns.mean(), rows.mean()])
    radius = math.sqrt(len(rows) / math.pi)
    last_HW = (mask_THW[-max(1, min(3, len(mask_THW) // 8)) :]).mean(axis=0) > 0.5
    closed_HW = cv2.morphologyEx(last_HW.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8)) > 0
    missing_HW = whole_HW & ~closed_HW
    y, x = np.indices(whole_HW.shape)
    rim_HW = np.hypot(x - center_2[0], y - center_2[1]) > 0.55 * radius
    sides = []
    for side, direction_2 in SIDES.items():
        cosine = ((x - center_2[0]) * direction_2[0] + (y - center_2[1]) * direction_2[1]) / np.maximum(
            np.hypot(x - center_2[0], y - center_2[1]), 1e-6
        )
        sector_HW = rim_HW & whole_HW & (cosine > math.cos(math.radians(24)))
        if sector_HW.any() and missing_HW[sector_HW].mean() > 0.5:
            sides.append(side)
    opened_HW = cv2.morphologyEx(missing_HW.astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)) > 0
    if len(mask_THW) < 2 or not sides or opened_HW.sum() < MIN_BITE_AREA * whole_HW.sum():
        return tuple(sorted(sides)), False
    return tuple(sorted(sides)), _stays_missing(mask_THW, whole_HW)


def _stays_missing(mask_THW: np.ndarray, whole_HW: np.ndarray) -> bool:
    """Return whether the missing area at the end is more than 75 % of its maximum."""
    missing_T = np.array([(whole_HW & ~mask_HW).sum() for mask_HW in mask_THW], float)
    missing_T -= missing_T[: max(1, len(missing_T) // 8)].mean()
    smooth_T = np.convolve(missing_T, np.ones(3) / 3, mode="valid") if len(missing_T) > 4 else missing_T
    return bool(smooth_T[-1] > 0.75 * smooth_T.max())
