"""Resize frames and their sizes. Legend: T frames, H height, W width, C channels."""

import cv2
import numpy as np


def fit_long_side(size_px: tuple[int, int], long_side_px: int) -> tuple[int, int]:
    """Return (height, width) scaled down to a long side of at most `long_side_px`."""
    scale = min(1.0, long_side_px / max(size_px))
    return max(1, round(size_px[0] * scale)), max(1, round(size_px[1] * scale))


def same_shape(one_px: tuple[int, int], other_px: tuple[int, int]) -> bool:
    """Return whether two sizes (height, width) have the same aspect ratio, up to a hundredth."""
    one, other = one_px[0] * other_px[1], one_px[1] * other_px[0]
    return abs(one - other) <= 0.01 * max(one, other)


def resize_and_crop(frames_THWC: np.ndarray, height: int, width: int) -> np.ndarray:
    """Scale frames to cover height x width at their own aspect ratio, and crop the centre.

    Scales down by area averaging and up by bicubic interpolation. Returns a contiguous array.
    """
    old_height, old_width = frames_THWC.shape[1:3]
    scale = max(height / old_height, width / old_width)
    new_height, new_width = max(height, round(old_height * scale)), max(width, round(old_width * scale))
    top, left = (new_height - height) // 2, (new_width - width) // 2
    if (new_height, new_width) != (old_height, old_width):
        size, method = (new_width, new_height), cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
        resized: list[np.ndarray] = [cv2.resize(frame, size, interpolation=method) for frame in frames_THWC]
        frames_THWC = np.stack(resized)
    return np.ascontiguousarray(frames_THWC[:, top : top + height, left : left + width])


def fit_with_borders(rgb_HWC: np.ndarray, height: int, width: int) -> np.ndarray:
    """Scale a frame to fit into height x width at its own aspect ratio, in the middle of black borders."""
    scale = min(height / rgb_HWC.shape[0], width / rgb_HWC.shape[1])
    new_height = min(height, max(1, round(rgb_HWC.shape[0] * scale)))
    new_width = min(width, max(1, round(rgb_HWC.shape[1] * scale)))
    if same_shape((height, width), (rgb_HWC.shape[0], rgb_HWC.shape[1])):
        new_height, new_width = height, width
    top, left = (height - new_height) // 2, (width - new_width) // 2
    fitted_HWC = np.zeros((height, width, 3), np.uint8)
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    fitted_HWC[top : top + new_height, left : left + new_width] = cv2.resize(
        rgb_HWC, (new_width, new_height), interpolation=method
    )
    return fitted_HWC
