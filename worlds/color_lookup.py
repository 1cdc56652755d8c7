"""Find the nearest reference colour of each pixel in CIELAB by table lookup, and clean up masks.

Legend: T frames, H height, W width, R reference colours, C channels (RGB), L channels of CIELAB.
"""

from collections.abc import Sequence

import cv2
import numpy as np

BITS = 5
"""Bits per channel to which colours are quantized in the table."""


def to_lab(rgb: np.ndarray) -> np.ndarray:
    """Convert RGB (0 to 255, any shape ending in C) to CIELAB (float32)."""
    flat = np.ascontiguousarray(rgb.reshape(1, -1, 3)).astype(np.float32) / 255
    return cv2.cvtColor(np.clip(flat, 0, 1), cv2.COLOR_RGB2LAB).reshape(rgb.shape)


def build_nearest_table(colors: Sequence[Sequence[float]]) -> np.ndarray:
    """Return the table of `lookup_nearest`: for every colour, the index of the nearest of `colors` (RGB)."""
    levels = (np.arange(1 << BITS) + 0.5) * (256 >> BITS)
    grid_3 = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), axis=-1)
    lab_PL = to_lab(grid_3.astype(np.float32)).reshape(-1, 3)
    colors_RL = to_lab(np.array(colors, np.float32))
    distance_PR = (colors_RL**2).sum(axis=1) - 2 * (lab_PL @ colors_RL.T)
    return np.argmin(distance_PR, axis=1).astype(np.int64)


def lookup_nearest(table: np.ndarray, frames_THWC: np.ndarray) -> np.ndarray:
    """Return the index of the nearest reference colour of each pixel (RGB, uint8)."""
    levels = (frames_THWC >> (8 - BITS)).astype(np.int32)
    return table[(levels[..., 0] << (2 * BITS)) | (levels[..., 1] << BITS) | levels[..., 2]]


def components(mask_HW: np.ndarray, smallest: float) -> list[np.ndarray]:
    """Return the connected components of a mask, largest first, without specks and rims.

    Rims appear where two colours mix into a third; they have no interior.
    """
    pair = np.ones((2, 2), np.uint8)  # with an even side, opposite anchors avoid a shift
    eroded_HW = cv2.erode(mask_HW.astype(np.uint8), pair, anchor=(1, 1))
    opened_HW = cv2.dilate(eroded_HW, pair, anchor=(0, 0))
    count, label_HW, stats, _ = cv2.connectedComponentsWithStats(opened_HW, connectivity=4)
    areas = [(int(stats[n, cv2.CC_STAT_AREA]), n) for n in range(1, count)]
    parts = [label_HW == n for area, n in sorted(areas, reverse=True) if area >= smallest]
    return [part for part in parts if inside_area(part) >= 0.15 * smallest]


def inside_area(mask_HW: np.ndarray) -> int:
    """Return the area of a mask without its rim."""
    return int(cv2.erode(mask_HW.astype(np.uint8), np.ones((3, 3), np.uint8)).sum())


def check_layout(frames_THWC: np.ndarray) -> None:
    """Raise ValueError unless frames are (T, H, W, 3) and not empty."""
    if frames_THWC.ndim != 4 or frames_THWC.shape[-1] != 3 or not frames_THWC.size:
        raise ValueError(f"frames are {frames_THWC.shape}: expected (T, H, W, 3) with at least one frame")


def shrink(frames_THWC: np.ndarray, side_px: int) -> np.ndarray:
    """Scale frames (RGB, uint8) down to a short side of `side_px`; return smaller frames unchanged.

    Raises:
        ValueError: unless frames are (T, H, W, 3).
    """
    check_layout(frames_THWC)
    height, width = frames_THWC.shape[1:3]
    scale = side_px / min(height, width)
    if scale >= 1:
        return frames_THWC
    size = (round(width * scale), round(height * scale))
    return np.stack([cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for frame in frames_THWC])
