"""Cast rays at a floor, boxes, balls and cylinders that are lit from above.

Legend: H, W pixels of a frame; S, Q supersampled rows and columns (SUPERSAMPLING per pixel); T frames, C
channels (RGB), N solids. Rays are in camera coordinates (right, up, forward) and are the same in every frame,
because the height and pitch of the camera are fixed.
"""

import math
from dataclasses import dataclass
from random import Random

import cv2
import numpy as np

from worlds.family import Rendered
from worlds.palette import BACKGROUNDS, COLORS
from worlds.rooms.truth import CAMERA_HEIGHT, FOCAL, PITCH, RoomWorld, Solid, camera_path_T3, to_camera

SUPERSAMPLING = 2
TILE = 0.85
"""Side of a floor tile in metres."""
TILES = 16
"""Period of the floor texture in tiles, in both directions."""
TEXELS = 12
"""Texture pixels along one tile."""
CONTRAST = 26.0
"""Maximum difference between a tile and the floor colour, in 8-bit levels."""
FOG = 11.0
"""Distance in metres at which 63 % of the floor colour is replaced by the horizon colour."""
HORIZON = (222.0, 226.0, 232.0)
ZENITH = (176.0, 190.0, 208.0)
AMBIENT, DIFFUSE = 0.66, 0.40
SUN = (-0.42, 0.80, -0.43)
"""Unit vector (x, y, z) toward the light: above, to the left, and behind the camera."""
SHADOW = 0.42


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _View:
    """Rays, floor coordinates and colours that all frames of a shot share."""

    right_SQ: np.ndarray
    up_SQ: np.ndarray
    forward_SQ: np.ndarray
    ground_right_HW: np.ndarray
    """Right coordinate of the intersection of each ray with the floor; large above the horizon."""
    ground_forward_HW: np.ndarray
    fog_HW1: np.ndarray
    """Fog density; 1 from the horizon upward."""
    far_HWC: np.ndarray
    """Colour of the sky and of the fog, multiplied by the fog density."""
    texture_HWC: np.ndarray


def draw(world: RoomWorld) -> Rendered:
    """Render in the flat style. Solid n has label n + 1."""
    view = _view(world)
    frames_THWC = np.empty((world.num_frames, world.height, world.width, 3), np.uint8)
    labels_THW = np.zeros(frames_THWC.shape[:3], np.uint8)
    path_T3 = camera_path_T3(world)
    for index, path_3 in enumerate(path_T3):
        if index and np.array_equal(path_3, path_T3[index - 1]):
            frames_THWC[index], labels_THW[index] = frames_THWC[index - 1], labels_THW[index - 1]
        else:
            frames_THWC[index], labels_THW[index] = _draw_frame(world, view, path_3)
    return Rendered(frames_THWC, labels_THW)


def _view(world: RoomWorld) -> _View:
    right_SQ, up_SQ, forward_SQ = _rays(world, SUPERSAMPLING)
    right_HW, up_HW, forward_HW = _rays(world, 1)
    scale_HW = CAMERA_HEIGHT / np.maximum(-up_HW, 0.02)
    ground_forward_HW = scale_HW * forward_HW
    distance_HW = np.where(up_HW < -0.02, np.hypot(ground_forward_HW, scale_HW * right_HW), 1e6)
    fog_HW1 = (1 - np.exp(-((distance_HW / FOG) ** 2)))[..., None].astype(np.float32)
    height_HW1 = np.clip(up_HW / 0.45, 0, 1)[..., None]
    far_HWC = np.array(HORIZON) * (1 - height_HW1) + np.array(ZENITH) * height_HW1
    return _View(
        right_SQ=right_SQ,
        up_SQ=up_SQ,
        forward_SQ=forward_SQ,
        ground_right_HW=(scale_HW * right_HW).astype(np.float32),
        ground_forward_HW=ground_forward_HW.astype(np.float32),
        fog_HW1=fog_HW1,
        far_HWC=(far_HWC * fog_HW1).astype(np.float32),
        texture_HWC=_texture(world),
    )


