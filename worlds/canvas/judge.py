"""Judge a video of a canvas: what was painted or bitten, in which way, and whether it stays.

Legend: T frames, H height, W width, C channels (RGB), P pixels. A pixel is painted where it has one of the
named colours of things.
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
SMALLEST_STROKE = 0.015
"""In squared short sides; the smallest stroke covers 0.04."""
WIDEST_LINE = 0.2
"""A line's box is at most this wide, in short sides; a wave's is at least 0.25."""
RING = 0.66
"""A circle's box is at least this wide for its length; a wave's is at most 0.6."""
UNCLEAR_TURN = 0.15
"""Mean error of the time at which a circle's parts come, in shares of the circle, beyond which it was not
painted from one end to the other; the wrong way round gives 0.25."""
SMALLEST_FOOD = 0.08
THINNEST_FOOD = 0.11
"""Food has room for a disc of this radius (short sides); paint has not."""
SMALLEST_BITE = 0.03
"""In areas of the whole food; a bite takes about 0.1."""
CHIPPED = 0.03
"""Food with a larger share of dark spots inside is a cookie: chips take 0.07, a texture's lines, once what is
thinner than two pixels is taken away, at most 0.018."""
STAYING = 0.85
"""At least this share of what was painted must be there in the end, and at every moment in between on
average: a brush may hide a little."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MeasuredStroke:
    color: str
    form: str
    direction: str | None
    """None in a single frame, and where the paint did not grow."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MeasuredCanvas:
    """Result of the measurement."""

    background: str | None
    strokes: tuple[MeasuredStroke, ...]
    """In the order of painting; none if there was paint from the start."""
    paint_stays: bool
    food: tuple[str, str] | None
    """(colour, kind) of something round that was there from the start."""
    bites: tuple[str, ...]
    """Sides at which the food is bitten in the end, sorted."""
    bites_stay: bool


def judge(frames_THWC: np.ndarray, fps: float, world: CanvasWorld) -> dict[str, bool]:
    """Return, for each attribute, whether a video (RGB, uint8) agrees with `world`."""
    return compare(measure_canvas(frames_THWC), world)


def compare(found: MeasuredCanvas, world: CanvasWorld) -> dict[str, bool]:
    """Compare a measurement with `world`; of a single frame, ignore motion."""
    asked = measured_truth(world)
    verdict = {"background": found.background == asked.background}
    if asked.food is not None:
        verdict |= {
            "color": found.food is not None and found.food[0] == asked.food[0],
            "kind": found.food is not None and found.food[1] == asked.food[1],
            "bites": found.food is not None and found.bites == asked.bites,
        }
        return verdict | ({"stays": found.bites_stay} if world.moves else {})
    verdict |= {
        "color": sorted(s.color for s in found.strokes) == sorted(s.color for s in asked.strokes),
        "form": sorted(s.form for s in found.strokes) == sorted(s.form for s in asked.strokes),
        "count": len(found.strokes) == len(asked.strokes),
    }
    if world.moves:
        ways = [sorted(str(s.direction) for s in side.strokes) for side in (found, asked)]
        verdict |= {"direction": ways[0] == ways[1], "stays": found.paint_stays}
        verdict["binding"] = found.strokes == asked.strokes
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
    table, names = _looks()
    look_THW = lookup_nearest(table, frames_THWC)
    paint_THW = np.where(look_THW < len(COLORS), look_THW + 1, 0).astype(np.uint8)
    grounds = np.bincount(
        look_THW[(look_THW >= len(COLORS)) & (look_THW < len(COLORS) + len(BACKGROUNDS))],
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
def _looks() -> tuple[np.ndarray, list[str]]:
    """Return a table of looks: colours of things, backgrounds, then tools."""
    return (
        build_nearest_table([*COLORS.values(), *BACKGROUNDS.values(), DARK, LIGHT, CHIP]),
        [*COLORS, *BACKGROUNDS, "dark", "light", "chip"],
    )


def _strokes(paint_THW: np.ndarray, short: int) -> tuple[tuple[MeasuredStroke, ...], bool]:
    """Return the strokes that are there in the end, in the order of painting, and whether all paint stays."""
    num_frames = len(paint_THW)
    last_THW = paint_THW[-max(1, min(3, num_frames // 8)) :]
    found, stays = [], num_frames > 1
    for number, color in enumerate(COLORS, start=1):
        mask_HW = (last_THW == number).mean(axis=0) > 0.5
        parts = components(mask_HW, SMALLEST_STROKE * short**2)
        ever_HW, share = _staying(paint_THW == number)
        if (parts or components(ever_HW, SMALLEST_STROKE * short**2)) and share < STAYING:
            stays = False
        whole_HW = np.any(parts, axis=0) if parts else None
        if whole_HW is None:
            continue
        first_HW = _first_time(paint_THW == number)
        begin = float(np.median(first_HW[whole_HW])) if num_frames > 1 else 0.0
        form = _form(whole_HW, short)
        direction = _direction(whole_HW, first_HW, form) if num_frames > 1 else None
        found.append((begin, MeasuredStroke(color=color, form=form, direction=direction)))
    order = sorted(found, key=lambda pair: pair[0])
    return tuple(stroke for _, stroke in order), stays and bool(found)


def _first_time(mask_THW: np.ndarray) -> np.ndarray:
    """Return the first frame from which each pixel is painted in two frames running."""
    twice_THW = mask_THW.copy()
    twice_THW[:-1] &= mask_THW[1:]
    return np.argmax(twice_THW, axis=0)


def _staying(mask_THW: np.ndarray) -> tuple[np.ndarray, float]:
    """Return which pixels were painted for good (two frames running), and which share of them stays so."""
    if len(mask_THW) < 2:
        return mask_THW[0], 1.0
    twice_HW = np.asarray((mask_THW[:-1] & mask_THW[1:]).any(axis=0), np.uint8)
    ever_HW = cv2.morphologyEx(twice_HW, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)) > 0
    if not ever_HW.any():
        return ever_HW, 1.0
    first_HW = _first_time(mask_THW)
    since_THW = (np.arange(len(mask_THW))[:, None, None] >= first_HW) & ever_HW
    held = float((mask_THW & since_THW).sum() / since_THW.sum())
    at_end = float(np.logical_or(mask_THW[-2], mask_THW[-1])[ever_HW].mean())
    return ever_HW, min(held, at_end)


def _form(mask_HW: np.ndarray, short: int) -> str:
    rows, columns = np.nonzero(mask_HW)
    sides = sorted((np.ptp(rows) + 1, np.ptp(columns) + 1))
    if sides[0] < WIDEST_LINE * short:
        return "line"
    return "circle" if sides[0] >= RING * sides[1] and _hollow(mask_HW) else "wave"


def _hollow(mask_HW: np.ndarray) -> bool:
    """Return whether there is nothing in the middle of a mask's box."""
    rows, columns = np.nonzero(mask_HW)
    height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
    middle_HW = mask_HW[
        rows.min() + height // 3 : rows.min() + 2 * height // 3 + 1,
        columns.min() + width // 3 : columns.min() + 2 * width // 3 + 1,
    ]
    return float(middle_HW.mean()) < 0.3


