"""The family `shapes`: one or two flat things on a plain background. Sample a world, render it.

Legend: N things, T frames, H height, W width, C channels (RGB). K candidate placements.
"""

import math
from collections.abc import Collection, Sequence
from dataclasses import replace
from random import Random

import cv2
import numpy as np

from worlds.palette import BACKGROUNDS, COLORS, MOTIONS, SHAPES, SPEEDS, STILL
from worlds.truth import Thing, World, centers_px_NT2

SIZES = {1: (0.33, 0.40), 2: (0.26, 0.31)}
"""Smallest and largest size of a thing, by how many there are."""
GAP = 0.04
"""Two things never come closer than this, so that a blur does not join them."""
CANDIDATES = 256
"""Placements of two things tried at once; the first that keeps them apart is taken."""
SUPERSAMPLING = 4
"""Edges are drawn this much finer, then averaged."""


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
) -> World:
    """Draw one world; the same arguments give the same world.

    Every attribute is uniform and independent of the others (two things differ in colour). A path stays
    wholly inside the frame where it fits there; where it does not (a long shot), the thing wraps round the
    edges, as do two things that could not be kept apart otherwise. Two that cannot be kept apart at all get
    new motions: none in 2,000 square shots of 2 s, 1 % of those of 3 s.

    Args:
        width, height: of a frame, in pixels.
        fps: frames per second.
        num_things: 1 or 2; None draws one of them.
        distinct_from: backgrounds not to use (those of the neighbouring shots).
        motions: what a thing may do, out of `palette.MOTIONS`.
        speeds: how fast it may go, out of `palette.SPEEDS`.
    """
    if min(width, height, num_frames) < 1 or fps <= 0:
        raise ValueError(
            f"a world of {width}x{height}, {num_frames} frames at {fps} fps is empty: give each more than 0"
        )
    if num_things not in (None, 1, 2):
        raise ValueError(f"num_things is {num_things}: this family has worlds of 1 or 2 things")
    for name, given, known in (("motion", motions, MOTIONS), ("speed", speeds, tuple(SPEEDS))):
        if not given or not set(given) <= set(known):
            raise ValueError(f"{name}s {', '.join(given) or 'none'}: use some of {', '.join(known)}")
    rng = Random(f"worlds/shapes/{seed}")
    count = num_things or rng.choice((1, 2))
    background = rng.choice([name for name in BACKGROUNDS if name not in distinct_from])
    colors = rng.sample(list(COLORS), count)
    shapes = [rng.choice(SHAPES) for _ in colors]
    extent = (width / min(width, height), height / min(width, height))
    time_T = np.arange(num_frames) / fps
    things = None
    while things is None:
        drawn = [
            _draw_thing(rng, color, shape, SIZES[count], motions, speeds)
            for color, shape in zip(colors, shapes, strict=True)
        ]
        things = _place(drawn, extent, time_T, rng, wrap=False) or _place(
            drawn, extent, time_T, rng, wrap=True
        )
    return World(
        seed=seed,
        things=things,
        background=background,
        width=width,
        height=height,
        fps=fps,
        num_frames=num_frames,
    )


def _draw_thing(
    rng: Random,
    color: str,
    shape: str,
    sizes: tuple[float, float],
    motions: Sequence[str],
    speeds: Sequence[str],
) -> Thing:
    """Draw a motion and a size; `_place` gives the start."""
    direction, speed = rng.choice(motions), rng.choice(speeds)
    return Thing(
        color=color,
        shape=shape,
        direction=direction,
        speed=None if direction == STILL else speed,
        size=rng.uniform(*sizes),
        start=(0.0, 0.0),
    )


