"""The world of the family `occlusion`: one thing that is hidden for a while, and when.

Legend: T frames. Lengths are in short sides of the frame, x to the right, y downward, from the top left
corner; `along` is the axis on which things move.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from worlds.family import Shot
from worlds.palette import DIRECTIONS
from worlds.rasterize import coverage

HIDDEN_SHARE = 0.15
"""Maximum visible fraction of a hidden thing."""
WHOLE = 0.9
"""Minimum visible fraction of a fully visible thing."""
MIN_VISIBLE_FRAMES = 2
"""Minimum number of visible frames from which the direction can be seen."""
CAMERA_DRIFT = 0.35
"""Speed of the thing over the speed of the nearer wall, in `camera_wall`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OcclusionWorld(Shot):
    """One thing and one wall on a plain background."""

    family: Literal["occlusion"] = "occlusion"
    seed: int
    style: str = "flat"
    variant: str
    """`thing`: the thing moves behind the wall. `camera_wall`: the camera moves, and a nearer wall passes in
    front. `camera_out`: the camera pans until the thing is out of the frame, and back."""
    color: str
    shape: str
    size: float
    """Diameter of the circumscribed circle."""
    direction: str
    """Direction of the thing in the image (initially, in `camera_out`): left, right, up or down."""
    speed: float
    """Short sides per second, of the thing in the image."""
    start: tuple[float, float]
    """Centre (x, y) in the first frame."""
    wall: str
    """One of `palette.BACKGROUNDS`."""
    wall_span: tuple[float, float]
    """Start and end along the axis in the first frame; the wall spans the other axis."""
    wall_speed: float
    """Short sides per second in the thing's direction."""
    moving: tuple[int, int]
    """First frame of the motion, and the first frame after it."""
    background: str
    width: int
    height: int
    fps: float
    num_frames: int

    @property
    def name(self) -> str:
        """Name in captions."""
        return f"{self.color} {self.shape}"

    @property
    def axis(self) -> int:
        """0 for x, 1 for y."""
        return 0 if DIRECTIONS[self.direction][0] else 1

    @property
    def length(self) -> float:
        """Of the frame along the axis."""
        return (self.width, self.height)[self.axis] / self.short_side_px

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> "OcclusionWorld":
        """Return the world of a `to_json` result."""
        return cls(**{**fields, **{name: tuple(fields[name]) for name in ("start", "wall_span", "moving")}})


def _moved_T(world: OcclusionWorld) -> np.ndarray:
    """Return the distance moved per frame at a speed of 1."""
    first, last = world.moving
    frame_T = np.clip(np.arange(world.num_frames) - first, 0, last - first)
    if world.variant == "camera_out":
        frame_T = np.minimum(frame_T, last - first - frame_T)
    return frame_T / world.fps


def centers_T2(world: OcclusionWorld) -> np.ndarray:
    """Return the thing's centre (x, y) in each frame, hidden or not."""
    step_2 = np.array(DIRECTIONS[world.direction]) * world.speed
    return np.array(world.start) + _moved_T(world)[:, None] * step_2


def walls_T2(world: OcclusionWorld) -> np.ndarray:
    """Return start and end of the wall along the axis in each frame."""
    sign = DIRECTIONS[world.direction][world.axis]
    return np.array(world.wall_span) + sign * world.wall_speed * _moved_T(world)[:, None]


def visible_T(world: OcclusionWorld) -> np.ndarray:
    """Return the visible fraction of the thing's area in each frame."""
    side = 128
    cover_HW = coverage(world.shape, side, (side / 2, side / 2), (side, side))
    profile_S = np.cumsum(cover_HW.sum(axis=world.axis))
    profile_S = np.concatenate([[0.0], profile_S / profile_S[-1]])
    center_T = centers_T2(world)[:, world.axis]

    def below(limit: np.ndarray | float) -> np.ndarray:
        """Return the fraction of the thing before a position on the axis."""
        position_T = (limit - center_T) / world.size + 0.5
        return np.interp(position_T, np.linspace(0, 1, side + 1), profile_S)

    first_T, last_T = walls_T2(world).T
    behind_T = below(np.minimum(last_T, world.length)) - below(np.maximum(first_T, 0.0))
    return below(world.length) - below(0.0) - np.maximum(behind_T, 0.0)


def hidden_span(visible_fraction_T: np.ndarray) -> tuple[int, int] | None:
    """Return [start, end) of the longest hidden run between visible frames, or None."""
    hidden_T = np.concatenate([[False], visible_fraction_T < HIDDEN_SHARE, [False]])
    changes = np.flatnonzero(np.diff(hidden_T.astype(int)))
    runs = [(int(a), int(b)) for a, b in zip(changes[::2], changes[1::2], strict=True)]
    runs = [(a, b) for a, b in runs if a > 0 and b < len(visible_fraction_T)]
    return max(runs, key=lambda run: run[1] - run[0], default=None)


def unobservable(world: OcclusionWorld, first: int, end: int) -> str:
    """Return why [first, end) does not show the thing before and after it is hidden; empty if it does."""
    visible_fraction_T = visible_T(world)
    hidden = hidden_span(visible_fraction_T)
    if hidden is None:
        return "nothing is hidden"
    before_T = visible_fraction_T[max(first, 0) : max(hidden[0], 0)]
    after_T = visible_fraction_T[hidden[1] : max(end, 0)]
    is_visible = len(before_T) >= MIN_VISIBLE_FRAMES and min(before_T.max(), after_T.max(initial=0)) >= WHOLE
    return "" if is_visible else "the thing is not seen before and after it is hidden"
