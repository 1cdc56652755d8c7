"""Measure background, things, and their colour, shape and motion from the pixels of a video.

Legend: T frames, H height, W width, C channels (RGB), L channels of CIELAB, P pixels, K components in one
frame. The frame is a torus, as in `worlds.shapes.truth`: a thing cut by the right edge continues at the left.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from worlds.color_lookup import shrink, to_lab
from worlds.palette import BACKGROUNDS, COLORS, DIRECTIONS, SPEEDS, STILL
from worlds.segmentation import MEASURED_SIDE_PX
from worlds.shape_matching import centered, fit_shape, sampled
from worlds.shapes.truth import World

FOREGROUND = 24.0
"""Minimum CIELAB distance of a thing's pixel from the background. The closest thing and background colours
are 45 apart."""
UNKNOWN_COLOR = 40.0
"""Maximum CIELAB distance of a colour from its name in the palette."""
MIN_AREA = 0.006
"""Minimum area of a component, in squared short sides; the min_area star covers 0.024."""
MIN_SPEED = SPEEDS["slow"] / 2
"""Minimum speed of a moving thing, in short sides per second."""
MAX_CONTACT = 0.15
"""Maximum length at which a whole thing touches an edge of the frame, over the square root of its area."""
MAX_THINGS = 4
"""Number of largest things to track; the others are only counted."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MeasuredThing:
    """One thing found in a video; None where no value of the palette fits, and for motion in one frame."""

    color: str | None
    shape: str | None
    direction: str | None
    speed: str | None
    """None also for a thing at rest."""
    speed_per_s: float | None
    """Short sides per second."""
    shape_error: float
    """Error of the best shape template."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """Result of the measurement."""

    background: str | None
    things: tuple[MeasuredThing, ...]
    count: int
    """Median over the frames."""
    num_frames: int


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Blob:
    """One connected component in one frame."""

    frame: int
    center_2: np.ndarray
    """(x, y) in pixels, on the torus."""
    area: float
    lab_L: np.ndarray
    rgb_C: np.ndarray
    cover_HW: np.ndarray
    """Mask of the component in the frame, rolled so that it does not wrap."""
    roll: tuple[int, int]
    """(rows, columns) of the roll."""


def measure(frames_THWC: np.ndarray, fps: float) -> Measured:
    """Measure a video (RGB, uint8).

    Args:
        fps: frames per second, for speeds.

    Raises:
        ValueError: if the frames have another layout.
    """
    frames_THWC = shrink(frames_THWC, MEASURED_SIDE_PX)
    found = _find_tracks(frames_THWC)
    background_rgb_C = np.median(frames_THWC[found.away_THW < FOREGROUND], axis=0)
    return Measured(
        background=nearest(found.background_L, BACKGROUNDS),
        things=tuple(_describe(track, frames_THWC, background_rgb_C, fps) for track in found.tracks),
        count=found.count,
        num_frames=len(frames_THWC),
    )


def measure_paths(frames_THWC: np.ndarray) -> list[np.ndarray]:
    """Return the path of each thing: (frame, x, y) in short sides, N x 3, without jumps at wrapped edges.

    Raises:
        ValueError: if the frames have another layout.
    """
    frames_THWC = shrink(frames_THWC, MEASURED_SIDE_PX)
    extent_2 = np.array(frames_THWC.shape[2:0:-1], float)
    return [
        np.column_stack(
            [[blob.frame for blob in track], (track[0].center_2 + _path(track, extent_2)) / extent_2.min()]
        )
        for track in _find_tracks(frames_THWC).tracks
    ]


def wholly_in_frame(frames_THWC: np.ndarray) -> bool:
    """Return whether most frames show things, and no edge of the frame cuts any thing in any frame.

    Raises:
        ValueError: if the frames have another layout.
    """
    found = _find_tracks(shrink(frames_THWC, MEASURED_SIDE_PX))
    return found.count > 0 and not any(_is_cut(blob, found) for blobs in found.blobs_T for blob in blobs)


def measured_truth(world: World) -> Measured:
    """Return the ideal measurement of `world`."""
    things = tuple(
        MeasuredThing(
            color=thing.color,
            shape=thing.shape,
            direction=thing.direction if world.moves else None,
            speed=thing.speed if world.moves else None,
            speed_per_s=math.hypot(*thing.velocity) if world.moves else None,
            shape_error=0.0,
        )
        for thing in world.things
    )
    return Measured(
        background=world.background, things=things, count=len(things), num_frames=world.num_frames
    )


def nearest(lab_L: np.ndarray, palette: Mapping[str, tuple[int, int, int]]) -> str | None:
    """Return the name of the nearest colour, or None if it is too far."""
    palette_NL = to_lab(np.array(list(palette.values()), np.uint8))
    distance_N = np.sqrt(((palette_NL - lab_L) ** 2).sum(axis=1))
    best = int(np.argmin(distance_N))
    return list(palette)[best] if distance_N[best] < UNKNOWN_COLOR else None


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Tracks:
    """Things of a video, and the background that they were found against."""

    tracks: list[list[_Blob]]
    blobs_T: list[list[_Blob]]
    """All blobs of each frame, also those of no track."""
    count: int
    background_L: np.ndarray
    away_THW: np.ndarray
    """CIELAB distance of each pixel from the background."""


def _find_tracks(frames_THWC: np.ndarray) -> _Tracks:
    num_frames, height, width = frames_THWC.shape[:3]
    lab_THWL = to_lab(frames_THWC)
    background_L = np.median(lab_THWL.reshape(-1, 3)[:: max(1, num_frames // 8)], axis=0)
    away_THW = np.sqrt(((lab_THWL - background_L) ** 2).sum(axis=-1))
    blobs_T = [
        _find_blobs(index, frames_THWC[index], lab_THWL[index], away_THW[index])
        for index in range(num_frames)
    ]
    count = int(np.median([len(blobs) for blobs in blobs_T]))
    tracks = _link_tracks(blobs_T, min(count, MAX_THINGS), np.array([width, height], float))
    return _Tracks(tracks=tracks, blobs_T=blobs_T, count=count, background_L=background_L, away_THW=away_THW)


def _find_blobs(index: int, rgb_HWC: np.ndarray, lab_HWL: np.ndarray, away_HW: np.ndarray) -> list[_Blob]:
    """Return the things of one frame, largest first."""
    mask_HW = (away_HW > FOREGROUND).astype(np.uint8)
    roll = (-int(np.argmin(mask_HW.sum(axis=1))), -int(np.argmin(mask_HW.sum(axis=0))))
    rolled_HW = np.roll(mask_HW, roll, axis=(0, 1))  # the seam is now in empty rows and columns
    num_labels, label_HW, stats, centers = cv2.connectedComponentsWithStats(rolled_HW, connectivity=4)
    height, width = mask_HW.shape
    min_area = MIN_AREA * min(height, width) ** 2
    blobs = []
    for label in range(1, num_labels):
        area = float(stats[label, cv2.CC_STAT_AREA])
        if area < min_area:
            continue
        cover_HW = label_HW == label
        inside_HW = np.roll(cover_HW, (-roll[0], -roll[1]), axis=(0, 1))
        away_P = away_HW[inside_HW]
        core_P = away_P >= np.quantile(away_P, 0.6)  # pixels far from the background are not on the edge
        center_2 = (centers[label] + 0.5 - np.array(roll[::-1])) % (width, height)
        blobs.append(
            _Blob(
                frame=index,
                center_2=center_2,
                area=area,
                lab_L=np.median(lab_HWL[inside_HW][core_P], axis=0),
                rgb_C=np.median(rgb_HWC[inside_HW][core_P], axis=0),
                cover_HW=cover_HW,
                roll=roll,
            )
        )
    return sorted(blobs, key=lambda blob: -blob.area)


def _is_cut(blob: _Blob, found: _Tracks) -> bool:
    """Return whether more than a tip of a thing touches an edge of the frame.

    Pixels count that are more like the thing than like the background, since blur reaches beyond a thing.
    """
    inside_HW = np.roll(blob.cover_HW, (-blob.roll[0], -blob.roll[1]), axis=(0, 1))
    contrast = float(np.linalg.norm(blob.lab_L - found.background_L))
    covered_HW = inside_HW & (found.away_THW[blob.frame] >= contrast / 2)
    edges = (covered_HW[0], covered_HW[-1], covered_HW[:, 0], covered_HW[:, -1])
    return max(int(edge.sum()) for edge in edges) > MAX_CONTACT * math.sqrt(blob.area)


def _link_tracks(blobs_T: Sequence[Sequence[_Blob]], count: int, extent_2: np.ndarray) -> list[list[_Blob]]:
    """Link the blobs of all frames to `count` tracks by position and colour; tracks may have gaps."""
    if not count:
        return []
    first = next(index for index, blobs in enumerate(blobs_T) if len(blobs) >= count)
    tracks = [[blob] for blob in blobs_T[first][:count]]
    last = list(blobs_T[first][:count])
    for blobs in blobs_T[first + 1 :]:
        _extend(tracks, last, blobs[:count], extent_2)
    last = list(blobs_T[first][:count])
    for blobs in reversed(blobs_T[:first]):
        _extend(tracks, last, blobs[:count], extent_2)
    return [sorted(track, key=lambda blob: blob.frame) for track in tracks]


def _extend(
    tracks: list[list[_Blob]], last: list[_Blob], blobs: Sequence[_Blob], extent_2: np.ndarray
) -> None:
    """Assign the blobs of a frame to tracks with the least change in position and colour."""

    def change(order: Sequence[int]) -> float:
        return sum(_change(last[n], blob, extent_2) for n, blob in zip(order, blobs, strict=True))

    best = min(itertools.permutations(range(len(tracks)), len(blobs)), key=change)
    for n, blob in zip(best, blobs, strict=True):
        tracks[n].append(blob)
        last[n] = blob


def _change(before: _Blob, after: _Blob, extent_2: np.ndarray) -> float:
    moved = float(np.hypot(*_shortest(after.center_2 - before.center_2, extent_2))) / float(extent_2.min())
    return moved + float(np.linalg.norm(after.lab_L - before.lab_L)) / 100


def _shortest(step_2: np.ndarray, extent_2: np.ndarray) -> np.ndarray:
    """Return the shortest equivalent of a step on the torus."""
    return (step_2 + extent_2 / 2) % extent_2 - extent_2 / 2


def _describe(
    track: Sequence[_Blob], frames_THWC: np.ndarray, background_rgb_C: np.ndarray, fps: float
) -> MeasuredThing:
    extent_2 = np.array(frames_THWC.shape[2:0:-1], float)
    direction, speed, speed_per_s = _motion(track, extent_2, fps)
    shape, error = _shape(track, frames_THWC, background_rgb_C)
    color_L = np.median([blob.lab_L for blob in track], axis=0)
    return MeasuredThing(
        color=nearest(color_L, COLORS),
        shape=shape,
        direction=direction,
        speed=speed,
        speed_per_s=speed_per_s,
        shape_error=error,
    )


def _motion(
    track: Sequence[_Blob], extent_2: np.ndarray, fps: float
) -> tuple[str | None, str | None, float | None]:
    """Return direction, speed class and speed, from the slope of a line fitted to all centres."""
    if len(track) < 2:
        return None, None, None
    path_T2 = _path(track, extent_2) / extent_2.min()
    time_T = np.array([blob.frame for blob in track]) / fps
    time_T = time_T - time_T.mean()
    velocity_2 = (time_T[:, None] * path_T2).sum(axis=0) / (time_T**2).sum()
    speed_per_s = float(np.hypot(*velocity_2))
    if speed_per_s < MIN_SPEED:
        return STILL, None, speed_per_s
    direction = max(DIRECTIONS, key=lambda name: float(np.dot(DIRECTIONS[name], velocity_2)))
    speed = min(SPEEDS, key=lambda name: abs(math.log(SPEEDS[name] / speed_per_s)))
    return direction, speed, speed_per_s


def _path(track: Sequence[_Blob], extent_2: np.ndarray) -> np.ndarray:
    """Return the centres relative to the first (pixels), summed over the shortest steps on the torus."""
    steps = [_shortest(b.center_2 - a.center_2, extent_2) for a, b in itertools.pairwise(track)]
    return np.concatenate([np.zeros((1, 2)), np.cumsum(steps, axis=0).reshape(-1, 2)])


def _shape(
    track: Sequence[_Blob], frames_THWC: np.ndarray, background_rgb_C: np.ndarray
) -> tuple[str | None, float]:
    """Return the shape of the best template for the averaged mask, and its error."""
    reach = math.ceil(0.75 * math.sqrt(max(blob.area for blob in track))) + 4
    outlines = [_outline(blob, frames_THWC, background_rgb_C, reach) for blob in sampled(track)]
    outline_HW = np.mean(outlines, axis=0)
    return fit_shape(outline_HW, min(frames_THWC.shape[1:3]) / 64)


def _outline(blob: _Blob, frames_THWC: np.ndarray, background_rgb_C: np.ndarray, reach: int) -> np.ndarray:
    """Return a blob's coverage of each pixel (0 to 1) as mask_HW, centred."""
    near_HW = cv2.dilate(blob.cover_HW.astype(np.uint8), np.ones((5, 5), np.uint8))
    rgb_HWC = np.roll(frames_THWC[blob.frame], blob.roll, axis=(0, 1)).astype(np.float32)
    contrast_C = blob.rgb_C - background_rgb_C
    alpha_HW = ((rgb_HWC - background_rgb_C) @ contrast_C) / (contrast_C @ contrast_C)
    alpha_HW = (np.clip(alpha_HW, 0, 2) * near_HW).astype(np.float32)
    return centered(alpha_HW, reach)
