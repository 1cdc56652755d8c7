"""Estimate the motion of a camera over a tiled floor.

The camera's height, pitch and focal length are constants of the family, so each floor pixel has known ground
coordinates. Direct alignment (Baker and Matthews, "Lucas-Kanade 20 Years On", 2004) estimates the rotation
and translation between two frames.

Legend: T frames, H height, W width, P pixels. A motion is (turn, right, forward): radians to the right, then
metres in the axes of the earlier camera.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np

from worlds.rooms.truth import CAMERA_HEIGHT, FOCAL, tilt_33

MAX_DISTANCE = 9.0
"""Maximum distance of aligned floor pixels, in metres; farther tiles are too small."""
BLURS = (0.035, 0.018)
"""Blurs of the coarse-to-fine alignment (sigma in short sides)."""
STEPS = 4
"""Gauss-Newton steps per blur."""
HUBER_DELTA = 12.0
"""Residual in grey levels above which a pixel is down-weighted, such as one of a solid or its shadow."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Ground:
    """Intersection of each pixel's ray with the floor."""

    focal_px: float
    center_2: tuple[float, float]
    right_HW: np.ndarray
    forward_HW: np.ndarray
    near_HW: np.ndarray
    """bool: floor within `MAX_DISTANCE`."""


def motions_T3(frames_THWC: np.ndarray, things_THW: np.ndarray | None = None) -> np.ndarray:
    """Return the camera motion from each frame to the next, as (T - 1, 3).

    Args:
        frames_THWC: RGB, uint8.
        things_THW: mask of pixels to exclude, such as solids; None excludes none.
    """
    gray_THW = frames_THWC.astype(np.float32).mean(axis=3)
    ground = _ground(*gray_THW.shape[1:])
    motions, last_3 = [], np.zeros(3)
    for index in range(len(gray_THW) - 1):
        mask_HW = ground.near_HW
        if things_THW is not None:
            solids_HW = (things_THW[index] | things_THW[index + 1]).astype(np.uint8)
            mask_HW = mask_HW & (cv2.dilate(solids_HW, np.ones((5, 5), np.uint8)) == 0)
        last_3 = _align(gray_THW[index], gray_THW[index + 1], mask_HW, ground, last_3)
        motions.append(last_3)
    return np.array(motions).reshape(-1, 3)


def _ground(height: int, width: int) -> _Ground:
    short = min(height, width)
    x, y = np.meshgrid(np.arange(width) + 0.5 - width / 2, np.arange(height) + 0.5 - height / 2)
    image_3HW = np.stack([x / short / FOCAL, y / short / FOCAL, np.ones_like(x)])
    right, up, forward = np.einsum("ji,jhw->ihw", tilt_33(), image_3HW)
    scale_HW = CAMERA_HEIGHT / np.maximum(-up, 1e-3)
    near_HW = (up < -1e-3) & (scale_HW * forward < MAX_DISTANCE)
    return _Ground(
        focal_px=FOCAL * short,
        center_2=(width / 2, height / 2),
        right_HW=scale_HW * right,
        forward_HW=scale_HW * forward,
        near_HW=near_HW,
    )


def _project(ground: _Ground, motion_3: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the pixel (x_HW, y_HW) of the later frame that shows the floor point of each earlier pixel."""
    sin, cos = math.sin(motion_3[0]), math.cos(motion_3[0])
    dx, dz = ground.right_HW - motion_3[1], ground.forward_HW - motion_3[2]
    ground_3HW = np.stack([dx * cos - dz * sin, np.full_like(dx, -CAMERA_HEIGHT), dx * sin + dz * cos])
    image_3HW = np.einsum("ij,jhw->ihw", tilt_33(), ground_3HW)
    scale_HW = ground.focal_px / np.maximum(image_3HW[2], 0.05)
    return image_3HW[0] * scale_HW + ground.center_2[0], image_3HW[1] * scale_HW + ground.center_2[1]


def _align(
    before_HW: np.ndarray, after_HW: np.ndarray, mask_HW: np.ndarray, ground: _Ground, guess_3: np.ndarray
) -> np.ndarray:
    """Return the motion that aligns the floor of one frame with the next, by robust Gauss-Newton steps."""
    if mask_HW.sum() < 50:
        return np.zeros(3)
    motion_3 = guess_3.copy()
    jacobian_3P2 = _jacobian(ground, mask_HW)
    for blur in BLURS:
        sigma = blur * min(before_HW.shape)
        first_HW, second_HW = (cv2.GaussianBlur(image, (0, 0), sigma) for image in (before_HW, after_HW))
        gradient_x_P = cv2.Sobel(first_HW, cv2.CV_32F, 1, 0, scale=1 / 8)[mask_HW]
        gradient_y_P = cv2.Sobel(first_HW, cv2.CV_32F, 0, 1, scale=1 / 8)[mask_HW]
        gradient_P3 = (jacobian_3P2[..., 0] * gradient_x_P + jacobian_3P2[..., 1] * gradient_y_P).T
        for _ in range(STEPS):
            x_HW, y_HW = _project(ground, motion_3)
            inside_P = ((x_HW > 1) & (x_HW < before_HW.shape[1] - 1) & (y_HW < before_HW.shape[0] - 1))[
                mask_HW
            ]
            warped_HW = cv2.remap(
                second_HW,
                (x_HW - 0.5).astype(np.float32),
                (y_HW - 0.5).astype(np.float32),
                cv2.INTER_LINEAR,
                borderMode=cv2.BORDER_REPLICATE,
            )
            error_P = (warped_HW - first_HW)[mask_HW]
            weight_P = inside_P / np.maximum(np.abs(error_P) / HUBER_DELTA, 1)
            normal_33 = (gradient_P3 * weight_P[:, None]).T @ gradient_P3 + np.diag([1e-3, 1e-3, 1e-3])
            step_3 = np.linalg.solve(normal_33, gradient_P3.T @ (weight_P * error_P))
            motion_3 = motion_3 - np.clip(step_3, -0.3, 0.3)
    return motion_3


def _jacobian(ground: _Ground, mask_HW: np.ndarray) -> np.ndarray:
    """Return the Jacobian of the projection by the motion at zero motion, as (3, P, 2)."""
    epsilon, origin = 1e-4, _project(ground, np.zeros(3))
    columns = []
    for axis in range(3):
        shifted = _project(ground, np.eye(3)[axis] * epsilon)
        columns.append(
            np.stack([(s - o)[mask_HW] / epsilon for s, o in zip(shifted, origin, strict=True)], axis=1)
        )
    return np.array(columns)
