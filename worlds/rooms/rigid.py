"""Test whether a video of a room shows one rigid scene.

Points are tracked over short windows, the camera's motion is refined together with the points' places
(bundle adjustment), and what is left is the error. Nothing of the truth is used but the family's camera.

Legend: T frames, H height, W width, C channels (RGB), K tracked points, F frames of a window. A camera is
(turn, right, forward) from the first frame of the window.
"""

import itertools
import math
from dataclasses import dataclass

import cv2
import numpy as np

from worlds.rooms.odometry import motions_T3
from worlds.rooms.truth import CAMERA_HEIGHT, FOCAL, tilt_33

WINDOW_S = 0.5
MOST_POINTS = 80
SIDE_PX = 64
"""Errors are in pixels of a frame with this short side."""
LOST_PX = 3.0
"""Error of a lost point, and the maximum error."""
REFINEMENTS = 6
FARTHEST = 30.0
"""Maximum distance of a point from the camera, in metres."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RigidError:
    """Deviation from a rigid scene, in pixels of a 64-pixel short side."""

    mean_px: float
    """Mean over points of how far each is from where its place in the scene would be seen, at most
    `LOST_PX`."""
    num_points: int
    """Number of tracked points over all windows."""
    motion_px: float
    """Mean track length, to normalise by: a still video is trivially rigid."""


def rigid_error(frames_THWC: np.ndarray, fps: float) -> RigidError:
    """Measure how well tracked points (of floor and things alike) fit one rigid scene.

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
        errors.append(np.where(lost_K, LOST_PX, _misfit(points_FK2, lost_K, cameras_F3, size)))
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

    A point that leaves the frame is left out; one that cannot be followed inside it is lost.
    """
    gray = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames_FHWC]
    height, width = gray[0].shape
    corners = cv2.goodFeaturesToTrack(gray[0], MOST_POINTS, 0.02, 3, blockSize=3)
    if corners is None:
        return np.zeros((len(gray), 0, 2)), np.zeros(0, bool)
    path, lost_K = [corners.reshape(-1, 2)], np.zeros(len(corners), bool)
    for before, after in itertools.pairwise(gray):
        there, ok_K, _ = cv2.calcOpticalFlowPyrLK(
            before, after, path[-1], path[-1].copy(), winSize=(9, 9), maxLevel=2
        )
        back, back_ok_K, _ = cv2.calcOpticalFlowPyrLK(
            after, before, there, there.copy(), winSize=(9, 9), maxLevel=2
        )
        lost_K |= (ok_K.ravel() == 0) | (back_ok_K.ravel() == 0)
        lost_K |= np.hypot(*(back - path[-1]).T) > 1.0
        path.append(there)
    points_FK2 = np.array(path, float)
    margin = 3
    inside_K = (points_FK2 > margin).all(axis=(0, 2)) & (points_FK2[..., 0] < width - margin).all(axis=0)
    inside_K &= (points_FK2[..., 1] < height - margin).all(axis=0)
    return points_FK2[:, inside_K] + 0.5, lost_K[inside_K]


def _compose(motions_F3: np.ndarray) -> np.ndarray:
    """Accumulate frame-to-frame motions into camera poses relative to the first; one more than motions."""
    cameras = [np.zeros(3)]
    for turn, right, forward in motions_F3:
        yaw, x, z = cameras[-1]
        sin, cos = math.sin(yaw), math.cos(yaw)
        cameras.append(
            np.array([yaw + turn, x + right * cos + forward * sin, z - right * sin + forward * cos])
        )
    return np.array(cameras)


def _misfit(
    points_FK2: np.ndarray, lost_K: np.ndarray, cameras_F3: np.ndarray, size: tuple[int, int]
) -> np.ndarray:
    """Return for each point how far it is, at worst of all frames, from where the best rigid scene has it."""
    rays_FK3 = _rays(points_FK2, size)
    kept_K = ~lost_K
    if kept_K.sum() < 8:
        return np.full(len(lost_K), LOST_PX)
    inverse_K = _first_depths(rays_FK3[0])
    for _ in range(REFINEMENTS):
        inverse_K = _refine_points(points_FK2, rays_FK3[0], cameras_F3, inverse_K, size)
        cameras_F3 = _refine_cameras(points_FK2, rays_FK3[0], cameras_F3, inverse_K, size, kept_K)
    error_FK2 = _seen(rays_FK3[0], cameras_F3, inverse_K, size) - points_FK2
    return np.hypot(error_FK2[..., 0], error_FK2[..., 1]).max(axis=0)


def _rays(points_FK2: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return directions (right, up, forward) of points in pixels, of depth 1 along the level."""
    short = min(size) * FOCAL
    image = np.concatenate(
        [(points_FK2 - np.array(size) / 2) / short, np.ones((*points_FK2.shape[:2], 1))], axis=2
    )
    return image @ tilt_33()


