"""The family `shapes`: one to three flat things on a plain background that never touch.

Legend: N things, T frames, K candidate placements.
"""

import itertools
from collections.abc import Collection, Sequence
from dataclasses import replace
from random import Random

import numpy as np

from worlds.family import check_not_empty
from worlds.palette import BACKGROUNDS, COLORS, MOTIONS, SHAPES, SPEEDS, STILL
from worlds.shapes.captions import claims, dense_caption, short_caption
from worlds.shapes.draw import draw
from worlds.shapes.grammar import parse_claims
from worlds.shapes.judge import judge
from worlds.shapes.truth import Thing, ThingRequirements, World, unobservable
from worlds.split import SEPARATOR

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

SIZES = {1: (0.33, 0.40), 2: (0.26, 0.31), 3: (0.23, 0.26)}
"""Minimum and maximum size of a thing, by the number of things."""
GAP = 0.04
"""Minimum distance between things, so that blur does not join them."""
CANDIDATES = 256
"""Number of placements tried at once; the first that keeps things apart is used."""
PLACEMENTS = 8
"""How often `place_things` tries `CANDIDATES` placements with new sizes."""


def sample_world(
    seed: int,
    *,
    width: int,
    height: int,
    fps: float,
    num_frames: int,
    num_things: int | None = None,
    distinct_from: Collection[str] = (),
    motions: Sequence[str] = MOTIONS,
    speeds: Sequence[str] = tuple(SPEEDS),
    style: str = "flat",
) -> World:
    """Sample a world, deterministically.

    Attributes are uniform and independent, except that things differ in colour. Paths stay inside the frame
    where possible; in long shots, or to avoid contact, things wrap around the edges. Motions are resampled if
    no placement avoids contact (1 % of square shots of 3 s).

    Args:
        width, height: size of a frame, in pixels.
        fps: frames per second.
        num_things: 1, 2 or 3; None samples 1 or 2.
        distinct_from: excluded backgrounds, such as those of adjacent shots.
        motions: motions to choose from, a subset of `palette.MOTIONS`.
        speeds: speeds to choose from, a subset of `palette.SPEEDS`.
        style: one of `styles.STYLES`.
    """
    check_not_empty(width=width, height=height, fps=fps, num_frames=num_frames)
    if num_things is not None and num_things not in SIZES:
        raise ValueError(f"num_things is {num_things}: this family has worlds of 1, 2 or 3 things")
    for name, values, known in (("motion", motions, MOTIONS), ("speed", speeds, tuple(SPEEDS))):
        if not values or not set(values) <= set(known):
            raise ValueError(f"{name}s {', '.join(values) or 'none'}: use some of {', '.join(known)}")
    rng = Random(f"worlds/shapes/{seed}")
    count = num_things or rng.choice((1, 2))
    background = rng.choice([name for name in BACKGROUNDS if name not in distinct_from])
    colors = rng.sample(list(COLORS), count)
    shapes = [rng.choice(SHAPES) for _ in colors]
    extent = (width / min(width, height), height / min(width, height))
    time_T = np.arange(num_frames) / fps
    things = None
    while things is None:
        unplaced = [
            _sample_thing(rng, color, shape, SIZES[count], motions, speeds)
            for color, shape in zip(colors, shapes, strict=True)
        ]
        things = _assign_starts(unplaced, extent, time_T, rng, wrap=False) or _assign_starts(
            unplaced, extent, time_T, rng, wrap=True
        )
    return World(
        seed=seed,
        style=style,
        things=things,
        background=background,
        width=width,
        height=height,
        fps=fps,
        num_frames=num_frames,
    )


def sample(seed: int, *, width: int, height: int, fps: float, num_frames: int, style: str = "flat") -> World:
    """Sample a world of 1 to 3 things, deterministically."""
    count = Random(f"worlds/shapes/count/{seed}").choice(tuple(SIZES))
    return sample_world(
        seed, width=width, height=height, fps=fps, num_frames=num_frames, num_things=count, style=style
    )


