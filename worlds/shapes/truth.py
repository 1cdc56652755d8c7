"""What is in a simulated video, exactly: the record that renders it and against which everything is judged.

Legend: N things, T frames. Lengths are in short sides of the frame (1.0 = min(width, height)) unless a name
ends in `_px`. x grows to the right, y grows downward; (0, 0) is the top left corner of the frame, not the
centre of a pixel.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from worlds.family import Shot
from worlds.palette import DIRECTIONS, SPEEDS, STILL


@dataclass(frozen=True, kw_only=True, slots=True)
class Thing:
    """One flat object that moves on a straight line, or stays still."""

    color: str
    shape: str
    direction: str
    """One of `palette.MOTIONS`."""
    speed: str | None
    """One of `palette.SPEEDS`; None for a thing that stays still."""
    size: float
    """Diameter of the circle round the thing."""
    start: tuple[float, float]
    """Centre (x, y) in the first frame."""

    @property
    def name(self) -> str:
        """What captions call it, such as `red circle`."""
        return f"{self.color} {self.shape}"

    @property
    def velocity(self) -> tuple[float, float]:
        """Short sides per second, (x, y)."""
        if self.direction == STILL or self.speed is None:
            return 0.0, 0.0
        x, y = DIRECTIONS[self.direction]
        return x * SPEEDS[self.speed], y * SPEEDS[self.speed]


@dataclass(frozen=True, kw_only=True, slots=True)
class World(Shot):
    """One shot of a simulated video. A thing that reaches an edge comes in again at the opposite one."""

    family: Literal["shapes"] = "shapes"
    seed: int
    style: str = "flat"
    """One of `styles.STYLES`."""
    things: tuple[Thing, ...]
    """None (an empty slate), or up to three that differ in colour and never touch."""
    background: str
    width: int
    height: int
    fps: float
    num_frames: int

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> "World":
        """Undo `to_json`."""
        things = tuple(Thing(**{**thing, "start": tuple(thing["start"])}) for thing in fields["things"])
        return cls(**{**fields, "things": things})


@dataclass(frozen=True, kw_only=True, slots=True)
class WantedThing:
    """What a prompt says about one thing; None where it says nothing."""

    color: str | None = None
    shape: str | None = None
    direction: str | None = None
    speed: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """What a prompt asks for; None where it says nothing."""

    things: tuple[WantedThing, ...] = ()
    background: str | None = None
    count: int | None = None


def wanted(world: World) -> Wanted:
    """Ask for everything that can be seen of `world`."""
    things = tuple(
        WantedThing(
            color=thing.color,
            shape=thing.shape,
            direction=thing.direction if world.moves else None,
            speed=thing.speed if world.moves else None,
        )
        for thing in world.things
    )
    return Wanted(things=things, background=world.background, count=len(things))


def centers_px_NT2(world: World) -> np.ndarray:
    """Return each thing's centre (x, y) in each frame, in pixels, inside the frame (wrapped round its
    edges)."""
    time_T = np.arange(world.num_frames) / world.fps
    start_N2 = np.array([t.start for t in world.things], float).reshape(-1, 2)
    velocity_N2 = np.array([t.velocity for t in world.things], float).reshape(-1, 2)
    path_NT2 = start_N2[:, None] + velocity_N2[:, None] * time_T[:, None]
    return path_NT2 * world.short_side_px % np.array([world.width, world.height], float)


def boxes_px_NT4(world: World) -> np.ndarray:
    """Return boxes round the things' circles (x0, y0, x1, y1) in pixels; one that wraps sticks out of the
    frame."""
    radius_N = np.array([t.size for t in world.things], float) * world.short_side_px / 2
    center_NT2 = centers_px_NT2(world)
    radius_N11 = radius_N[:, None, None]
    return np.concatenate([center_NT2 - radius_N11, center_NT2 + radius_N11], axis=2)


def from_time(world: World, start_s: float, num_frames: int) -> World:
    """Return the world as it goes on `start_s` seconds after its first frame, for `num_frames` frames."""
    extent = np.array([world.width, world.height]) / world.short_side_px
    moved = tuple(
        replace(
            t, start=tuple(float(v) for v in (np.array(t.start) + np.array(t.velocity) * start_s) % extent)
        )
        for t in world.things
    )
    return replace(world, things=moved, num_frames=num_frames)


def untold(world: World, first: int, end: int) -> str:
    """Return nothing: things go on as they do, so that every part of a shot shows it all."""
    return ""
