"""Which matrix converts a frame to RGB, and the conversions that swscale lacks.

Legend: H height, W width, C channels.
"""

import cv2
import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace

KNOWN_MATRICES = (0, 1, 2, 4, 5, 6, 7, 9)
"""FFmpeg's numbers of the matrices that swscale converts: 0 RGB, 1 BT.709, 2 unspecified, 9 BT.2020."""
RESERVED, NOT_STATED = 3, 2
YCGCO, CHROMATICITY_DERIVED = 8, 12
NAMES = {
    10: "BT.2020 with constant luminance",
    11: "Y'D'zD'x",
    12: "derived from primaries",
    13: "derived from primaries, with constant luminance",
    14: "ICtCp",
    15: "IPT of Dolby Vision",
    16: "YCgCo-R, even",
    17: "YCgCo-R, odd",
}
"""Matrices that are stated in files and cannot be converted (ITU-T H.273, table 4)."""
DERIVED = {ColorPrimaries.BT709: Colorspace.ITU709, ColorPrimaries.BT2020: Colorspace.BT2020}
"""The matrix that follows from primaries."""


def assumed_matrix(frame: VideoFrame, still: bool) -> int | None:
    """Return PyAV's number of the matrix to assume; None if the frame states one that swscale knows.

    Raises ValueError for a matrix that is stated and cannot be converted.
    """
    stated = frame.colorspace
    if frame.format.is_rgb:
        return None
    if stated == YCGCO:
        return Colorspace.ITU601
    if stated == CHROMATICITY_DERIVED and frame.color_primaries in DERIVED:
        return DERIVED[ColorPrimaries(frame.color_primaries)]
    if stated in NAMES:
        raise ValueError(f"its colour matrix, {NAMES[stated]} ({stated}), cannot be converted")
    if stated in KNOWN_MATRICES and stated != NOT_STATED:
        return None
    frame.colorspace = NOT_STATED
    return Colorspace.ITU709 if is_large(frame) and not still else Colorspace.ITU601


def is_large(frame: VideoFrame) -> bool:
    """Return whether the frame is larger than standard definition."""
    return frame.width >= 1280 or frame.height > 576


def is_bt709(frame: VideoFrame, still: bool) -> bool:
    """Return whether the frame states BT.709, or it is assumed."""
    if frame.colorspace == YCGCO or frame.colorspace in NAMES:
        return False
    assumed = assumed_matrix(frame, still)
    return (frame.colorspace if assumed is None else assumed) == Colorspace.ITU709


def ycgco_to_rgb(yuv_CHW: np.ndarray, color_range: int) -> np.ndarray:
    """Return rgb_HWC of 4:4:4 planes in YCgCo (ITU-T H.273, 8.3): R, B = Y - Cg +- Co, G = Y + Cg."""
    full = color_range == ColorRange.JPEG
    luma, chroma, black = (1.0, 1.0, 0) if full else (255 / 219, 255 / 224, 16)
    to_rgb = np.array([[1, -1, 1], [1, 1, 0], [1, -1, -1]], np.float32) * (luma, chroma, chroma)
    offset = -to_rgb @ np.array([black, 128, 128], np.float32)
    yuv_HWC = np.ascontiguousarray(np.moveaxis(yuv_CHW, 0, -1))
    return cv2.transform(yuv_HWC, np.column_stack([to_rgb, offset]).astype(np.float32))


def expand_range(rgb_HWC: np.ndarray) -> np.ndarray:
    """Return full-range uint8 RGB of limited-range RGB (uint8 or uint16), which swscale takes for full."""
    scale = 255 / np.iinfo(rgb_HWC.dtype).max
    levels = np.arange(np.iinfo(rgb_HWC.dtype).max + 1) * scale
    table = np.clip(np.round((levels - 16) * (255 / 219)), 0, 255).astype(np.uint8)
    return table[rgb_HWC]