def _first_depths(rays_K3: np.ndarray) -> np.ndarray:
    """Return one over the stretch of each ray to the floor; small for rays that do not meet it."""
    return np.maximum(-rays_K3[:, 1] / CAMERA_HEIGHT, 1 / FARTHEST)


def _seen(
    rays_K3: np.ndarray, cameras_F3: np.ndarray, inverse_K: np.ndarray, size: tuple[int, int]
) -> np.ndarray:
    """Return where cameras see points that lie on rays of the first camera, in pixels (F, K, 2)."""
    sin_F1, cos_F1 = np.sin(cameras_F3[:, :1]), np.cos(cameras_F3[:, :1])
    dx_FK = rays_K3[:, 0] - cameras_F3[:, 1:2] * inverse_K
    dz_FK = rays_K3[:, 2] - cameras_F3[:, 2:3] * inverse_K
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
    inverse_K: np.ndarray,
    size: tuple[int, int],
) -> np.ndarray:
    """Move each point along its ray to where it is seen best (one Gauss-Newton step)."""
    now_FK2, tiny = _seen(rays_K3, cameras_F3, inverse_K, size), 1e-4
    slope_FK2 = (_seen(rays_K3, cameras_F3, inverse_K + tiny, size) - now_FK2) / tiny
    error_FK2 = points_FK2 - now_FK2
    step_K = (slope_FK2 * error_FK2).sum(axis=(0, 2)) / ((slope_FK2**2).sum(axis=(0, 2)) + 1.0)
    return np.clip(inverse_K + step_K, 1 / FARTHEST, 2.0)


def _refine_cameras(
    points_FK2: np.ndarray,
    rays_K3: np.ndarray,
    cameras_F3: np.ndarray,
    inverse_K: np.ndarray,
    size: tuple[int, int],
    kept_K: np.ndarray,
) -> np.ndarray:
    """Move each camera but the first to where it sees the points best (one robust Gauss-Newton step)."""
    now_FK2, tiny = _seen(rays_K3, cameras_F3, inverse_K, size), 1e-4
    error_FK2 = points_FK2 - now_FK2
    weight_FK = kept_K / np.maximum(np.hypot(error_FK2[..., 0], error_FK2[..., 1]) / 0.5, 1)
    slopes = [
        (_seen(rays_K3, cameras_F3 + tiny * np.eye(3)[axis], inverse_K, size) - now_FK2) / tiny
        for axis in range(3)
    ]
    slope_F3N = np.stack([(s * np.sqrt(weight_FK)[..., None]).reshape(len(s), -1) for s in slopes], axis=1)
    error_FN = (error_FK2 * np.sqrt(weight_FK)[..., None]).reshape(len(error_FK2), -1)
    normal_F33 = slope_F3N @ slope_F3N.transpose(0, 2, 1) + 0.5 * np.eye(3)
    step_F3 = np.linalg.solve(normal_F33, (slope_F3N @ error_FN[..., None]))[..., 0]
    step_F3[0] = 0
    return cameras_F3 + np.clip(step_F3, -0.2, 0.2)