def _direction(mask_HW: np.ndarray, first_HW: np.ndarray, form: str) -> str | None:
    """Return the way in which the paint came."""
    rows, columns = np.nonzero(mask_HW)
    time_P = first_HW[mask_HW].astype(float)
    if np.ptp(time_P) == 0:
        return None
    if form == "circle":
        return _turn(np.arctan2(rows - rows.mean(), columns - columns.mean()), time_P)
    ways = ("left", "right") if np.ptp(columns) > np.ptp(rows) else ("up", "down")
    slope_2 = np.array([np.cov(columns, time_P)[0, 1], np.cov(rows, time_P)[0, 1]])
    return max(ways, key=lambda name: float(np.dot(WAYS[name], slope_2)))


def _turn(angle_P: np.ndarray, time_P: np.ndarray) -> str | None:
    """Return the way round in which time goes by, from the start that fits best, or None if neither does."""
    order_P = np.argsort(np.argsort(time_P, kind="stable")) / len(time_P)
    misfit: dict[str | None, float] = {None: UNCLEAR_TURN}
    for name, sign in (("clockwise", 1), ("counterclockwise", -1)):
        starts_S1 = np.linspace(0, 2 * math.pi, 24, endpoint=False)[:, None]
        share_SP = (sign * (angle_P - starts_S1)) % (2 * math.pi) / (2 * math.pi)
        late_SP = np.abs(share_SP - order_P)  # on a ring: where it closes, begin and end lie over each other
        misfit[name] = float(np.minimum(late_SP, 1 - late_SP).mean(axis=1).min())
    return min(misfit, key=misfit.__getitem__)


