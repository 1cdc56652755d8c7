"""Judge a video of a room: camera motion, floor, and the colours and kinds of solids.

Legend: T frames, H height, W width, C channels (RGB), R reference colours, K kinds, P pixels, M templates, G
side of the normalised crop of one solid.
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
MIN_AREA = 0.005
"""Minimum area of a component, in squared short sides; the min_area solid covers 0.02."""
MIN_VISIBLE_FRACTION = 0.3
"""Minimum fraction of frames that show a solid; the truth guarantees 0.4."""
MIN_MOTION = 0.03
"""Minimum motion (radians or room widths per second); the slowest true motion is 0.049."""
MIN_MOTION_COSINE = math.cos(math.radians(35))
"""Minimum cosine similarity with the direction of a named motion."""
GRID = 28
"""Side of the normalised crop of one solid, in pixels."""
GRID_AREA = 0.30
"""Fraction of the crop that the solid covers."""
KIND_FRAMES = 8
"""Number of evenly spaced frames over which a kind is classified."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MeasuredRoom:
    """Result of the measurement."""

    things: tuple[tuple[str, str], ...]
    """(colour, kind) of each solid, sorted."""
    floor: str | None
    camera: str | None
    """One of `CAMERA_MOTIONS`; None for a single frame or an unclear motion."""


def judge(frames_THWC: np.ndarray, fps: float, world: RoomWorld) -> dict[str, bool]:
    """Return, for each attribute, whether a video (RGB, uint8) agrees with `world`."""
    return compare(measure_room(frames_THWC, fps), world)


def compare(measured: MeasuredRoom, world: RoomWorld) -> dict[str, bool]:
    """Compare a measurement with `world`; ignore the camera in a single frame."""
    expected = measured_truth(world)
    verdict = {
        "color": sorted(color for color, _ in measured.things)
        == sorted(color for color, _ in expected.things),
        "kind": sorted(kind for _, kind in measured.things) == sorted(kind for _, kind in expected.things),
        "binding": measured.things == expected.things,
        "count": len(measured.things) == len(expected.things),
        "floor": measured.floor == expected.floor,
    }
    return verdict | ({"camera": measured.camera == expected.camera} if world.moves else {})


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
        floor=_most_common_floor(floors_THW[names_THW == 0]),
        camera=camera_motion(frames_THWC, fps, names_THW > 0),
    )


@cache
def _references() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return a lookup table of reference colours, and the label of the solid colour and floor of each.

    Labels start at 1. Colour 0 is no solid; floor 0 is the sky or a solid.
    """
    references: list[Any] = [HORIZON, ZENITH, DARK_INK, LIGHT_INK]
    names, floors = [0] * len(references), [0] * len(references)
    for number, rgb in enumerate(COLORS.values(), start=1):
        for shade in (0.95 * AMBIENT, 0.78, 0.9, 1.0):
            references.append((shade * rgb[0], shade * rgb[1], shade * rgb[2]))
            names.append(number)
            floors.append(0)
    for number, floor in enumerate(FLOORS, start=1):
        for tone in (-0.8 * CONTRAST, 0.0, 0.8 * CONTRAST):
            for light in (1.0, 1 - SHADOW):
                for fog in (0.0, 0.25, 0.5, 0.75):
                    near = np.clip((np.array(BACKGROUNDS[floor]) + tone) * light, 0, 255)
                    references.append(near * (1 - fog) + np.array(HORIZON) * fog)
                    names.append(0)
                    floors.append(number if fog <= 0.5 and light == 1.0 else 0)
    return build_nearest_table(references), np.array(names), np.array(floors)


def name_pixels(frames_THWC: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the colour label and the floor label of each pixel; 0 for none."""
    table, names_R, floors_R = _references()
    nearest_THW = lookup_nearest(table, frames_THWC)
    return names_R[nearest_THW].astype(np.uint8), floors_R[nearest_THW].astype(np.uint8)


def _most_common_floor(floors_P: np.ndarray) -> str | None:
    """Return the most common floor, or None if no pixel shows one."""
    counts = np.bincount(floors_P, minlength=len(FLOORS) + 1)[1:]
    return FLOORS[int(np.argmax(counts))] if counts.any() else None


def camera_motion(frames_THWC: np.ndarray, fps: float, things_THW: np.ndarray | None = None) -> str | None:
    """Return one of `CAMERA_MOTIONS`; None for a single frame or an unclear motion."""
    if len(frames_THWC) < 2:
        return None
    turn, right, forward = np.median(motions_T3(frames_THWC, things_THW), axis=0) * fps
    rates_3 = np.array([turn, right / DISTANCE, forward / DISTANCE])
    size = float(np.linalg.norm(rates_3))
    if size < MIN_MOTION:
        return STILL
    diagonal = math.sqrt(0.5)
    directions = {
        "orbit left": (diagonal, -diagonal, 0),
        "orbit right": (-diagonal, diagonal, 0),
        "pan left": (-1, 0, 0),
        "pan right": (1, 0, 0),
        "dolly in": (0, 0, 1),
        "dolly out": (0, 0, -1),
    }
    cosines = {name: float(rates_3 @ np.array(direction)) / size for name, direction in directions.items()}
    best = max(cosines, key=cosines.__getitem__)
    return best if cosines[best] > MIN_MOTION_COSINE else None


