"""Test whether a video of a room shows one rigid scene.

Track points over short windows, refine camera poses and point depths together (bundle adjustment), and report
the reprojection error. Only the camera constants of the family are used, not the truth.

Legend: T frames, H height, W width, C channels (RGB), K tracked points, F frames of a window. A camera pose
is (turn, right, forward) relative to the first frame of the window.
"""

import itertools
import math
from dataclasses import dataclass

import cv2
import numpy as np

from worlds.rooms.odometry import motions_T3
from worlds.rooms.truth import CAMERA_HEIGHT, FOCAL, tilt_33

WINDOW_S = 0.5
MAX_POINTS = 80
SIDE_PX = 64
"""Errors are in pixels of a frame with this short side."""
LOST_PX = 3.0
"""Error of a lost point, and the maximum error."""
REFINEMENTS = 6
MAX_DISTANCE = 30.0
"""Maximum distance of a point from the camera, in metres."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RigidError:
    """Deviation from a rigid scene, in pixels of a 64-pixel short side."""

    mean_px: float
    """Mean over points of the maximum reprojection error, at most `LOST_PX`."""
    num_points: int
    """Number of tracked points over all windows."""
    motion_px: float
    """Mean track length, for normalising: a still video is trivially rigid."""


def rigid_error(frames_THWC: np.ndarray, fps: float) -> RigidError:
    """Return the reprojection error of tracked points under one rigid scene.

    Raises:
        ValueError: if there are fewer than 3 frames.
    """
    if len(frames_THWC) < 3:
        raise ValueError(f"{len(frames_THWC)} frames cannot show whether a scene is rigid: give 3 or more")
    scale = SIDE_PX / min(frames_THWC.shape[1:3])
    size = (round(frames_THWC.shape[2] * scale), round(frames_THWC.shape[1] * scale))
    frames_THWC = np.stack([cv2.resize(f, size, interpolation=cv2.INTER_AREA) for f in frames_THWC])
    motions = motions_T3(frames_THWC)
    length = min(len(frames_THWC) - 1, max(2, round(WINDOW_S * fps)))
    errors, tracks = [], []
    for start in range(0, len(frames_THWC) - length, length):
        points_FK2, lost_K = _track(frames_THWC[start : start + length + 1])
        if not points_FK2.shape[1]:
            continue
        cameras_F3 = _compose(motions[start : start + length])
        errors.append(np.where(lost_K, LOST_PX, _reprojection_error(points_FK2, lost_K, cameras_F3, size)))
        tracks.append(np.hypot(*(points_FK2[-1] - points_FK2[0]).T)[~lost_K])
    if not errors:
        return RigidError(mean_px=LOST_PX, num_points=0, motion_px=0.0)
    all_K, moved_K = np.concatenate(errors), np.concatenate(tracks)
    return RigidError(
        mean_px=float(np.minimum(all_K, LOST_PX).mean()),
        num_points=len(all_K),
        motion_px=float(moved_K.mean()) if len(moved_K) else 0.0,
    )


def _track(frames_FHWC: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Track corners of the first frame; return points_FK2 (pixels) and which were lost.

    Points that leave the frame are excluded. A point is lost if tracking fails or is not invertible.
    """
    gray = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames_FHWC]
    height, width = gray[0].shape
    corners = cv2.goodFeaturesToTrack(gray[0], MAX_POINTS, 0.02, 3, blockSize=3)
    if corners is None:
        return np.zeros((len(gray), 0, 2)), np.zeros(0, bool)
    path, lost_K = [corners.reshape(-1, 2)], np.zeros(len(corners), bool)
    for before, after in itertools.pairwise(gray):
        tracked, ok_K, _ = cv2.calcOpticalFlowPyrLK(
            before, after, path[-1], path[-1].copy(), winSize=(9, 9), maxLevel=2
        )
        back, back_ok_K, _ = cv2.calcOpticalFlowPyrLK(
            after, before, tracked, tracked.copy(), winSize=(9, 9), maxLevel=2
        )
        lost_K |= (ok_K.ravel() == 0) | (back_ok_K.ravel() == 0)
        lost_K |= np.hypot(*(back - path[-1]).T) > 1.0
        path.append(tracked)
    points_FK2 = np.array(path, float)
    margin = 3
    inside_K = (points_FK2 > margin).all(axis=(0, 2)) & (points_FK2[..., 0] < width - margin).all(axis=0)
    inside_K &= (points_FK2[..., 1] < height - margin).all(axis=0)
    return points_FK2[:, inside_K] + 0.5, lost_K[inside_K]


def _compose(motions_F3: np.ndarray) -> np.ndarray:
    """Accumulate frame-to-frame motions into F + 1 camera poses relative to the first frame."""
    cameras = [np.zeros(3)]
    for turn, right, forward in motions_F3:
        yaw, x, z = cameras[-1]
        sin, cos = math.sin(yaw), math.cos(yaw)
        cameras.append(
            np.array([yaw + turn, x + right * cos + forward * sin, z - right * sin + forward * cos])
        )
    return np.array(cameras)


