"""The exact content of a simulated canvas: strokes of a brush, or bites of food.

Legend: T frames, P points of a path. Coordinates are in short sides of the frame from its top left corner, x
to the right, y down. Times are fractions of the shot: 0 is the first frame, 1 the last.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from worlds.family import Shot

FORMS = ("line", "wave", "circle")
WAYS: dict[str, tuple[float, float]] = {
    "left": (-1.0, 0.0),
    "right": (1.0, 0.0),
    "up": (0.0, -1.0),
    "down": (0.0, 1.0),
}
TURNS = ("clockwise", "counterclockwise")
FOODS = ("apple", "cookie")
SIDES: dict[str, tuple[float, float]] = {
    "left": (-1.0, 0.0),
    "right": (1.0, 0.0),
    "top": (0.0, -1.0),
    "bottom": (0.0, 1.0),
}
STROKE_WIDTH = 0.09
SWING = 0.36
"""Peak-to-peak amplitude of a wave, in units of its length."""
PATH_POINTS = 97
MAX_UNSEEN_PAINT = 0.1
"""Maximum fraction of a stroke's duration that a clip may miss at either end."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Stroke:
    """A permanent stroke of a brush."""

    color: str
    form: str
    """One of `FORMS`."""
    direction: str
    """One of `WAYS` for a line or a wave, one of `TURNS` for a circle."""
    center: tuple[float, float]
    length: float
    """Distance between the ends of a line or wave; diameter of a circle."""
    phase: float
    """Start angle of a circle in radians; phase of a wave (0 or pi)."""
    begin: float
    end: float
    """Start and end time of the stroke, as fractions of the shot."""

    @property
    def name(self) -> str:
        """Name in captions, such as `red wave`."""
        return f"{self.color} {self.form}"

    @property
    def half_extent(self) -> tuple[float, float]:
        """Half of the width and height of the bounding box of the paint."""
        along, across = self.length / 2 + STROKE_WIDTH / 2, STROKE_WIDTH / 2
        if self.form == "circle":
            return along, along
        if self.form == "wave":
            across += SWING * self.length / 2
        return (along, across) if self.direction in ("left", "right") else (across, along)


@dataclass(frozen=True, kw_only=True, slots=True)
class Bite:
    """A permanent bite by a head that enters from one side and leaves again."""

    side: str
    """One of `SIDES`."""
    come: float
    bite: float
    gone: float
    """Times at which the head enters, bites, and has left, as fractions of the shot."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Food:
    """A round food."""

    color: str
    kind: str
    """One of `FOODS`."""
    center: tuple[float, float]
    radius: float
    bites: tuple[Bite, ...]

    @property
    def name(self) -> str:
        """Name in captions, such as `red apple`."""
        return f"{self.color} {self.kind}"


@dataclass(frozen=True, kw_only=True, slots=True)
class CanvasWorld(Shot):
    """One shot of a permanent change: paint is added, or food is bitten.

    A single frame shows the final state.
    """

    family: Literal["canvas"] = "canvas"
    seed: int
    style: str
    background: str
    strokes: tuple[Stroke, ...]
    """In the order of painting; empty if there is food."""
    food: Food | None
    width: int
    height: int
    fps: float
    num_frames: int

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> "CanvasWorld":
        """Return the world of a `to_json` result."""
        strokes = tuple(Stroke(**{**s, "center": tuple(s["center"])}) for s in fields["strokes"])
        food = fields["food"]
        if food is not None:
            bites = tuple(Bite(**bite) for bite in food["bites"])
            food = Food(**{**food, "center": tuple(food["center"]), "bites": bites})
        return cls(**{**fields, "strokes": strokes, "food": food})


def times_T(world: CanvasWorld) -> np.ndarray:
    """Return the time of each frame as a fraction of the shot; 1 for a single frame."""
    return np.linspace(0, 1, world.num_frames) if world.moves else np.ones(1)


def path_P2(stroke: Stroke) -> np.ndarray:
    """Return the path (x, y) of the brush."""
    progress_P = np.linspace(0, 1, PATH_POINTS)
    if stroke.form == "circle":
        angle_P = stroke.phase + 2 * math.pi * progress_P * (1 if stroke.direction == "clockwise" else -1)
        return np.array(stroke.center) + stroke.length / 2 * np.stack(
            [np.cos(angle_P), np.sin(angle_P)], axis=1
        )
    direction_2 = np.array(WAYS[stroke.direction])
    path = np.array(stroke.center) + np.outer((progress_P - 0.5) * stroke.length, direction_2)
    if stroke.form == "wave":
        offset_P = SWING * stroke.length / 2 * np.sin(4 * math.pi * progress_P + stroke.phase)
        path = path + np.outer(offset_P, direction_2[::-1])
    return path


def unobservable(world: CanvasWorld, first: int, end: int) -> str:
    """Return why frames [first, end) do not show every stroke or bite whole; empty if they do."""
    begin, last = (frame / max(world.num_frames - 1, 1) for frame in (first, end - 1))
    bites = world.food.bites if world.food is not None else ()
    if any(not begin < bite.bite <= last for bite in bites):
        return "a bite is missing"
    for stroke in world.strokes:
        slack = MAX_UNSEEN_PAINT * (stroke.end - stroke.begin)
        if begin > stroke.begin + slack or last < stroke.end - slack:
            return "a stroke is not whole"
    return ""
