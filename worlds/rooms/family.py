"""The family `rooms`: solid things on a tiled floor, seen by a camera that orbits, pans, dollies or is still.

Legend: N things, T frames, H height, W width, C channels (RGB).
"""

import math
from collections.abc import Sequence
from random import Random

import numpy as np

from worlds.family import check_not_empty
from worlds.palette import COLORS
from worlds.rooms.captions import claims, dense_caption, short_caption
from worlds.rooms.draw import draw
from worlds.rooms.grammar import parse_claims
from worlds.rooms.judge import judge
from worlds.rooms.truth import (
    CAMERA_MOTIONS,
    FLOORS,
    FOCAL,
    KINDS,
    STILL,
    RoomWorld,
    Solid,
    centers_px_NT3,
    unobservable,
)

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

RATES: dict[str, tuple[float, float]] = {
    "orbit": (math.radians(16), math.radians(28)),
    "pan": (math.radians(8), math.radians(13)),
    "dolly": (0.6, 1.1),
}
"""Range of camera speeds in a short shot (radians or metres per second)."""
LONGEST_WAY = {"pan": math.radians(17), "dolly": 1.9}
"""A pan and a dolly go no farther than this in one shot, so that all things stay in sight: in a longer shot
they are slower."""
SLOWEST = {"pan": math.radians(3), "dolly": 0.2}
"""Minimum speed of a visible motion."""
SIZES = {1: (0.56, 0.68), 2: (0.50, 0.60), 3: (0.42, 0.50)}
"""Minimum and maximum size of a thing, by the number of things."""
SPREAD = 1.5
"""Maximum distance of things from the centre of the room."""
GAP = 0.12
"""Minimum distance of two things."""
CLEAR, CLEAR_SHARE = 0.03, 0.4
"""Each thing stands clear of the others by this many short sides for this share of the shot or more."""
TRIES = 500
"""Places tried; where so many things never fit, there is one fewer."""


def sample(
    seed: int,
    *,
    width: int,
    height: int,
    fps: float,
    num_frames: int,
    style: str = "flat",
    motions: Sequence[str] | None = None,
) -> RoomWorld:
    """Sample a world, deterministically.

    Attributes are uniform and independent of each other; things differ in colour. All things stay in sight,
    and none is always close to another: each stands clear for `CLEAR_SHARE` of the shot or more.
    Where three do not fit (one world in 25 of those that are not wide), there are two.

    Args:
        motions: what the camera may do, out of `CAMERA_MOTIONS`; None draws from all that fit the duration.

    Raises:
        ValueError: for an empty world, or if none of `motions` can be seen in so long a shot.
    """
    check_not_empty(width=width, height=height, fps=fps, num_frames=num_frames)
    rng = Random(f"worlds/rooms/{seed}")
    camera = rng.choice(_fitting(motions, num_frames / fps))
    rate = _rate(camera, num_frames / fps, rng)
    count = rng.choice((1, 2, 3))
    colors, kinds = rng.sample(list(COLORS), count), [rng.choice(KINDS) for _ in range(count)]
    floor = rng.choice(FLOORS)
    for attempt in range(3 * TRIES):
        shown = max(1, count - attempt // TRIES)
        solids = tuple(_place(rng, *look, SIZES[shown]) for look in zip(colors[:shown], kinds, strict=False))
        world = RoomWorld(
            seed=seed,
            style=style,
            solids=solids,
            floor=floor,
            camera=camera,
            rate=rate,
            width=width,
            height=height,
            fps=fps,
            num_frames=num_frames,
        )
        if _apart(solids) and _in_sight(world):
            return world
    raise ValueError(
        f"seed {seed}: nothing stays in sight of a room of {width}x{height}: use a frame that is less narrow"
    )


def _fitting(motions: Sequence[str] | None, duration_s: float) -> list[str]:
    asked = CAMERA_MOTIONS if motions is None else motions
    unknown = sorted(set(asked) - set(CAMERA_MOTIONS))
    if unknown or not asked:
        raise ValueError(f"camera motions {unknown or 'none'}: use some of {', '.join(CAMERA_MOTIONS)}")
    fitting = []
    for motion in asked:
        kind = motion.split()[0]
        if kind not in LONGEST_WAY or LONGEST_WAY[kind] / duration_s >= SLOWEST[kind]:
            fitting.append(motion)
    if not fitting:
        raise ValueError(
            f"{', '.join(asked)} in {duration_s:g} s would be too slow to be seen: ask for at most "
            f"{max(LONGEST_WAY[k] / SLOWEST[k] for k in LONGEST_WAY):g} s, or for an orbit"
        )
    return fitting


def _rate(camera: str, duration_s: float, rng: Random) -> float:
    if camera == STILL:
        return 0.0
    kind = camera.split()[0]
    return round(min(rng.uniform(*RATES[kind]), LONGEST_WAY.get(kind, math.inf) / duration_s), 6)


def _place(rng: Random, color: str, kind: str, sizes: tuple[float, float]) -> Solid:
    angle, distance = rng.uniform(0, 2 * math.pi), SPREAD * math.sqrt(rng.random())
    return Solid(
        color=color,
        kind=kind,
        size=round(rng.uniform(*sizes), 6),
        x=round(distance * math.cos(angle), 6),
        z=round(distance * math.sin(angle), 6),
        turn=round(rng.uniform(0, math.pi / 2), 6),
    )


def _apart(solids: Sequence[Solid]) -> bool:
    """Return whether no two things touch at any angle of the boxes."""
    for index, one in enumerate(solids):
        for other in solids[:index]:
            widths = [s.ground_radius * (math.sqrt(2) if s.kind == "box" else 1) for s in (one, other)]
            if math.hypot(one.x - other.x, one.z - other.z) < sum(widths) + GAP:
                return False
    return True


def _in_sight(world: RoomWorld) -> bool:
    """Return whether all things stay in the frame, and stand clear of each other long enough."""
    center_NT3 = centers_px_NT3(world)
    scale_NT = FOCAL * world.short_side_px / center_NT3[..., 2]
    widths_N = np.array([s.ground_radius * (1.2 if s.kind == "box" else 1.0) for s in world.solids])
    radius_NT = widths_N[:, None] * scale_NT
    tall_NT = np.array([s.half_height for s in world.solids])[:, None] * scale_NT
    x_NT, y_NT = center_NT3[..., 0], center_NT3[..., 1]
    inside_NT = (x_NT > radius_NT) & (x_NT < world.width - radius_NT)
    inside_NT &= (y_NT > tall_NT) & (y_NT < world.height - tall_NT)
    if not inside_NT.all():
        return False
    for n in range(len(world.solids)):
        gap_NT = np.abs(x_NT - x_NT[n]) - radius_NT - radius_NT[n]
        covered_T = ((gap_NT < CLEAR * world.short_side_px) & (np.arange(len(gap_NT)) != n)[:, None]).any(
            axis=0
        )
        if covered_T.mean() > 1 - CLEAR_SHARE:
            return False
    return True


def combination(world: RoomWorld) -> str:
    """Return the first thing and the camera's motion, such as `red box orbit left`."""
    return f"{world.solids[0].name} {world.camera}"


from_json = RoomWorld.from_json
