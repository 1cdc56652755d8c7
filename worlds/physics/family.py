"""The family `physics`: things fall, bounce, collide and stack.

Lengths are in short sides of the frame.
"""

from random import Random

from worlds.family import check_not_empty
from worlds.palette import BACKGROUNDS, COLORS, SHAPES
from worlds.physics.captions import claims, dense_caption, short_caption
from worlds.physics.draw import draw
from worlds.physics.grammar import parse_claims
from worlds.physics.judge import judge
from worlds.physics.truth import EVENTS, FLOOR, Body, PhysicsWorld, reach_below, unobservable

__all__ = [
    "claims",
    "combination",
    "dense_caption",
    "draw",
    "from_json",
    "judge",
    "parse_claims",
    "sample",
    "short_caption",
    "unobservable",
]

SIZES = {1: (0.26, 0.32), 2: (0.22, 0.26)}
EDGE = 0.03
LONGEST_S = 2.0
"""Maximum time for a fall and its first bounce; a longer video continues."""
LEVEL_SIDES = ("circle", "square")
"""Shapes that exert only horizontal forces when they meet side to side."""
FEWEST_FRAMES = 8


def sample(
    seed: int, *, width: int, height: int, fps: float, num_frames: int, style: str = "flat"
) -> PhysicsWorld:
    """Sample a world, deterministically.

    Raises:
        ValueError: if there are too few frames to show a law of motion.
    """
    check_not_empty(width=width, height=height, fps=fps, num_frames=num_frames)
    if num_frames < FEWEST_FRAMES:
        raise ValueError(f"{num_frames} frames show no law of motion: give {FEWEST_FRAMES} or more")
    rng = Random(f"worlds/physics/{seed}")
    event = rng.choice(EVENTS)
    extent = (width / min(width, height), height / min(width, height))
    seconds = (num_frames - 1) / fps
    count = 2 if event in ("collide", "stack") else 1
    colors = rng.sample(list(COLORS), count)
    size = rng.uniform(*SIZES[count])
    background, floor = rng.sample(list(BACKGROUNDS), 2)
    plan = _sliding if event == "collide" else _falling
    bodies, gravity, elasticity = plan(rng, event, colors, size, extent, seconds)
    return PhysicsWorld(
        seed=seed,
        style=style,
        event=event,
        bodies=bodies,
        gravity=round(gravity, 6),
        elasticity=elasticity,
        floor=floor,
        background=background,
        width=width,
        height=height,
        fps=fps,
        num_frames=num_frames,
    )


Plan = tuple[tuple[Body, ...], float, float]
"""Bodies, gravity, elasticity."""


def _falling(
    rng: Random, event: str, colors: list[str], size: float, extent: tuple[float, float], seconds: float
) -> Plan:
    """Drop a thing on the floor or a square, landing half-way through; after a third if it bounces."""
    shape = rng.choice(SHAPES)
    x = rng.uniform(size / 2 + EDGE, extent[0] - size / 2 - EDGE)
    ground = extent[1] - FLOOR
    below: tuple[Body, ...] = ()
    if event == "stack":
        half = reach_below("square", size)
        below = (_body(colors[1], "square", size, x, ground - half),)
        ground -= 2 * half
    lands = ground - reach_below(shape, size)
    begins = size / 2 + EDGE + rng.uniform(0, 0.25) * (lands - size / 2 - EDGE)
    landing_fraction = rng.uniform(0.30, 0.38) if event == "bounce" else rng.uniform(0.45, 0.6)
    gravity = 2 * (lands - begins) / (landing_fraction * min(seconds, LONGEST_S)) ** 2
    elasticity = round(rng.uniform(0.7, 0.85), 3) if event == "bounce" else 0.0
    return (_body(colors[0], shape, size, x, begins), *below), gravity, elasticity


def _sliding(
    rng: Random, event: str, colors: list[str], size: float, extent: tuple[float, float], seconds: float
) -> Plan:
    """Slide a thing along the floor into another one."""
    shapes = [rng.choice(LEVEL_SIDES) for _ in colors]
    halves = [0.9 * size / 2 if shape == "circle" else reach_below(shape, size) for shape in shapes]
    room = extent[0] - 2 * (size / 2 + EDGE) - sum(halves)
    path = rng.uniform(0.4, 0.6) * room
    begins = size / 2 + EDGE
    meets = begins + path + sum(halves)
    after = room - path
    landing_fraction = path / (path + rng.uniform(0.8, 0.95) * after)
    speed = path / (landing_fraction * seconds)
    y = extent[1] - FLOOR
    if rng.random() < 0.5:
        begins, meets, speed = extent[0] - begins, extent[0] - meets, -speed
    bodies = (
        _body(colors[0], shapes[0], size, begins, y - halves[0], speed),
        _body(colors[1], shapes[1], size, meets, y - halves[1]),
    )
    return bodies, 0.0, 1.0


def _body(color: str, shape: str, size: float, x: float, y: float, speed: float = 0.0) -> Body:
    start = (round(x, 6), round(y, 6))
    return Body(color=color, shape=shape, size=round(size, 6), start=start, speed=round(speed, 6))


def combination(world: PhysicsWorld) -> str:
    """Return the event with each thing's colour and shape, such as `stack blue square; stack red circle`."""
    return "; ".join(sorted(f"{world.event} {body.name}" for body in world.bodies))


from_json = PhysicsWorld.from_json
