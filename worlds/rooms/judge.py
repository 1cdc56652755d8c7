"""Judge a video of a room: the camera's motion, the floor, the things' colours and kinds.

Legend: T frames, H height, W width, C channels (RGB), R reference colours, N things, K kinds, P pixels, M
looks of a kind, G side of a normalised picture of one thing.
"""

import math
from dataclasses import dataclass
from functools import cache
from typing import Any

import cv2
import numpy as np

from worlds.color_lookup import build_nearest_table, components, lookup_nearest, shrink
from worlds.palette import BACKGROUNDS, COLORS
from worlds.rooms.draw import AMBIENT, CONTRAST, HORIZON, SHADOW, ZENITH, draw
from worlds.rooms.odometry import motions_T3
from worlds.rooms.truth import DISTANCE, FLOORS, KINDS, STILL, RoomWorld, Solid
from worlds.styles import DARK_INK, LIGHT_INK, undo_night

MEASURED_SIDE_PX = 64
"""Short side to which larger frames are scaled down."""
SMALLEST_AREA = 0.005
"""Smaller components are noise, in squared short sides; the smallest thing covers 0.02."""
SEEN_SHARE = 0.3
"""A thing is seen in at least this share of the frames; the truth promises 0.4."""
STILLEST = 0.03
"""Motions below this (radians per second, or room widths) are none; the slowest one is 0.049."""
UNCLEAR_MOTION = math.cos(math.radians(35))
"""A motion farther than this from every named one has no name."""
GRID = 28
"""Side of a normalised picture of one thing."""
GRID_AREA = 0.30
"""Share of that picture that the thing covers."""
KIND_FRAMES = 8
"""Kinds are found in this many frames, evenly spaced."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MeasuredRoom:
    """Result of the measurement."""

    things: tuple[tuple[str, str], ...]
    """(colour, kind) of each thing, sorted."""
    floor: str | None
    camera: str | None
    """One of `CAMERA_MOTIONS`; None in a single frame, and where no name fits."""


def judge(frames_THWC: np.ndarray, fps: float, world: RoomWorld) -> dict[str, bool]:
    """Return, for each attribute, whether a video (RGB, uint8) agrees with `world`."""
    return compare(measure_room(frames_THWC, fps), world)


def compare(found: MeasuredRoom, world: RoomWorld) -> dict[str, bool]:
    """Compare a measurement with `world`; of a single frame, ignore the camera."""
    asked = measured_truth(world)
    verdict = {
        "color": sorted(color for color, _ in found.things) == sorted(color for color, _ in asked.things),
        "kind": sorted(kind for _, kind in found.things) == sorted(kind for _, kind in asked.things),
        "binding": found.things == asked.things,
        "count": len(found.things) == len(asked.things),
        "floor": found.floor == asked.floor,
    }
    return verdict | ({"camera": found.camera == asked.camera} if world.moves else {})


def measured_truth(world: RoomWorld) -> MeasuredRoom:
    """Return the ideal measurement of `world`."""
    return MeasuredRoom(
        things=tuple(sorted((solid.color, solid.kind) for solid in world.solids)),
        floor=world.floor,
        camera=world.camera if world.moves else None,
    )


def measure_room(frames_THWC: np.ndarray, fps: float) -> MeasuredRoom:
    """Measure a video (RGB, uint8).

    Raises:
        ValueError: if the frames have another layout.
    """
    frames_THWC = undo_night(shrink(frames_THWC, MEASURED_SIDE_PX))
    names_THW, floors_THW = name_pixels(frames_THWC)
    return MeasuredRoom(
        things=tuple(sorted(_things(frames_THWC, names_THW))),
        floor=_most(floors_THW[names_THW == 0]),
        camera=camera_motion(frames_THWC, fps, names_THW > 0),
    )


@cache
def _references() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return a table of what pixels can look like, the number of a look's colour (0: no thing) and floor.

    Numbers start at 1; floor 0 is the sky, or a thing.
    """
    looks: list[Any] = [HORIZON, ZENITH, DARK_INK, LIGHT_INK]
    names, floors = [0] * len(looks), [0] * len(looks)
    for number, rgb in enumerate(COLORS.values(), start=1):
        for shade in (0.95 * AMBIENT, 0.78, 0.9, 1.0):
            looks.append((shade * rgb[0], shade * rgb[1], shade * rgb[2]))
            names.append(number)
            floors.append(0)
    for number, floor in enumerate(FLOORS, start=1):
        for tone in (-0.8 * CONTRAST, 0.0, 0.8 * CONTRAST):
            for light in (1.0, 1 - SHADOW):
                for fog in (0.0, 0.25, 0.5, 0.75):
                    near = np.clip((np.array(BACKGROUNDS[floor]) + tone) * light, 0, 255)
                    looks.append(near * (1 - fog) + np.array(HORIZON) * fog)
                    names.append(0)
                    floors.append(number if fog <= 0.5 and light == 1.0 else 0)
    return build_nearest_table(looks), np.array(names), np.array(floors)


