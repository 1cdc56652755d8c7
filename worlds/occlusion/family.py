"""The family `occlusion`: a thing is hidden for 2 to 20 frames and reappears unchanged.

Lengths are in short sides of the frame.
"""

from random import Random

from worlds.family import check_not_empty
from worlds.occlusion.captions import claims, dense_caption, short_caption
from worlds.occlusion.draw import draw
from worlds.occlusion.grammar import parse_claims
from worlds.occlusion.judge import judge
from worlds.occlusion.truth import CAMERA_DRIFT, OcclusionWorld, unobservable
from worlds.palette import BACKGROUNDS, COLORS, DIRECTIONS, SHAPES

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

VARIANTS = ("thing", "thing", "camera_out", "camera_wall")
"""Half of the worlds move the thing, half the camera."""
WAYS = ("left", "right", "up", "down")
SIZES = (0.21, 0.25)
EDGE = 0.02
"""Minimum distance of a fully visible thing from the edges of the frame."""
CLEAR = 0.10
"""Distance that a thing moves while fully visible."""
FEWEST_FRAMES = 12
HIDDEN_FRAMES = (2, 13)
"""Range of the number of frames in which the thing is completely hidden."""
MOVING_FRAMES = 40
"""Maximum duration of the motion; in longer shots things rest before and after."""


def sample(
    seed: int, *, width: int, height: int, fps: float, num_frames: int, style: str = "flat"
) -> OcclusionWorld:
    """Sample a world, deterministically.

    Raises:
        ValueError: if there are too few frames to show a thing before, during and after two hidden frames.
    """
    check_not_empty(width=width, height=height, fps=fps, num_frames=num_frames)
    if num_frames < FEWEST_FRAMES:
        raise ValueError(f"{num_frames} frames are too few to hide a thing: give {FEWEST_FRAMES} or more")
    rng = Random(f"worlds/occlusion/{seed}")
    color, shape, direction = rng.choice(list(COLORS)), rng.choice(SHAPES), rng.choice(WAYS)
    variant, size = rng.choice(VARIANTS), rng.uniform(*SIZES)
    background, wall = rng.sample(list(BACKGROUNDS), 2)
    axis = 0 if DIRECTIONS[direction][0] else 1
    extent = (width / min(width, height), height / min(width, height))
    plan = {"thing": _behind_a_wall, "camera_wall": _wall_passes, "camera_out": _out_of_sight}[variant]
    moving = min(num_frames - 1, MOVING_FRAMES)
    begin, path, span, wall_path = plan(rng, size, extent[axis], moving + 1)
    seconds, first = moving / fps, rng.randint(0, num_frames - 1 - moving)
    if sum(DIRECTIONS[direction]) < 0:  # the plan is in the positive direction of the axis
        begin, span = extent[axis] - begin, (extent[axis] - span[1], extent[axis] - span[0])
    across = rng.uniform(size / 2 + EDGE, extent[1 - axis] - size / 2 - EDGE)
    return OcclusionWorld(
        seed=seed,
        style=style,
        variant=variant,
        color=color,
        shape=shape,
        size=round(size, 6),
        direction=direction,
        speed=round(path / seconds, 6),
        start=(round(begin, 6), round(across, 6)) if axis == 0 else (round(across, 6), round(begin, 6)),
        wall=wall,
        wall_span=(round(span[0], 6), round(span[1], 6)),
        wall_speed=round(wall_path / seconds, 6),
        moving=(first, first + moving),
        background=background,
        width=width,
        height=height,
        fps=fps,
        num_frames=num_frames,
    )


Plan = tuple[float, float, tuple[float, float], float]
"""Start and total distance of the thing, and of the wall."""


def _sample_hidden_fraction(rng: Random, max_fraction: float, num_frames: int) -> float:
    """Sample the fraction of the time for which the thing is hidden."""
    max_frames = max(HIDDEN_FRAMES[0], min(HIDDEN_FRAMES[1], int(max_fraction * (num_frames - 1))))
    return rng.randint(HIDDEN_FRAMES[0], max_frames) / (num_frames - 1)


def _behind_a_wall(rng: Random, size: float, length: float, num_frames: int) -> Plan:
    """Move a thing behind a fixed wall."""
    room, needed = length - size - 2 * EDGE, 2 * size + CLEAR
    hidden_fraction = _sample_hidden_fraction(rng, 1 - needed / room, num_frames)
    path = rng.uniform(min(room, needed / (1 - hidden_fraction)), room)
    begin = size / 2 + EDGE + rng.uniform(0, room - path)
    wall = size + hidden_fraction * path
    before = rng.uniform(0.4, 0.6) * (path - size - wall)
    first = begin + before + size / 2
    return begin, path, (first, first + wall), 0.0


def _wall_passes(rng: Random, size: float, length: float, num_frames: int) -> Plan:
    """Move the camera, so that a near wall passes in front of a thing."""
    room, needed = length - size - 2 * EDGE, 2 * size + CLEAR
    relative = 1 / (1 - CAMERA_DRIFT)
    max_fraction = 1 - needed * relative * CAMERA_DRIFT / room
    hidden_fraction = _sample_hidden_fraction(rng, min(0.5, max_fraction), num_frames)
    apart = needed / (1 - hidden_fraction) * rng.uniform(1.0, 1.15)
    wall_path = min(apart * relative, room / CAMERA_DRIFT)
    path, apart = CAMERA_DRIFT * wall_path, (1 - CAMERA_DRIFT) * wall_path
    begin = size / 2 + EDGE + rng.uniform(0, room - path)
    wall = size + hidden_fraction * apart
    before = rng.uniform(0.4, 0.6) * (apart - size - wall)
    last = begin - size / 2 - before
    return begin, path, (last - wall, last), wall_path


def _out_of_sight(rng: Random, size: float, length: float, num_frames: int) -> Plan:
    """Turn the camera, so that a thing and a wall leave the frame and return."""
    hidden_fraction = _sample_hidden_fraction(rng, 0.5, num_frames)
    inside = rng.uniform(size / 2 + CLEAR / 2, min(1.6 * size, length - size / 2 - EDGE))
    one_way = (inside + size / 2) / (1 - hidden_fraction)
    begin = length - inside
    gap, wall = rng.uniform(0.05, 0.1), rng.uniform(0.12, 0.2)
    last = begin - size / 2 - gap
    return begin, 2 * one_way, (last - wall, last), 2 * one_way


def combination(world: OcclusionWorld) -> str:
    """Return colour, shape and direction of the thing, such as `red circle left`."""
    return f"{world.name} {world.direction}"


from_json = OcclusionWorld.from_json
