"""The family `rooms`: solids on a tiled floor, and a camera that orbits, pans, dollies or is still.

Legend: N solids, T frames, H height, W width, C channels (RGB).
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
"""Range of camera speeds in a short shot, in radians or metres per second."""
MAX_TRAVEL = {"pan": math.radians(17), "dolly": 1.9}
"""Maximum travel of a pan (radians) and a dolly (metres) in one shot, so that all solids stay in view."""
MIN_SPEED = {"pan": math.radians(3), "dolly": 0.2}
"""Minimum speed of a visible motion."""
SIZES = {1: (0.56, 0.68), 2: (0.50, 0.60), 3: (0.42, 0.50)}
"""Minimum and maximum size of a solid, by the number of solids."""
SPREAD = 1.5
"""Maximum distance of a solid from the centre of the room, in metres."""
GAP = 0.12
"""Minimum distance between two solids, in metres."""
CLEARANCE, CLEAR_FRACTION = 0.03, 0.4
"""Minimum gap between solids in the image (short sides), and minimum fraction of frames with that gap."""
TRIES = 500
"""Number of layouts sampled before the number of solids is reduced by one."""


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

    Attributes are uniform and independent; the solids differ in colour. All solids stay in view, and each is
    unobstructed in at least `CLEAR_FRACTION` of the frames. If three solids do not fit (1 in 25 worlds that
    are not wide), the world has two.

    Args:
        motions: camera motions to choose from, a subset of `CAMERA_MOTIONS`; None means all.

    Raises:
        ValueError: for an empty world, or if every motion would be too slow to be visible in this duration.
    """
    check_not_empty(width=width, height=height, fps=fps, num_frames=num_frames)
    rng = Random(f"worlds/rooms/{seed}")
    camera = rng.choice(_visible_motions(motions, num_frames / fps))
    rate = _sample_rate(camera, num_frames / fps, rng)
    count = rng.choice((1, 2, 3))
    colors, kinds = rng.sample(list(COLORS), count), [rng.choice(KINDS) for _ in range(count)]
    floor = rng.choice(FLOORS)
    for attempt in range(3 * TRIES):
        shown = max(1, count - attempt // TRIES)
        solids = tuple(
            _sample_solid(rng, *attributes, SIZES[shown])
            for attributes in zip(colors[:shown], kinds, strict=False)
        )
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
        if _apart(solids) and _in_view(world):
            return world
    raise ValueError(
        f"seed {seed}: nothing stays in sight of a room of {width}x{height}: use a frame that is less narrow"
    )


def _visible_motions(motions: Sequence[str] | None, duration_s: float) -> list[str]:
    requested = CAMERA_MOTIONS if motions is None else motions
    unknown = sorted(set(requested) - set(CAMERA_MOTIONS))
    if unknown or not requested:
        raise ValueError(f"camera motions {unknown or 'none'}: use some of {', '.join(CAMERA_MOTIONS)}")
    visible = []
    for motion in requested:
        kind = motion.split()[0]
        if kind not in MAX_TRAVEL or MAX_TRAVEL[kind] / duration_s >= MIN_SPEED[kind]:
            visible.append(motion)
    if not visible:
        raise ValueError(
            f"{', '.join(requested)} in {duration_s:g} s would be too slow to be seen: ask for at most "
            f"{max(MAX_TRAVEL[k] / MIN_SPEED[k] for k in MAX_TRAVEL):g} s, or for an orbit"
        )
    return visible


def _sample_rate(camera: str, duration_s: float, rng: Random) -> float:
    if camera == STILL:
        return 0.0
    kind = camera.split()[0]
    return round(min(rng.uniform(*RATES[kind]), MAX_TRAVEL.get(kind, math.inf) / duration_s), 6)


def _sample_solid(rng: Random, color: str, kind: str, sizes: tuple[float, float]) -> Solid:
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
    """Return whether all solids keep the minimum distance, at any rotation of the boxes."""
    for index, first in enumerate(solids):
        for second in solids[:index]:
            widths = [s.ground_radius * (math.sqrt(2) if s.kind == "box" else 1) for s in (first, second)]
            if math.hypot(first.x - second.x, first.z - second.z) < sum(widths) + GAP:
                return False
    return True


def _in_view(world: RoomWorld) -> bool:
    """Return whether all solids stay in the frame and are unobstructed in enough frames."""
    center_NT3 = centers_px_NT3(world)
    scale_NT = FOCAL * world.short_side_px / center_NT3[..., 2]
    widths_N = np.array([s.ground_radius * (1.2 if s.kind == "box" else 1.0) for s in world.solids])
    radius_NT = widths_N[:, None] * scale_NT
    half_height_NT = np.array([s.half_height for s in world.solids])[:, None] * scale_NT
    x_NT, y_NT = center_NT3[..., 0], center_NT3[..., 1]
    inside_NT = (x_NT > radius_NT) & (x_NT < world.width - radius_NT)
    inside_NT &= (y_NT > half_height_NT) & (y_NT < world.height - half_height_NT)
    if not inside_NT.all():
        return False
    for n in range(len(world.solids)):
        gap_NT = np.abs(x_NT - x_NT[n]) - radius_NT - radius_NT[n]
        covered_T = ((gap_NT < CLEARANCE * world.short_side_px) & (np.arange(len(gap_NT)) != n)[:, None]).any(
            axis=0
        )
        if covered_T.mean() > 1 - CLEAR_FRACTION:
            return False
    return True


def combination(world: RoomWorld) -> str:
    """Return the combination for the held-out split, such as `red box orbit left`."""
    return f"{world.solids[0].name} {world.camera}"


from_json = RoomWorld.from_json