def _reprojection_error(
    points_FK2: np.ndarray, lost_K: np.ndarray, cameras_F3: np.ndarray, size: tuple[int, int]
) -> np.ndarray:
    """Return the maximum reprojection error over the frames for each point, after bundle adjustment."""
    rays_FK3 = _rays(points_FK2, size)
    kept_K = ~lost_K
    if kept_K.sum() < 8:
        return np.full(len(lost_K), LOST_PX)
    inverse_depth_K = _floor_depths(rays_FK3[0])
    for _ in range(REFINEMENTS):
        inverse_depth_K = _refine_points(points_FK2, rays_FK3[0], cameras_F3, inverse_depth_K, size)
        cameras_F3 = _refine_cameras(points_FK2, rays_FK3[0], cameras_F3, inverse_depth_K, size, kept_K)
    error_FK2 = _project(rays_FK3[0], cameras_F3, inverse_depth_K, size) - points_FK2
    return np.hypot(error_FK2[..., 0], error_FK2[..., 1]).max(axis=0)


def _rays(points_FK2: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return the rays (right, up, forward) of pixel coordinates, at image depth 1."""
    short = min(size) * FOCAL
    image = np.concatenate(
        [(points_FK2 - np.array(size) / 2) / short, np.ones((*points_FK2.shape[:2], 1))], axis=2
    )
    return image @ tilt_33()


def _floor_depths(rays_K3: np.ndarray) -> np.ndarray:
    """Return the inverse depth of each ray at the floor; `1 / MAX_DISTANCE` or more."""
    return np.maximum(-rays_K3[:, 1] / CAMERA_HEIGHT, 1 / MAX_DISTANCE)


def _project(
    rays_K3: np.ndarray, cameras_F3: np.ndarray, inverse_depth_K: np.ndarray, size: tuple[int, int]
) -> np.ndarray:
    """Project points on rays of the first camera into all cameras, in pixels (F, K, 2)."""
    sin_F1, cos_F1 = np.sin(cameras_F3[:, :1]), np.cos(cameras_F3[:, :1])
    dx_FK = rays_K3[:, 0] - cameras_F3[:, 1:2] * inverse_depth_K
    dz_FK = rays_K3[:, 2] - cameras_F3[:, 2:3] * inverse_depth_K
    up_FK = np.broadcast_to(rays_K3[:, 1], dx_FK.shape)
    right_FK, forward_FK = dx_FK * cos_F1 - dz_FK * sin_F1, dx_FK * sin_F1 + dz_FK * cos_F1
    level_FK3 = np.stack([right_FK, up_FK, forward_FK], axis=2)
    image_FK3 = level_FK3 @ tilt_33().T
    return (
        image_FK3[..., :2] / np.maximum(image_FK3[..., 2:], 0.05) * (min(size) * FOCAL) + np.array(size) / 2
    )


def _refine_points(
    points_FK2: np.ndarray,
    rays_K3: np.ndarray,
    cameras_F3: np.ndarray,
    inverse_depth_K: np.ndarray,
    size: tuple[int, int],
) -> np.ndarray:
    """Update the inverse depth of each point by one Gauss-Newton step."""
    projected_FK2, epsilon = _project(rays_K3, cameras_F3, inverse_depth_K, size), 1e-4
    jacobian_FK2 = (_project(rays_K3, cameras_F3, inverse_depth_K + epsilon, size) - projected_FK2) / epsilon
    error_FK2 = points_FK2 - projected_FK2
    step_K = (jacobian_FK2 * error_FK2).sum(axis=(0, 2)) / ((jacobian_FK2**2).sum(axis=(0, 2)) + 1.0)
    return np.clip(inverse_depth_K + step_K, 1 / MAX_DISTANCE, 2.0)


def _refine_cameras(
    points_FK2: np.ndarray,
    rays_K3: np.ndarray,
    cameras_F3: np.ndarray,
    inverse_depth_K: np.ndarray,
    size: tuple[int, int],
    kept_K: np.ndarray,
) -> np.ndarray:
    """Update the pose of each camera but the first by one robust Gauss-Newton step."""
    projected_FK2, epsilon = _project(rays_K3, cameras_F3, inverse_depth_K, size), 1e-4
    error_FK2 = points_FK2 - projected_FK2
    weight_FK = kept_K / np.maximum(np.hypot(error_FK2[..., 0], error_FK2[..., 1]) / 0.5, 1)
    derivatives = [
        (_project(rays_K3, cameras_F3 + epsilon * np.eye(3)[axis], inverse_depth_K, size) - projected_FK2)
        / epsilon
        for axis in range(3)
    ]
    jacobian_F3N = np.stack(
        [(s * np.sqrt(weight_FK)[..., None]).reshape(len(s), -1) for s in derivatives], axis=1
    )
    error_FN = (error_FK2 * np.sqrt(weight_FK)[..., None]).reshape(len(error_FK2), -1)
    normal_F33 = jacobian_F3N @ jacobian_F3N.transpose(0, 2, 1) + 0.5 * np.eye(3)
    step_F3 = np.linalg.solve(normal_F33, (jacobian_F3N @ error_FN[..., None]))[..., 0]
    step_F3[0] = 0
    return cameras_F3 + np.clip(step_F3, -0.2, 0.2)
