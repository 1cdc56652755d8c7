"""Judge whether a video shows a fall, bounce, collision or stack that obeys its law.

Legend: N things, T frames, H height, W width, C channels (RGB). Lengths are in short sides of the frame.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache

import cv2
import numpy as np

from worlds.palette import COLORS
from worlds.physics.truth import PhysicsWorld, simulate_NT2
from worlds.segmentation import Region, Segmentation, classify_shape, color_labels_THW, segment

MIN_CORE_AREA = 0.004
"""Minimum median area of a thing without its edge."""
APART = 1.25
"""Minimum distance of things, in sizes, for their shapes to be measured."""
MISFIT = 0.06
"""Maximum root mean square deviation from the law, in lengths of the path."""
MISFIT_PLACE = 0.012
"""Additional tolerance in short sides, for pixels and lossy coding."""
MIN_PATH = 0.10
SPRINGS = 0.3
"""Minimum coefficient of restitution of a bounce."""
ELASTIC = (0.75, 1.33)
"""Allowed range of the transferred speed in a collision of equal masses; 1 by the law."""
HIT_SHARES = np.linspace(0.15, 1.0, 69)
REBOUNDS = np.concatenate([[0.0], np.linspace(0.2, 1.0, 33)])


@dataclass(frozen=True, kw_only=True, slots=True)
class Motion:
    """Result of the measurement."""

    things: tuple[tuple[str, str | None], ...]
    """Colour and shape of each."""
    event: str | None
    lawful: bool
    """Whether the path obeys the law of the event within tolerance."""


def judge(frames_THWC: np.ndarray, fps: float, world: PhysicsWorld) -> dict[str, bool]:
    """Return, for each attribute, whether a video shows it.

    `event`, `color` and `shape` are those of all things; `lawful` means that the event obeys its law.
    """
    return compare(measure_motion(frames_THWC), world)


def compare(measured: Motion, world: PhysicsWorld) -> dict[str, bool]:
    """Compare a measurement with a world."""
    return {
        "event": measured.event == world.event,
        "color": sorted(color for color, _ in measured.things) == sorted(body.color for body in world.bodies),
        "shape": sorted(shape or "" for _, shape in measured.things)
        == sorted(body.shape for body in world.bodies),
        "lawful": measured.event == world.event and measured.lawful,
    }


def true_motion(world: PhysicsWorld) -> Motion:
    """Return the ideal measurement of a world."""
    event, lawful = explain(simulate_NT2(world))
    return Motion(things=tuple((body.color, body.shape) for body in world.bodies), event=event, lawful=lawful)


def measure_motion(frames_THWC: np.ndarray) -> Motion:
    """Track the things (RGB, uint8) by colour, and fit their paths."""
    segmentation = segment(frames_THWC)
    tracks = _tracks(segmentation)
    if not tracks or len(tracks) > 2 or any(len(track) < 3 for track in tracks):
        return Motion(things=_things(segmentation, tracks), event=None, lawful=False)
    frames_T = np.arange(len(segmentation.frames_THWC))
    center_NT2 = np.stack([_interpolate_centers(track, frames_T) for track in tracks])
    event, lawful = explain(center_NT2)
    return Motion(things=_things(segmentation, tracks), event=event, lawful=lawful)


def _tracks(segmentation: Segmentation) -> list[list[Region]]:
    """Return the regions of each thing colour, at most one per frame."""
    named, side = color_labels_THW(segmentation.frames_THWC), segmentation.short_side_px
    tracks = []
    for number, color in enumerate(COLORS, start=1):
        mask_THW = (named == number).astype(np.uint8)
        if (
            mask_THW.mean() * segmentation.frames_THWC.shape[1] * segmentation.frames_THWC.shape[2]
            < MIN_CORE_AREA * side**2
        ):
            continue
        core_THW = np.stack([cv2.erode(mask_HW, np.ones((3, 3), np.uint8)) for mask_HW in mask_THW])
        if np.median(core_THW.sum(axis=(1, 2))) < MIN_CORE_AREA * side**2:
            continue
        regions = [
            _largest_region(int(index), color, segmentation.frames_THWC[index], mask_THW[index])
            for index in np.flatnonzero(core_THW.any(axis=(1, 2)))
        ]
        tracks.append(regions)
    return tracks


def _largest_region(index: int, color: str, rgb_HWC: np.ndarray, mask_HW: np.ndarray) -> Region:
    """Return the largest region of one colour in a frame."""
    _, label_HW, stats, centers = cv2.connectedComponentsWithStats(mask_HW, connectivity=4)
    label = 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
    side, inside_HW = min(mask_HW.shape), label_HW == label
    return Region(
        frame=index,
        color=color,
        area=float(stats[label, cv2.CC_STAT_AREA]) / side**2,
        center_2=(centers[label] + 0.5) / side,
        rgb_C=np.median(rgb_HWC[inside_HW], axis=0),
        inside_HW=inside_HW,
    )


def _interpolate_centers(track: list[Region], frames_T: np.ndarray) -> np.ndarray:
    """Return a centre for each frame, interpolated over missing frames."""
    frame_N = np.array([region.frame for region in track])
    center_N2 = np.array([region.center_2 for region in track])
    return np.stack([np.interp(frames_T, frame_N, center_N2[:, axis]) for axis in range(2)], axis=1)


def _things(segmentation: Segmentation, tracks: Iterable[list[Region]]) -> tuple[tuple[str, str | None], ...]:
    """Return colour and shape of each thing; shapes are classified in frames with distance between things."""
    tracks = list(tracks)
    things = []
    for track in tracks:
        others = [{region.frame: region for region in other} for other in tracks if other is not track]
        clear = [
            region for region in track if all(_apart(region, other.get(region.frame)) for other in others)
        ]
        lowest = np.quantile([region.center_2[1] for region in clear or track], 0.5)
        high = [region for region in clear or track if region.center_2[1] <= lowest]
        things.append((track[0].color, classify_shape(_with_floor(segmentation), high)))
    return tuple(things)


def _apart(region: Region, other: Region | None) -> bool:
    sizes = 2 * np.sqrt(max(region.area, other.area) / np.pi) if other else 0.0
    return other is None or float(np.hypot(*(region.center_2 - other.center_2))) > APART * sizes


def _with_floor(segmentation: Segmentation) -> Segmentation:
    """Return a segmentation that treats the floor as ink."""
    if segmentation.ink_C is not None:
        return segmentation
    return replace(segmentation, ink_C=np.median(segmentation.frames_THWC[:, -1].reshape(-1, 3), axis=0))


def explain(center_NT2: np.ndarray) -> tuple[str | None, bool]:
    """Return the event of one or two paths (None if none fits), and whether they obey its law."""
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
    """Fit a fall from rest over a grid of landing times and rebounds."""
    law_KT = _drops(len(center_T2))
    misfit_K, length_K = _fits(law_KT, center_T2[:, 1])
    best = int(np.argmin(misfit_K))
    length, rebound = float(length_K[best]), REBOUNDS[best % len(REBOUNDS)]
    if length < MIN_PATH:
        return None, False
    level = float(np.ptp(center_T2[:, 0])) < MIN_PATH
    lawful = level and float(misfit_K[best]) <= MISFIT * length + MISFIT_PLACE
    return ("bounce" if rebound >= SPRINGS else "fall"), lawful


@lru_cache(maxsize=32)
def _drops(num_frames: int) -> np.ndarray:
    """Return law_KT, the candidate drops; the rebound varies fastest."""
    time_T = np.linspace(0, 1, num_frames)
    return np.stack([_drop(time_T, hit, rebound) for hit in HIT_SHARES for rebound in REBOUNDS])


def _drop(time_T: np.ndarray, hit: float, rebound: float) -> np.ndarray:
    """Return the fallen distance, from 0 to 1 at the floor, of a thing that first lands at time `hit`."""
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
    """Fit one thing in uniform motion until a collision, and one after it."""
    time_T, hit_K1 = np.linspace(0, 1, x_NT.shape[1]), HIT_SHARES[:-8, None]
    best = (np.inf, 0.0, 0.0)
    for first, sign in ((0, 1), (0, -1), (1, 1), (1, -1)):
        before_K, speed_K = _fits(np.minimum(time_T, hit_K1), sign * x_NT[first])
        after_K, transferred_K = _fits(np.maximum(time_T - hit_K1, 0), sign * x_NT[1 - first])
        k = int(np.argmin(np.maximum(before_K, after_K)))
        best = min(best, (float(max(before_K[k], after_K[k])), float(speed_K[k]), float(transferred_K[k])))
    misfit, speed, transferred = best
    if min(speed, transferred) < MIN_PATH:
        return None, False
    lawful = misfit <= MISFIT * speed / 2 + MISFIT_PLACE and ELASTIC[0] <= transferred / speed <= ELASTIC[1]
    return "collide", lawful