def _things(frames_THWC: np.ndarray, names_THW: np.ndarray) -> list[tuple[str, str]]:
    """Return (colour, kind) of each solid."""
    min_area = MIN_AREA * min(names_THW.shape[1:]) ** 2
    solids = []
    for number, color in enumerate(COLORS, start=1):
        masks_T = [components(names_HW == number, min_area) for names_HW in names_THW]
        counts_T = np.array([len(masks) for masks in masks_T])
        if (counts_T > 0).mean() < MIN_VISIBLE_FRACTION:
            continue
        count = max(1, int(np.median(counts_T[counts_T > 0])))
        kinds = _kinds(frames_THWC, names_THW, masks_T, color)
        solids += [(color, kinds[min(index, len(kinds) - 1)]) for index in range(count)]
    return solids


def _kinds(
    frames_THWC: np.ndarray, names_THW: np.ndarray, masks_T: list[list[np.ndarray]], color: str
) -> list[str]:
    """Return the kind of the solid of one colour: the best template fit over its least occluded frames."""
    visible = [index for index, masks in enumerate(masks_T) if masks]
    clearance = [_clearance(masks_T[index][0], names_THW[index]) for index in visible]
    order = np.argsort(clearance, kind="stable")[::-1][: max(KIND_FRAMES, len(visible) // 2)]
    chosen = sorted(order[np.unique(np.linspace(0, len(order) - 1, KIND_FRAMES).astype(int))])
    templates_MG, kinds_M = _templates()
    total_K = np.zeros(len(KINDS))
    for frame in chosen:
        crop_G = _normalized_crop(masks_T[visible[frame]][0], frames_THWC[visible[frame]], color)
        misfit_M = ((templates_MG - crop_G) ** 2).sum(axis=1)
        total_K += [misfit_M[kinds_M == k].min() * (0.05 + clearance[frame]) for k in range(len(KINDS))]
    return [KINDS[int(np.argmin(total_K))]]


def _clearance(mask_HW: np.ndarray, names_HW: np.ndarray) -> float:
    """Return a weight for a mask: the fraction of its border that is free floor or sky, to the 8th power."""
    padded_HW = np.pad(mask_HW.astype(np.uint8), 3)
    ring_HW = (cv2.dilate(padded_HW, np.ones((7, 7), np.uint8)) > 0) & (padded_HW == 0)
    label = names_HW[mask_HW][0]
    free_HW = np.pad((names_HW == 0) | (names_HW == label), 3)
    return float(free_HW[ring_HW].mean()) ** 8


def _normalized_crop(mask_HW: np.ndarray, rgb_HWC: np.ndarray, color: str) -> np.ndarray:
    """Return the mask and shading of one solid as a vector, normalised in position and size."""
    rows, columns = np.nonzero(mask_HW)
    scale = math.sqrt(GRID_AREA * GRID**2 / len(rows))
    shift = (GRID / 2 - scale * (columns.mean() + 0.5), GRID / 2 - scale * (rows.mean() + 0.5))
    warp = np.array([[scale, 0, shift[0] + scale / 2 - 0.5], [0, scale, shift[1] + scale / 2 - 0.5]])
    base_C = np.array(COLORS[color], np.float32)
    shade_HW = (rgb_HWC.astype(np.float32) @ base_C) / (base_C @ base_C)
    inside_HW = mask_HW.astype(np.float32)
    layers_HW2 = np.stack([inside_HW, inside_HW * (shade_HW - shade_HW[mask_HW].mean())], axis=2)
    crop_GG2 = cv2.warpAffine(layers_HW2, warp, (GRID, GRID), flags=cv2.INTER_LINEAR)
    crop_GG2 = cv2.GaussianBlur(crop_GG2, (0, 0), 1.0)
    return (crop_GG2 * np.array([1.0, 2.0], np.float32)).reshape(-1)


@cache
def _templates() -> tuple[np.ndarray, np.ndarray]:
    """Return normalised crops of each kind from several viewpoints, and the index of the kind."""
    templates, kinds = [], []
    for number, kind in enumerate(KINDS):
        for turn in np.linspace(0, math.pi / 2, 9)[:-1] if kind == "box" else (0.0,):
            for x, z in ((0.0, 0.0), (-1.0, 0.0), (1.0, 0.0), (0.0, -1.3), (0.0, 1.6)):
                solid = Solid(color="red", kind=kind, size=0.6, x=x, z=z, turn=float(turn))
                frames_THWC, labels_THW = draw(_single(solid))
                templates.append(_normalized_crop(labels_THW[0] > 0, frames_THWC[0], "red"))
                kinds.append(number)
    return np.array(templates), np.array(kinds)


def _single(solid: Solid) -> RoomWorld:
    """Return a still room with one solid."""
    return RoomWorld(
        seed=0, style="flat", solids=(solid,), floor="gray", camera=STILL, rate=0.0,
        width=64, height=64, fps=1.0, num_frames=1,
    )  # fmt: skip
