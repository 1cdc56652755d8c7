"""The world of the family `physics`, simulated with pymunk.

Legend: N things, T frames. Lengths are in short sides of the frame, x to the right, y downward.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from worlds.family import Shot
from worlds.rasterize import outline_P2

if TYPE_CHECKING:
    import pymunk

EVENTS = ("fall", "bounce", "collide", "stack")
FLOOR = 0.12
"""Height of the floor."""
UNIT = 100.0
"""Length of a short side in the simulation, suited to the tolerances of pymunk."""
STEPS_PER_S = 600
BEGUN = 0.3
"""Maximum fraction of the time before contact that a clip may miss (a tenth of a fall's distance)."""
AFTER_S = 0.2
"""Time after contact that a clip must show."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Body:
    """One thing, which does not rotate."""

    color: str
    shape: str
    size: float
    """Diameter of the circumscribed circle."""
    start: tuple[float, float]
    """Centre (x, y) in the first frame."""
    speed: float = 0.0
    """Initial velocity along x, in short sides per second."""

    @property
    def name(self) -> str:
        """Name in captions."""
        return f"{self.color} {self.shape}"


@dataclass(frozen=True, kw_only=True, slots=True)
class PhysicsWorld(Shot):
    """One or two things and a floor; the first thing moves initially."""

    family: Literal["physics"] = "physics"
    seed: int
    style: str = "flat"
    event: str
    """`fall`: a thing falls on the floor and rests; `bounce`: it rebounds. `collide`: a thing slides into
    another of equal mass and stops, and the other moves on. `stack`: a thing falls on another and rests."""
    bodies: tuple[Body, ...]
    gravity: float
    """Downward, in short sides per second squared; 0 for sliding things."""
    elasticity: float
    """Coefficient of restitution."""
    floor: str
    """One of `palette.BACKGROUNDS`."""
    background: str
    width: int
    height: int
    fps: float
    num_frames: int

    @property
    def floor_y(self) -> float:
        return self.height / self.short_side_px - FLOOR

    @property
    def direction(self) -> str:
        """Initial direction of the first thing."""
        if self.event != "collide":
            return "down"
        return "right" if self.bodies[0].speed > 0 else "left"

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> "PhysicsWorld":
        """Return the world of a `to_json` result."""
        bodies = tuple(Body(**{**body, "start": tuple(body["start"])}) for body in fields["bodies"])
        return cls(**{**fields, "bodies": bodies})


def reach_below(shape: str, size: float) -> float:
    """Return the extent of a shape below its centre."""
    return float(outline_P2(shape)[:, 1].max()) * size / 2


def simulate_NT2(world: PhysicsWorld) -> np.ndarray:
    """Return each thing's centre (x, y) in each frame, deterministically."""
    import pymunk  # an extra dependency, not needed to read a truth file

    space = pymunk.Space()
    space.gravity = (0.0, world.gravity * UNIT)
    space.collision_slop = 0.01
    bodies = [_body(space, thing, world) for thing in world.bodies]
    if world.gravity:
        _floor(space, world)
    steps = math.ceil(STEPS_PER_S / world.fps)
    center_NT2 = np.empty((len(bodies), world.num_frames, 2))
    for frame in range(world.num_frames):
        for _ in range(steps if frame else 0):
            space.step(1 / (world.fps * steps))
        center_NT2[:, frame] = [body.position for body in bodies]
    return center_NT2 / UNIT


def _body(space: "pymunk.Space", thing: Body, world: PhysicsWorld) -> "pymunk.Body":
    import pymunk

    body = pymunk.Body(1.0, math.inf)
    body.position = (thing.start[0] * UNIT, thing.start[1] * UNIT)
    body.velocity = (thing.speed * UNIT, 0.0)
    if thing.shape == "circle":
        shape = pymunk.Circle(body, 0.9 * thing.size / 2 * UNIT)
    else:
        corners = (outline_P2(thing.shape) * thing.size / 2 * UNIT).tolist()
        shape = pymunk.Poly(body, [(x, y) for x, y in corners])
    shape.elasticity, shape.friction = world.elasticity, 0.0
    space.add(body, shape)
    return body


def _floor(space: "pymunk.Space", world: PhysicsWorld) -> None:
    import pymunk

    width, y, depth = world.width / world.short_side_px * UNIT, world.floor_y * UNIT, 20.0
    floor = pymunk.Segment(space.static_body, (-width, y + depth), (2 * width, y + depth), depth)
    floor.elasticity, floor.friction = 1.0, 0.0
    space.add(floor)


def contact_s(world: PhysicsWorld) -> float:
    """Return the time at which the first thing meets the floor or the other thing."""
    first, *others = world.bodies
    if world.event == "collide":
        (other,) = others
        between = abs(other.start[0] - first.start[0])
        between -= reach_below(first.shape, first.size) + reach_below(other.shape, other.size)
        return between / abs(first.speed)
    ground = world.floor_y - sum(2 * reach_below(other.shape, other.size) for other in others)
    fallen = ground - reach_below(first.shape, first.size) - first.start[1]
    return math.sqrt(2 * fallen / world.gravity)


def unobservable(world: PhysicsWorld, first: int, end: int) -> str:
    """Return why frames [first, end) miss the start or the outcome of the event (the rebound of a bounce)."""
    begins = contact_s(world)
    goes_on = begins + max(AFTER_S, world.elasticity * begins if world.event == "bounce" else 0.0)
    is_complete = first / world.fps <= BEGUN * begins and (end - 1) / world.fps >= goes_on
    return "" if is_complete else "the event is not whole"