def place_things(
    seed: int,
    things: Sequence[ThingRequirements],
    *,
    background: str,
    width: int,
    height: int,
    fps: float,
    num_frames: int,
    style: str = "flat",
) -> World:
    """Return a world of one to three given things; their sizes and starts are sampled, deterministically.

    Args:
        things: all of them with a colour, a shape and a motion, of different colours.

    Raises:
        ValueError: if they touch wherever they start.
    """
    check_not_empty(width=width, height=height, fps=fps, num_frames=num_frames)
    rng = Random(f"worlds/shapes/placed/{seed}")
    extent = (width / min(width, height), height / min(width, height))
    time_T = np.arange(num_frames) / fps
    for attempt in range(2 * PLACEMENTS):
        unplaced = [_to_thing(thing, rng.uniform(*SIZES[len(things)])) for thing in things]
        placed = _assign_starts(unplaced, extent, time_T, rng, wrap=attempt >= PLACEMENTS)
        if placed is not None:
            return World(
                seed=seed,
                style=style,
                things=placed,
                background=background,
                width=width,
                height=height,
                fps=fps,
                num_frames=num_frames,
            )
    raise ValueError(f"{len(things)} things touch wherever they start: change a direction or a speed")


def _to_thing(wanted: ThingRequirements, size: float) -> Thing:
    if wanted.color is None or wanted.shape is None or wanted.direction is None:
        raise ValueError(f"{wanted}: a thing needs a colour, a shape and a motion")
    speed = None if wanted.direction == STILL else wanted.speed
    return Thing(
        color=wanted.color,
        shape=wanted.shape,
        direction=wanted.direction,
        speed=speed,
        size=size,
        start=(0.0, 0.0),
    )


def _sample_thing(
    rng: Random,
    color: str,
    shape: str,
    sizes: tuple[float, float],
    motions: Sequence[str],
    speeds: Sequence[str],
) -> Thing:
    """Sample a motion and a size; `_assign_starts` assigns the start."""
    direction, speed = rng.choice(motions), rng.choice(speeds)
    return Thing(
        color=color,
        shape=shape,
        direction=direction,
        speed=None if direction == STILL else speed,
        size=rng.uniform(*sizes),
        start=(0.0, 0.0),
    )


def _assign_starts(
    things: list[Thing], extent: tuple[float, float], time_T: np.ndarray, rng: Random, *, wrap: bool
) -> tuple[Thing, ...] | None:
    """Assign a start to each thing, or return None if they cannot be kept apart.

    Paths stay inside the frame where possible, unless `wrap` is set.
    """
    draws_KN2 = np.random.default_rng(rng.getrandbits(64)).random((CANDIDATES, len(things), 2))
    lows_N2, highs_N2 = np.empty((len(things), 2)), np.empty((len(things), 2))
    for n, thing in enumerate(things):
        for axis in range(2):
            path = thing.velocity[axis] * time_T[-1]
            low, high = thing.size / 2 - min(path, 0.0), extent[axis] - thing.size / 2 - max(path, 0.0)
            stays_inside = low <= high and not wrap
            lows_N2[n, axis], highs_N2[n, axis] = (low, high) if stays_inside else (0.0, extent[axis])
    start_KN2 = lows_N2 + draws_KN2 * (highs_N2 - lows_N2)
    chosen = 0
    if len(things) > 1:
        fits_K = np.ones(CANDIDATES, bool)
        for a, b in itertools.combinations(range(len(things)), 2):
            pair = [things[a], things[b]]
            gap_K = _min_distance(start_KN2[:, [a, b]], pair, np.array(extent), time_T)
            fits_K &= gap_K >= (things[a].size + things[b].size) / 2 + GAP
        if not fits_K.any():
            return None
        chosen = int(np.argmax(fits_K))
    starts = [tuple(round(float(v), 6) for v in start_2) for start_2 in start_KN2[chosen]]
    return tuple(_with_start(thing, start) for thing, start in zip(things, starts, strict=True))


def _with_start(thing: Thing, start: tuple[float, ...]) -> Thing:
    return replace(thing, start=(start[0], start[1]), size=round(thing.size, 6))


def _min_distance(
    start_KN2: np.ndarray, things: list[Thing], extent_2: np.ndarray, time_T: np.ndarray
) -> np.ndarray:
    """Return, for each candidate, the minimum distance of two things over the shot, across wrapped edges."""
    relative_2 = np.array(things[1].velocity) - np.array(things[0].velocity)
    offset_KT2 = (start_KN2[:, 1] - start_KN2[:, 0])[:, None] + relative_2 * time_T[:, None]
    offset_KT2 = (offset_KT2 + extent_2 / 2) % extent_2 - extent_2 / 2
    return np.hypot(offset_KT2[..., 0], offset_KT2[..., 1]).min(axis=1)


def combination(world: World) -> str:
    """Return colour, shape and direction of each thing, such as `blue star up; red circle left`."""
    return SEPARATOR.join(sorted(f"{thing.name} {thing.direction}" for thing in world.things))


from_json = World.from_json