def _rays(world: RoomWorld, scale: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the ray directions (right, up, forward) through the pixel centres, at `scale` times the size."""
    short = world.short_side_px * scale
    column = ((np.arange(world.width * scale) + 0.5) - world.width * scale / 2) / short
    row = ((np.arange(world.height * scale) + 0.5) - world.height * scale / 2) / short
    x, y = np.meshgrid(column.astype(np.float32), row.astype(np.float32))
    sin, cos = np.float32(math.sin(PITCH)), np.float32(math.cos(PITCH))
    focal = np.float32(FOCAL)
    return x, -y * cos - focal * sin, focal * cos - y * sin


def _texture(world: RoomWorld) -> np.ndarray:
    """Return the floor texture: a chessboard with a random tone per tile."""
    rng = Random(f"worlds/rooms/floor/{world.seed}")
    tone = [[(1 if (i + j) % 2 else -1) * rng.uniform(0.25, 1.0) for i in range(TILES)] for j in range(TILES)]
    fine = np.kron(np.array(tone), np.ones((TEXELS, TEXELS)))[..., None] * CONTRAST
    return np.clip(np.array(BACKGROUNDS[world.floor]) + fine, 0, 255).astype(np.float32)


def _draw_frame(world: RoomWorld, view: _View, path_3: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    ground_HWC = _floor(world, view, path_3)
    depth_SQ = np.full(view.up_SQ.shape, np.inf, np.float32)
    shade_SQ = np.zeros(view.up_SQ.shape, np.float32)
    label_SQ = np.zeros(view.up_SQ.shape, np.uint8)
    for label, solid in enumerate(world.solids, start=1):
        _cast(world, view, path_3, solid, label, (depth_SQ, shade_SQ, label_SQ))
    color_NC = np.array([(0, 0, 0), *(COLORS[s.color] for s in world.solids)], np.float32)
    return _blend(ground_HWC, color_NC, shade_SQ, label_SQ)


def _floor(world: RoomWorld, view: _View, path_3: np.ndarray) -> np.ndarray:
    """Return the floor and sky with the shadows of the solids, as rgb_HWC (float32)."""
    x, z, yaw = path_3
    sin, cos = np.float32(math.sin(yaw)), np.float32(math.cos(yaw))
    texel = np.float32(TEXELS / TILE)
    column_HW = (view.ground_right_HW * cos + view.ground_forward_HW * sin + np.float32(x)) * texel
    row_HW = (view.ground_forward_HW * cos - view.ground_right_HW * sin + np.float32(z)) * texel
    period = np.float32(TILES * TEXELS)
    lit_HWC = cv2.remap(
        view.texture_HWC, column_HW % period, row_HW % period, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP
    )
    light_HW = np.ones(view.fog_HW1.shape[:2], np.float32)
    for solid in world.solids:
        radius = solid.ground_radius
        right, forward = to_camera(path_3, solid.x - 0.45 * radius * SUN[0], solid.z - 0.45 * radius * SUN[2])
        distance2_HW = (view.ground_right_HW - np.float32(right)) ** 2
        distance2_HW += (view.ground_forward_HW - np.float32(forward)) ** 2
        distance2_HW *= np.float32(1 / (1.35 * radius) ** 2)
        light_HW -= np.float32(SHADOW) * np.clip(np.float32(1.6) * (1 - distance2_HW), 0, 1)
    lit_HWC *= (np.maximum(light_HW, np.float32(1 - 1.3 * SHADOW)))[..., None]
    return lit_HWC * (1 - view.fog_HW1) + view.far_HWC


def _cast(
    world: RoomWorld,
    view: _View,
    path_3: np.ndarray,
    solid: Solid,
    label: int,
    buffers: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    """Draw one solid into the buffers (depth, shade, label) with a depth test."""
    right, forward = to_camera(path_3, solid.x, solid.z)
    center_3 = np.array([right, solid.half_height - CAMERA_HEIGHT, forward], np.float32)
    window = _window(world, center_3, solid.reach)
    if window is None:
        return
    ray = (view.right_SQ[window], view.up_SQ[window], view.forward_SQ[window])
    sin, cos = math.sin(path_3[2]), math.cos(path_3[2])
    sun_3 = np.array([SUN[0] * cos - SUN[2] * sin, SUN[1], SUN[0] * sin + SUN[2] * cos], np.float32)
    if solid.kind == "ball":
        depth_SQ, light_SQ = _ball(ray, center_3, solid, sun_3)
    elif solid.kind == "cylinder":
        depth_SQ, light_SQ = _cylinder(ray, center_3, solid, sun_3)
    else:
        depth_SQ, light_SQ = _box(ray, center_3, solid, sun_3, solid.turn - float(path_3[2]))
    old_depth, old_shade, old_label = (buffer[window] for buffer in buffers)
    nearer_SQ = depth_SQ < old_depth
    np.copyto(old_depth, depth_SQ, where=nearer_SQ)
    np.copyto(old_shade, AMBIENT + DIFFUSE * np.maximum(light_SQ, 0), where=nearer_SQ)
    old_label[nearer_SQ] = label


def _window(world: RoomWorld, center_3: np.ndarray, reach: float) -> tuple[slice, slice] | None:
    """Return the supersampled rows and columns that bound a solid, or None if it is out of view."""
    sin, cos = math.sin(PITCH), math.cos(PITCH)
    depth = float(center_3[2] * cos - center_3[1] * sin)
    if depth <= reach + 0.1:
        return None
    short = world.short_side_px * SUPERSAMPLING
    scale = FOCAL * short / depth
    x = world.width * SUPERSAMPLING / 2 + float(center_3[0]) * scale
    y = world.height * SUPERSAMPLING / 2 - float(center_3[1] * cos + center_3[2] * sin) * scale
    half = reach * FOCAL * short / math.sqrt(depth**2 - reach**2) * 1.12 + SUPERSAMPLING
    top, bottom = max(0, int(y - half)), min(world.height * SUPERSAMPLING, int(y + half) + 1)
    left, right = max(0, int(x - half)), min(world.width * SUPERSAMPLING, int(x + half) + 1)
    return None if top >= bottom or left >= right else (slice(top, bottom), slice(left, right))


Ray = tuple[np.ndarray, np.ndarray, np.ndarray]


def _ball(ray: Ray, center_3: np.ndarray, solid: Solid, sun_3: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the ray depth at the intersection with a ball (inf for a miss) and the cosine of the light."""
    square = ray[0] ** 2 + ray[1] ** 2 + ray[2] ** 2
    projection = ray[0] * center_3[0] + ray[1] * center_3[1] + ray[2] * center_3[2]
    discriminant = projection**2 - square * (center_3 @ center_3 - np.float32(solid.size**2))
    hit = discriminant > 0
    depth = np.where(hit, (projection - np.sqrt(np.maximum(discriminant, 0))) / square, np.float32(np.inf))
    near = np.where(hit, depth, 0)
    lit = sum((near * r - c) * s for r, c, s in zip(ray, center_3, sun_3, strict=True))
    return depth, np.asarray(lit) / np.float32(solid.size)


def _cylinder(
    ray: Ray, center_3: np.ndarray, solid: Solid, sun_3: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the ray depth at an upright cylinder (inf for a miss) and the cosine of the light."""
    radius, half = np.float32(solid.ground_radius), np.float32(solid.half_height)
    square = ray[0] ** 2 + ray[2] ** 2
    projection = ray[0] * center_3[0] + ray[2] * center_3[2]
    discriminant = projection**2 - square * (center_3[0] ** 2 + center_3[2] ** 2 - radius**2)
    side = (projection - np.sqrt(np.maximum(discriminant, 0))) / square
    side_hit = (discriminant > 0) & (np.abs(side * ray[1] - center_3[1]) <= half)
    cap = (center_3[1] + half) / np.where(ray[1] < -1e-4, ray[1], np.float32(-1e-4))
    cap_hit = (cap * ray[0] - center_3[0]) ** 2 + (cap * ray[2] - center_3[2]) ** 2 <= radius**2
    side_light = (
        (side * ray[0] - center_3[0]) * sun_3[0] + (side * ray[2] - center_3[2]) * sun_3[2]
    ) / radius
    depth = np.where(cap_hit, cap, np.where(side_hit, side, np.float32(np.inf)))
    return depth, np.where(cap_hit, sun_3[1], side_light)


def _box(
    ray: Ray, center_3: np.ndarray, solid: Solid, sun_3: np.ndarray, turn: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the ray depth at a box by the slab method (inf for a miss) and the cosine of the light."""
    sin, cos = np.float32(math.sin(turn)), np.float32(math.cos(turn))

    def rotated(vector: Ray | np.ndarray) -> Ray:
        return vector[0] * cos - vector[2] * sin, vector[1], vector[0] * sin + vector[2] * cos

    halves = (solid.ground_radius, solid.half_height, solid.ground_radius)
    entries, exits = [], []
    for r, c, half in zip(rotated(ray), rotated(center_3), halves, strict=True):
        inverse = 1 / np.where(np.abs(r) > 1e-5, r, np.float32(1e-5))
        middle, spread = c * inverse, np.abs(np.float32(half) * inverse)
        entries.append(middle - spread)
        exits.append(middle + spread)
    near = np.maximum(np.maximum(entries[0], entries[1]), entries[2])
    hit = near <= np.minimum(np.minimum(exits[0], exits[1]), exits[2])
    sun = rotated(sun_3)
    direction = rotated(ray)
    light = np.where(
        near == entries[1],
        sun[1],
        np.where(
            near == entries[0], -np.sign(direction[0]) * sun[0], -np.sign(direction[2]) * sun[2]
        ),
    )  # fmt: skip
    return np.where(hit, near, np.float32(np.inf)), light


def _blend(
    ground_HWC: np.ndarray, color_NC: np.ndarray, shade_SQ: np.ndarray, label_SQ: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Downsample the solids and blend them over the ground; return rgb_HWC and labels_HW."""
    height, width = ground_HWC.shape[:2]
    fine_SQC = np.minimum(color_NC[label_SQ] * shade_SQ[..., None], 255)
    solids_HWC = cv2.resize(fine_SQC, (width, height), interpolation=cv2.INTER_AREA)
    covered_SQ = (label_SQ > 0).astype(np.float32)
    cover_HW = cv2.resize(covered_SQ, (width, height), interpolation=cv2.INTER_AREA)
    rgb_HWC = solids_HWC + ground_HWC * (1 - cover_HW[..., None])
    label_HW = label_SQ.reshape(height, SUPERSAMPLING, width, SUPERSAMPLING).max(axis=(1, 3))
    return np.rint(rgb_HWC).astype(np.uint8), np.where(cover_HW >= 0.5, label_HW, 0).astype(np.uint8)
