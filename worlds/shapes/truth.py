"""The exact content of a simulated video, from which it is rendered and against which it is judged.

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
    """One flat object in uniform motion or at rest."""

    color: str
    shape: str
    direction: str
    """One of `palette.MOTIONS`."""
    speed: str | None
    """One of `palette.SPEEDS`; None for a thing at rest."""
    size: float
    """Diameter of the circumscribed circle."""
    start: tuple[float, float]
    """Centre (x, y) in the first frame."""

    @property
    def name(self) -> str:
        """Name in captions, such as `red circle`."""
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
    """One shot of a simulated video. Things wrap around the edges of the frame."""

    family: Literal["shapes"] = "shapes"
    seed: int
    style: str = "flat"
    """One of `palette.STYLES`."""
    things: tuple[Thing, ...]
    """At most three, of different colours, that never touch; empty for a slate."""
    background: str
    width: int
    height: int
    fps: float
    num_frames: int

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> "World":
        """Return the world of a `to_json` result."""
        things = tuple(Thing(**{**thing, "start": tuple(thing["start"])}) for thing in fields["things"])
        return cls(**{**fields, "things": things})


@dataclass(frozen=True, kw_only=True, slots=True)
class ThingRequirements:
    """Requirements of a prompt for one thing; None if unspecified."""

    color: str | None = None
    shape: str | None = None
    direction: str | None = None
    speed: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Requirements:
    """Requirements of a prompt; None if unspecified."""

    things: tuple[ThingRequirements, ...] = ()
    background: str | None = None
    count: int | None = None


def requirements_of(world: World) -> Requirements:
    """Return all visible properties of `world` as requirements."""
    things = tuple(
        ThingRequirements(
            color=thing.color,
            shape=thing.shape,
            direction=thing.direction if world.moves else None,
            speed=thing.speed if world.moves else None,
        )
        for thing in world.things
    )
    return Requirements(things=things, background=world.background, count=len(things))


def centers_px_NT2(world: World) -> np.ndarray:
    """Return each thing's centre (x, y) in each frame, in pixels, wrapped into the frame."""
    time_T = np.arange(world.num_frames) / world.fps
    start_N2 = np.array([t.start for t in world.things], float).reshape(-1, 2)
    velocity_N2 = np.array([t.velocity for t in world.things], float).reshape(-1, 2)
    path_NT2 = start_N2[:, None] + velocity_N2[:, None] * time_T[:, None]
    return path_NT2 * world.short_side_px % np.array([world.width, world.height], float)


def boxes_px_NT4(world: World) -> np.ndarray:
    """Return bounding boxes (x0, y0, x1, y1) of the circles in pixels; not wrapped."""
    radius_N = np.array([t.size for t in world.things], float) * world.short_side_px / 2
    center_NT2 = centers_px_NT2(world)
    radius_N11 = radius_N[:, None, None]
    return np.concatenate([center_NT2 - radius_N11, center_NT2 + radius_N11], axis=2)


def from_time(world: World, start_s: float, num_frames: int) -> World:
    """Return the world from `start_s` seconds after its first frame on, with `num_frames` frames."""
    extent = np.array([world.width, world.height]) / world.short_side_px
    moved = tuple(
        replace(
            t, start=tuple(float(v) for v in (np.array(t.start) + np.array(t.velocity) * start_s) % extent)
        )
        for t in world.things
    )
    return replace(world, things=moved, num_frames=num_frames)


def unobservable(world: World, first: int, end: int) -> str:
    """Return an empty string: motion is uniform, so every part of a shot shows everything."""
    return ""