def name_pixels(frames_THWC: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return for each pixel the number of its thing's colour (0: none) and of its floor (0: none)."""
    table, names_R, floors_R = _references()
    nearest_THW = lookup_nearest(table, frames_THWC)
    return names_R[nearest_THW].astype(np.uint8), floors_R[nearest_THW].astype(np.uint8)


def _most(floors_P: np.ndarray) -> str | None:
    """Return the floor of most pixels that show one."""
    counts = np.bincount(floors_P, minlength=len(FLOORS) + 1)[1:]
    return FLOORS[int(np.argmax(counts))] if counts.any() else None


def camera_motion(frames_THWC: np.ndarray, fps: float, things_THW: np.ndarray | None = None) -> str | None:
    """Name the camera's motion: one of `CAMERA_MOTIONS`, or None if no name fits or there is one frame."""
    if len(frames_THWC) < 2:
        return None
    turn, right, forward = np.median(motions_T3(frames_THWC, things_THW), axis=0) * fps
    rates_3 = np.array([turn, right / DISTANCE, forward / DISTANCE])
    size = float(np.linalg.norm(rates_3))
    if size < STILLEST:
        return STILL
    diagonal = math.sqrt(0.5)
    ways = {
        "orbit left": (diagonal, -diagonal, 0),
        "orbit right": (-diagonal, diagonal, 0),
        "pan left": (-1, 0, 0),
        "pan right": (1, 0, 0),
        "dolly in": (0, 0, 1),
        "dolly out": (0, 0, -1),
    }
    cosines = {name: float(rates_3 @ np.array(way)) / size for name, way in ways.items()}
    best = max(cosines, key=cosines.__getitem__)
    return best if cosines[best] > UNCLEAR_MOTION else None


def _things(frames_THWC: np.ndarray, names_THW: np.ndarray) -> list[tuple[str, str]]:
    """Return (colour, kind) of everything that stands in the room."""
    smallest = SMALLEST_AREA * min(names_THW.shape[1:]) ** 2
    found = []
    for number, color in enumerate(COLORS, start=1):
        masks_T = [components(names_HW == number, smallest) for names_HW in names_THW]
        counts_T = np.array([len(masks) for masks in masks_T])
        if (counts_T > 0).mean() < SEEN_SHARE:
            continue
        twins = max(1, int(np.median(counts_T[counts_T > 0])))
        kinds = _kinds(frames_THWC, names_THW, masks_T, color)
        found += [(color, kinds[min(index, len(kinds) - 1)]) for index in range(twins)]
    return found


def _kinds(
    frames_THWC: np.ndarray, names_THW: np.ndarray, masks_T: list[list[np.ndarray]], color: str
) -> list[str]:
    """Return the kind of the thing of one colour: the one that fits best where it is least covered."""
    seen = [index for index, masks in enumerate(masks_T) if masks]
    freedom = [_freedom(masks_T[index][0], names_THW[index]) for index in seen]
    order = np.argsort(freedom, kind="stable")[::-1][: max(KIND_FRAMES, len(seen) // 2)]
    chosen = sorted(order[np.unique(np.linspace(0, len(order) - 1, KIND_FRAMES).astype(int))])
    looks_MG, kinds_M = _kind_looks()
    total_K = np.zeros(len(KINDS))
    for place in chosen:
        picture_G = _picture(masks_T[seen[place]][0], frames_THWC[seen[place]], color)
        misfit_M = ((looks_MG - picture_G) ** 2).sum(axis=1)
        total_K += [misfit_M[kinds_M == k].min() * (0.05 + freedom[place]) for k in range(len(KINDS))]
    return [KINDS[int(np.argmin(total_K))]]


def _freedom(mask_HW: np.ndarray, names_HW: np.ndarray) -> float:
    """Return the share of the surroundings of a thing that no other thing and no edge of the frame takes."""
    padded_HW = np.pad(mask_HW.astype(np.uint8), 3)
    ring_HW = (cv2.dilate(padded_HW, np.ones((7, 7), np.uint8)) > 0) & (padded_HW == 0)
    own = names_HW[mask_HW][0]
    free_HW = np.pad((names_HW == 0) | (names_HW == own), 3)
    return float(free_HW[ring_HW].mean()) ** 8


def _picture(mask_HW: np.ndarray, rgb_HWC: np.ndarray, color: str) -> np.ndarray:
    """Return outline and shading of one thing, at a normal place and size, as one vector."""
    rows, columns = np.nonzero(mask_HW)
    scale = math.sqrt(GRID_AREA * GRID**2 / len(rows))
    shift = (GRID / 2 - scale * (columns.mean() + 0.5), GRID / 2 - scale * (rows.mean() + 0.5))
    warp = np.array([[scale, 0, shift[0] + scale / 2 - 0.5], [0, scale, shift[1] + scale / 2 - 0.5]])
    base_C = np.array(COLORS[color], np.float32)
    shade_HW = (rgb_HWC.astype(np.float32) @ base_C) / (base_C @ base_C)
    inside_HW = mask_HW.astype(np.float32)
    layers_HW2 = np.stack([inside_HW, inside_HW * (shade_HW - shade_HW[mask_HW].mean())], axis=2)
    picture_GG2 = cv2.warpAffine(layers_HW2, warp, (GRID, GRID), flags=cv2.INTER_LINEAR)
    picture_GG2 = cv2.GaussianBlur(picture_GG2, (0, 0), 1.0)
    return (picture_GG2 * np.array([1.0, 2.0], np.float32)).reshape(-1)


@cache
def _kind_looks() -> tuple[np.ndarray, np.ndarray]:
    """Return normalised pictures of each kind as seen from many sides, and the number of the kind."""
    looks, kinds = [], []
    for number, kind in enumerate(KINDS):
        for turn in np.linspace(0, math.pi / 2, 9)[:-1] if kind == "box" else (0.0,):
            for x, z in ((0.0, 0.0), (-1.0, 0.0), (1.0, 0.0), (0.0, -1.3), (0.0, 1.6)):
                solid = Solid(color="red", kind=kind, size=0.6, x=x, z=z, turn=float(turn))
                frames_THWC, labels_THW = draw(_single(solid))
                looks.append(_picture(labels_THW[0] > 0, frames_THWC[0], "red"))
                kinds.append(number)
    return np.array(looks), np.array(kinds)


def _single(solid: Solid) -> RoomWorld:
    """Return a still room with one thing."""
    return RoomWorld(
        seed=0, style="flat", solids=(solid,), floor="gray", camera=STILL, rate=0.0,
        width=64, height=64, fps=1.0, num_frames=1,
    )  # fmt: skip