def _place(
    things: list[Thing], extent: tuple[float, float], time_T: np.ndarray, rng: Random, *, wrap: bool
) -> tuple[Thing, ...] | None:
    """Give each thing a start, or return None if they cannot be kept apart.

    Paths stay inside the frame where they fit and `wrap` is not asked for.
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
    if len(things) == 2:
        gap_K = _smallest_distance(start_KN2, things, np.array(extent), time_T)
        fits_K = gap_K >= (things[0].size + things[1].size) / 2 + GAP
        if not fits_K.any():
            return None
        chosen = int(np.argmax(fits_K))
    starts = [tuple(round(float(v), 6) for v in start_2) for start_2 in start_KN2[chosen]]
    return tuple(_at(thing, start) for thing, start in zip(things, starts, strict=True))


def _at(thing: Thing, start: tuple[float, ...]) -> Thing:
    return replace(thing, start=(start[0], start[1]), size=round(thing.size, 6))


def _smallest_distance(
    start_KN2: np.ndarray, things: list[Thing], extent_2: np.ndarray, time_T: np.ndarray
) -> np.ndarray:
    """Return, for each candidate, how close two things come over the shot, round the edges too."""
    relative_2 = np.array(things[1].velocity) - np.array(things[0].velocity)
    apart_KT2 = (start_KN2[:, 1] - start_KN2[:, 0])[:, None] + relative_2 * time_T[:, None]
    apart_KT2 = (apart_KT2 + extent_2 / 2) % extent_2 - extent_2 / 2
    return np.hypot(apart_KT2[..., 0], apart_KT2[..., 1]).min(axis=1)


def render(world: World) -> np.ndarray:
    """Return `world` as frames_THWC (RGB, uint8), with anti-aliased edges and sub-pixel motion."""
    frames_THWC = np.empty((world.num_frames, world.height, world.width, 3), np.uint8)
    frames_THWC[:] = BACKGROUNDS[world.background]
    for thing, center_T2 in zip(world.things, centers_px_NT2(world), strict=True):
        size_px, color_C = thing.size * world.short_side_px, np.array(COLORS[thing.color], np.float32)
        for frame_HWC, center_2 in zip(frames_THWC, center_T2, strict=True):
            _paint(frame_HWC, thing.shape, size_px, center_2, color_C)
    return frames_THWC


def _paint(
    frame_HWC: np.ndarray, shape: str, size_px: float, center_2: np.ndarray, color_C: np.ndarray
) -> None:
    """Blend one thing into a frame, in place; what sticks out comes in at the opposite edge."""
    height, width = frame_HWC.shape[:2]
    reach = math.ceil(size_px / 2) + 1
    left, top = math.floor(center_2[0]) - reach, math.floor(center_2[1]) - reach
    cover_HW = coverage(
        shape, size_px, (center_2[0] - left, center_2[1] - top), (2 * reach + 1, 2 * reach + 1)
    )
    rows, columns = np.arange(top, top + 2 * reach + 1), np.arange(left, left + 2 * reach + 1)
    where = np.ix_(rows % height, columns % width)
    patch_HWC = frame_HWC[where].astype(np.float32)
    patch_HWC += cover_HW[..., None] * (color_C - patch_HWC)
    frame_HWC[where] = np.rint(patch_HWC).astype(np.uint8)


def coverage(
    shape: str, size_px: float, center: tuple[float, float], extent_px: tuple[int, int]
) -> np.ndarray:
    """Return what share of each pixel the shape covers, as mask_HW (float32, 0 to 1).

    Args:
        size_px: diameter of the circle round the shape.
        center: (x, y) in pixels from the top left corner.
        extent_px: (height, width) of the mask.
    """
    scale, bits = SUPERSAMPLING, 8
    fine_HW = np.zeros((extent_px[0] * scale, extent_px[1] * scale), np.uint8)
    points_P2 = (np.array(center) + outline_P2(shape) * size_px / 2) * scale - 0.5
    cv2.fillPoly(fine_HW, [np.rint(points_P2 * (1 << bits)).astype(np.int32)], 255, cv2.LINE_8, bits)
    coarse_HW = cv2.resize(fine_HW, (extent_px[1], extent_px[0]), interpolation=cv2.INTER_AREA)
    return coarse_HW.astype(np.float32) / 255


def outline_P2(shape: str) -> np.ndarray:
    """Return the corners of a shape inside the unit circle, centred on its centre of mass, y downward."""
    if shape == "circle":
        angles = np.linspace(0, 2 * math.pi, 48, endpoint=False)
        return 0.9 * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    if shape == "square":
        return math.sqrt(0.5) * np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)], float)
    if shape == "triangle":
        angles = -math.pi / 2 + np.arange(3) * 2 * math.pi / 3
        return np.stack([np.cos(angles), np.sin(angles)], axis=1)
    if shape == "star":
        angles = -math.pi / 2 + np.arange(10) * math.pi / 5
        radius = np.where(np.arange(10) % 2 == 0, 1.0, 0.42)
        return radius[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    raise ValueError(f"unknown shape {shape!r}: use one of {', '.join(SHAPES)}")