def _food(paint_THW: np.ndarray, short: int) -> tuple[int, np.ndarray] | None:
    """Return the number of the colour of food that is there from the start, and its whole mask_HW."""
    first_THW = paint_THW[: max(1, min(3, len(paint_THW) // 8))]
    counts = [int((first_THW == number).sum()) for number in range(1, len(COLORS) + 1)]
    number = int(np.argmax(counts)) + 1
    parts = components((first_THW == number).mean(axis=0) > 0.5, SMALLEST_FOOD * short**2)
    if not parts:
        return None
    whole_HW = parts[0].astype(np.uint8)
    closed_HW = cv2.morphologyEx(np.pad(whole_HW, 3), cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))
    if cv2.distanceTransform(closed_HW, cv2.DIST_L2, 5).max() < THINNEST_FOOD * short:
        return None
    contours, _ = cv2.findContours(whole_HW, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    outline, filled_HW = max(contours, key=cv2.contourArea), np.zeros_like(whole_HW)
    if len(paint_THW) > 1:
        cv2.drawContours(filled_HW, [outline], 0, 1, -1)
    else:  # it is bitten already
        (x, y), radius = cv2.minEnclosingCircle(outline)
        cv2.circle(filled_HW, (round(x), round(y)), max(1, round(radius)), 1, -1)
    return number, filled_HW.astype(bool)


def _kind(frames_THWC: np.ndarray, paint_THW: np.ndarray, food: tuple[int, np.ndarray]) -> str:
    """Return whether food is a cookie, by its dark chips."""
    inside_HW = cv2.erode(food[1].astype(np.uint8), np.ones((7, 7), np.uint8)).astype(bool)
    start = max(1, len(paint_THW) // 8)
    light_HW = frames_THWC[:start].astype(np.float32).mean(axis=(0, 3))
    skin = np.array(list(COLORS.values())[food[0] - 1], np.float32).mean()
    chips_HW = inside_HW & (light_HW < skin - 0.35 * (skin - np.mean(CHIP))) & (light_HW < skin - 12)
    if len(paint_THW) == 1:
        chips_HW &= cv2.dilate((paint_THW[0] == food[0]).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    spots_HW = cv2.morphologyEx(chips_HW.astype(np.uint8), cv2.MORPH_OPEN, np.ones((2, 2), np.uint8))
    return "cookie" if spots_HW.sum() > CHIPPED * food[1].sum() else "apple"


def _bites(mask_THW: np.ndarray, whole_HW: np.ndarray) -> tuple[tuple[str, ...], bool]:
    """Return the sides at which food is missing in the end, sorted, and whether nothing missing came back."""
    rows, columns = np.nonzero(whole_HW)
    center_2 = np.array([columns.mean(), rows.mean()])
    radius = math.sqrt(len(rows) / math.pi)
    last_HW = (mask_THW[-max(1, min(3, len(mask_THW) // 8)) :]).mean(axis=0) > 0.5
    closed_HW = cv2.morphologyEx(last_HW.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8)) > 0
    gone_HW = whole_HW & ~closed_HW
    y, x = np.indices(whole_HW.shape)
    rim_HW = np.hypot(x - center_2[0], y - center_2[1]) > 0.55 * radius
    sides = []
    for side, way_2 in SIDES.items():
        cosine = ((x - center_2[0]) * way_2[0] + (y - center_2[1]) * way_2[1]) / np.maximum(
            np.hypot(x - center_2[0], y - center_2[1]), 1e-6
        )
        part_HW = rim_HW & whole_HW & (cosine > math.cos(math.radians(24)))
        if part_HW.any() and gone_HW[part_HW].mean() > 0.5:
            sides.append(side)
    opened_HW = cv2.morphologyEx(gone_HW.astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)) > 0
    if len(mask_THW) < 2 or not sides or opened_HW.sum() < SMALLEST_BITE * whole_HW.sum():
        return tuple(sorted(sides)), False
    return tuple(sorted(sides)), _stays_gone(mask_THW, whole_HW)


def _stays_gone(mask_THW: np.ndarray, whole_HW: np.ndarray) -> bool:
    """Return whether food, once missing for a while, is missing in the end."""
    missing_T = np.array([(whole_HW & ~mask_HW).sum() for mask_HW in mask_THW], float)
    missing_T -= missing_T[: max(1, len(missing_T) // 8)].mean()
    smooth_T = np.convolve(missing_T, np.ones(3) / 3, mode="valid") if len(missing_T) > 4 else missing_T
    return bool(smooth_T[-1] > 0.75 * smooth_T.max())
