"""The exact content of a simulated room: solids on a floor, and the camera pose of every frame.

Legend: N solids, T frames. The ground plane has axes x and z, and y points up; lengths are in metres. Camera
coordinates are (right, up, forward) with `up` along y. Only yaw and position change over a shot; height and
pitch are fixed. Image coordinates are in short sides of the frame from its centre, x to the right, y down.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from worlds.family import Shot

KINDS = ("box", "ball", "cylinder")
FLOORS = ("gray", "brown", "navy", "beige")
"""Floor colours. Black and white are excluded, since tiles are lighter and darker than the floor colour."""
STILL = "still"
CAMERA_MOTIONS = ("orbit left", "orbit right", "pan left", "pan right", "dolly in", "dolly out", STILL)

FOCAL = 1.05
"""Focal length in short sides of the frame: a field of view of 51 degrees along the short side."""
CAMERA_HEIGHT = 1.75
PITCH = math.radians(21)
"""Downward pitch of the camera, in radians."""
DISTANCE = 4.1
"""Ground distance from the camera to the centre of the room, half-way through a dolly."""
HALF_HEIGHT = {"box": 0.86, "ball": 1.0, "cylinder": 1.45}
"""Half of the height of a solid, in units of its size."""
GROUND_RADIUS = {"box": 0.86, "ball": 1.0, "cylinder": 0.72}
"""Half of the side of a box, or the radius of a round solid, in units of its size."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Solid:
    """One static solid on the floor."""

    color: str
    kind: str
    """One of `KINDS`."""
    size: float
    x: float
    z: float
    turn: float
    """Angle of a box about the vertical, in radians; irrelevant for round solids."""

    @property
    def name(self) -> str:
        """Name in captions, such as `red box`."""
        return f"{self.color} {self.kind}"

    @property
    def half_height(self) -> float:
        return HALF_HEIGHT[self.kind] * self.size

    @property
    def ground_radius(self) -> float:
        return GROUND_RADIUS[self.kind] * self.size

    @property
    def reach(self) -> float:
        """Radius of the bounding sphere."""
        corner = math.sqrt(2) if self.kind == "box" else 1.0
        return (
            self.size
            if self.kind == "ball"
            else float(np.hypot(corner * self.ground_radius, self.half_height))
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class RoomWorld(Shot):
    """One shot of a room in which only the camera moves."""

    family: Literal["rooms"] = "rooms"
    seed: int
    style: str
    solids: tuple[Solid, ...]
    """One to three, in different colours."""
    floor: str
    """One of `FLOORS`."""
    camera: str
    """One of `CAMERA_MOTIONS`."""
    rate: float
    """Radians per second of an orbit or a pan, metres per second of a dolly, 0 for a still camera."""
    width: int
    height: int
    fps: float
    num_frames: int

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> "RoomWorld":
        """Return the world of a `to_json` result."""
        return cls(**{**fields, "solids": tuple(Solid(**solid) for solid in fields["solids"])})


def camera_path_T3(world: RoomWorld) -> np.ndarray:
    """Return the camera's position and yaw (x, z, yaw) in each frame.

    At yaw 0 the camera looks along z with x to its right; yaw increases to the right. An orbit to the left
    moves the camera to its left around the centre of the room.
    """
    time_T = np.arange(world.num_frames) / world.fps
    move_T = (time_T - time_T[-1] / 2) * world.rate
    kind, _, way = world.camera.partition(" ")
    sign = -1.0 if way in ("left", "out") else 1.0
    yaw_T, distance_T = np.zeros_like(move_T), np.full_like(move_T, DISTANCE)
    if kind == "orbit":
        yaw_T = -sign * move_T
    elif kind == "dolly":
        distance_T = DISTANCE - sign * move_T
    path_T3 = np.stack([-distance_T * np.sin(yaw_T), -distance_T * np.cos(yaw_T), yaw_T], axis=1)
    if kind == "pan":
        path_T3[:, 2] = sign * move_T
    return path_T3


def camera_matrices_T34(world: RoomWorld) -> np.ndarray:
    """Return projection matrices from (x, y, z, 1) in the room to homogeneous pixels.

    The third component is the depth; pixels are measured from the top left corner.
    """
    scale = world.short_side_px
    intrinsics_33 = np.array(
        [[FOCAL * scale, 0, world.width / 2], [0, FOCAL * scale, world.height / 2], [0, 0, 1]]
    )
    matrices = []
    for x, z, yaw in camera_path_T3(world):
        sin, cos = math.sin(yaw), math.cos(yaw)
        level_33 = np.array([[cos, 0, -sin], [0, 1, 0], [sin, 0, cos]])  # room to (right, up, forward)
        rotation_33 = tilt_33() @ level_33
        position_3 = np.array([x, CAMERA_HEIGHT, z])
        matrices.append(intrinsics_33 @ np.column_stack([rotation_33, -rotation_33 @ position_3]))
    return np.array(matrices)


def tilt_33() -> np.ndarray:
    """Return the rotation from (right, up, forward) to the image axes (right, down, into the image)."""
    sin, cos = math.sin(PITCH), math.cos(PITCH)
    return np.array([[1, 0, 0], [0, -cos, -sin], [0, -sin, cos]])


def to_camera(path_3: np.ndarray, x: float, z: float) -> tuple[float, float]:
    """Convert a ground point to (right, forward) of the camera at `path_3` (x, z, yaw)."""
    dx, dz, sin, cos = x - path_3[0], z - path_3[1], math.sin(path_3[2]), math.cos(path_3[2])
    return dx * cos - dz * sin, dx * sin + dz * cos


def centers_px_NT3(world: RoomWorld) -> np.ndarray:
    """Return the centre of each solid in each frame: (x, y) in pixels, and its depth."""
    center_N4 = np.array([(s.x, s.half_height, s.z, 1.0) for s in world.solids])
    projected_NT3 = np.einsum("tij,nj->nti", camera_matrices_T34(world), center_N4)
    return np.concatenate([projected_NT3[..., :2] / projected_NT3[..., 2:], projected_NT3[..., 2:]], axis=2)


def unobservable(world: RoomWorld, first: int, end: int) -> str:
    """Return an empty string: all solids stay visible and the camera moves uniformly."""
    return ""
