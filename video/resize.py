"""Resize frames and their sizes. Legend: T frames, H height, W width, C channels."""

import cv2
import numpy as np


def fit_long_side(size_px: tuple[int, int], long_side_px: int) -> tuple[int, int]:
    """Return (height, width) scaled down to a long side of at most `long_side_px`."""
    scale = min(1.0, long_side_px / max(size_px))
    return max(1, round(size_px[0] * scale)), max(1, round(size_px[1] * scale))


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
