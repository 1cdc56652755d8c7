"""Judge by its pixels whether a video shows what falls, bounces, collides or stacks, and whether lawfully.

Legend: N things, T frames, H height, W width, C channels (RGB). Lengths are in short sides of the frame.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache

import cv2
import numpy as np

from worlds.palette import COLORS
from worlds.physics.truth import PhysicsWorld, simulate_NT2
from worlds.sight import Sight, Spot, look, named_THW, shape_of

SMALLEST_CORE = 0.004
"""Median area of a thing without its edge, below which it is noise."""
APART = 1.25
"""Things are far enough apart for their shapes, in sizes."""
MISFIT = 0.06
"""Most that a path may be from the law (root mean square), in lengths of the path."""
MISFIT_PLACE = 0.012
"""The same, in short sides, whatever the path: what pixels and lossy coding do."""
SHORTEST_PATH = 0.10
SPRINGS = 0.3
"""From this share of its speed on, what springs back bounces."""
ELASTIC = (0.75, 1.33)
"""Speed given away in a collision of equal masses, in speeds before it: 1 by the law."""
HIT_SHARES = np.linspace(0.15, 1.0, 69)
REBOUNDS = np.concatenate([[0.0], np.linspace(0.2, 1.0, 33)])


@dataclass(frozen=True, kw_only=True, slots=True)
class Motion:
    """What was found."""

    things: tuple[tuple[str, str | None], ...]
    """Colour and shape of each."""
    event: str | None
    lawful: bool
    """Whether the path is within the tolerances of the law of that event."""


def judge(frames_THWC: np.ndarray, fps: float, world: PhysicsWorld) -> dict[str, bool]:
    """Say for each attribute whether a video shows it: `event`, `color` and `shape` of all things, `lawful`
    (what is seen is the event that was asked for, by the law of that event)."""
    return compare(measure_motion(frames_THWC), world)


def compare(found: Motion, world: PhysicsWorld) -> dict[str, bool]:
    """Compare what was found with a world."""
    return {
        "event": found.event == world.event,
        "color": sorted(color for color, _ in found.things) == sorted(body.color for body in world.bodies),
        "shape": sorted(shape or "" for _, shape in found.things)
        == sorted(body.shape for body in world.bodies),
        "lawful": found.event == world.event and found.lawful,
    }


def true_motion(world: PhysicsWorld) -> Motion:
    """Return what a perfect measurement of a world would find."""
    event, lawful = explain(simulate_NT2(world))
    return Motion(things=tuple((body.color, body.shape) for body in world.bodies), event=event, lawful=lawful)


def measure_motion(frames_THWC: np.ndarray) -> Motion:
    """Follow the things (RGB, uint8), each by its colour, and explain their paths."""
    sight = look(frames_THWC)
    tracks = _tracks(sight)
    if not tracks or len(tracks) > 2 or any(len(track) < 3 for track in tracks):
        return Motion(things=_things(sight, tracks), event=None, lawful=False)
    frames_T = np.arange(len(sight.frames_THWC))
    center_NT2 = np.stack([_filled(track, frames_T) for track in tracks])
    event, lawful = explain(center_NT2)
    return Motion(things=_things(sight, tracks), event=event, lawful=lawful)


def _tracks(sight: Sight) -> list[list[Spot]]:
    """Return the spots of each colour that a thing has, one a frame at most."""
    named, side = named_THW(sight.frames_THWC), sight.short_side_px
    tracks = []
    for number, color in enumerate(COLORS, start=1):
        mask_THW = (named == number).astype(np.uint8)
        if (
            mask_THW.mean() * sight.frames_THWC.shape[1] * sight.frames_THWC.shape[2]
            < SMALLEST_CORE * side**2
        ):
            continue
        core_THW = np.stack([cv2.erode(mask_HW, np.ones((3, 3), np.uint8)) for mask_HW in mask_THW])
        if np.median(core_THW.sum(axis=(1, 2))) < SMALLEST_CORE * side**2:
            continue
        spots = [
            _spot(int(index), color, sight.frames_THWC[index], mask_THW[index])
            for index in np.flatnonzero(core_THW.any(axis=(1, 2)))
        ]
        tracks.append(spots)
    return tracks


def _spot(index: int, color: str, rgb_HWC: np.ndarray, mask_HW: np.ndarray) -> Spot:
    """Return the largest piece of one colour in a frame."""
    _, label_HW, stats, centers = cv2.connectedComponentsWithStats(mask_HW, connectivity=4)
    label = 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
    side, inside_HW = min(mask_HW.shape), label_HW == label
    return Spot(
        frame=index,
        color=color,
        area=float(stats[label, cv2.CC_STAT_AREA]) / side**2,
        center_2=(centers[label] + 0.5) / side,
        rgb_C=np.median(rgb_HWC[inside_HW], axis=0),
        inside_HW=inside_HW,
    )


def _filled(track: list[Spot], frames_T: np.ndarray) -> np.ndarray:
    """Return a centre for each frame, in between where the thing was not found."""
    seen_N = np.array([spot.frame for spot in track])
    center_N2 = np.array([spot.center_2 for spot in track])
    return np.stack([np.interp(frames_T, seen_N, center_N2[:, axis]) for axis in range(2)], axis=1)


def _things(sight: Sight, tracks: Iterable[list[Spot]]) -> tuple[tuple[str, str | None], ...]:
    """Return colour and shape of each thing; the shape from the frames in which it is far from the others."""
    tracks = list(tracks)
    found = []
    for track in tracks:
        others = [{spot.frame: spot for spot in other} for other in tracks if other is not track]
        clear = [spot for spot in track if all(_apart(spot, other.get(spot.frame)) for other in others)]
        lowest = np.quantile([spot.center_2[1] for spot in clear or track], 0.5)
        high = [spot for spot in clear or track if spot.center_2[1] <= lowest]
        found.append((track[0].color, shape_of(_with_floor(sight), high)))
    return tuple(found)


def _apart(spot: Spot, other: Spot | None) -> bool:
    sizes = 2 * np.sqrt(max(spot.area, other.area) / np.pi) if other else 0.0
    return other is None or float(np.hypot(*(spot.center_2 - other.center_2))) > APART * sizes


def _with_floor(sight: Sight) -> Sight:
    """Return a sight in which the floor counts as no thing, like a line."""
    if sight.ink_C is not None:
        return sight
    return replace(sight, ink_C=np.median(sight.frames_THWC[:, -1].reshape(-1, 3), axis=0))


def explain(center_NT2: np.ndarray) -> tuple[str | None, bool]:
    """Return the event that one or two paths show (None if none), and whether they keep its law."""
    ranges_N2 = np.ptp(center_NT2, axis=1)
    if len(center_NT2) == 1:
        return _explain_drop(center_NT2[0])
    if ranges_N2[:, 0].max() > ranges_N2[:, 1].max():
        return _explain_hit(center_NT2[..., 0])
    faller = int(ranges_N2[:, 1].argmax())
    event, lawful = _explain_drop(center_NT2[faller])
    last_N2 = center_NT2[:, -1]
    on_top = last_N2[faller, 1] < last_N2[1 - faller, 1] and abs(last_N2[0, 0] - last_N2[1, 0]) < 0.12
    return ("stack" if event == "fall" and on_top else None), lawful


def _explain_drop(center_T2: np.ndarray) -> tuple[str | None, bool]:
    """Fit a fall from rest with every time of the landing and every rebound; the best one tells."""
    law_KT = _drops(len(center_T2))
    misfit_K, length_K = _fits(law_KT, center_T2[:, 1])
    best = int(np.argmin(misfit_K))
    length, rebound = float(length_K[best]), REBOUNDS[best % len(REBOUNDS)]
    if length < SHORTEST_PATH:
        return None, False
    level = float(np.ptp(center_T2[:, 0])) < SHORTEST_PATH
    lawful = level and float(misfit_K[best]) <= MISFIT * length + MISFIT_PLACE
    return ("bounce" if rebound >= SPRINGS else "fall"), lawful


@lru_cache(maxsize=32)
def _drops(num_frames: int) -> np.ndarray:
    """Return law_KT: every drop that is tried, the rebound changing fastest."""
    time_T = np.linspace(0, 1, num_frames)
    return np.stack([_drop(time_T, hit, rebound) for hit in HIT_SHARES for rebound in REBOUNDS])


def _drop(time_T: np.ndarray, hit: float, rebound: float) -> np.ndarray:
    """Return the way fallen, from 0 to 1 at the floor, of a thing that lands first at the time `hit`."""
    fallen_T = (time_T / hit) ** 2
    begins, speed = hit, rebound
    fallen_T[time_T >= hit] = 1.0
    while speed > 0.1 and begins < time_T[-1]:
        since_T = (time_T - begins) / hit
        flying_T = (since_T >= 0) & (since_T < 2 * speed)
        fallen_T[flying_T] = 1 - (2 * speed * since_T - since_T**2)[flying_T]
        begins, speed = begins + 2 * speed * hit, speed * min(rebound, 0.95)
    return fallen_T


def _fits(law_KT: np.ndarray, path_T: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the root mean square misfit of start + length * law to a path, and that length (>= 0), of each
    of K laws."""
    centered_KT = law_KT - law_KT.mean(axis=1, keepdims=True)
    length_K = np.maximum(0, centered_KT @ path_T / np.maximum((centered_KT**2).sum(axis=1), 1e-9))
    return np.std(path_T - length_K[:, None] * law_KT, axis=1), length_K


def _explain_hit(x_NT: np.ndarray) -> tuple[str | None, bool]:
    """Fit one thing that goes level until a hit, and one that goes on from there."""
    time_T, hit_K1 = np.linspace(0, 1, x_NT.shape[1]), HIT_SHARES[:-8, None]
    best = (np.inf, 0.0, 0.0)
    for first, sign in ((0, 1), (0, -1), (1, 1), (1, -1)):
        before_K, speed_K = _fits(np.minimum(time_T, hit_K1), sign * x_NT[first])
        after_K, given_K = _fits(np.maximum(time_T - hit_K1, 0), sign * x_NT[1 - first])
        k = int(np.argmin(np.maximum(before_K, after_K)))
        best = min(best, (float(max(before_K[k], after_K[k])), float(speed_K[k]), float(given_K[k])))
    misfit, speed, given = best
    if min(speed, given) < SHORTEST_PATH:
        return None, False
    lawful = misfit <= MISFIT * speed / 2 + MISFIT_PLACE and ELASTIC[0] <= given / speed <= ELASTIC[1]
    return "collide", lawful
