"""Frames (uint8) to the tensors that the VAE reads, and back.

Legend: B clips, C channels (RGB), T frames, H height, W width.
"""

from torch import Tensor


def to_pixels(frames_BTHWC: Tensor) -> Tensor:
    """Convert uint8 frames to pixels_BCTHW in [-1, 1]."""
    return frames_BTHWC.movedim(-1, 1).float() / 127.5 - 1


def to_frames(pixels_BCTHW: Tensor) -> Tensor:
    """Convert pixels in [-1, 1] to frames_BTHWC (uint8)."""
    return ((pixels_BCTHW + 1) * 127.5).round().clamp(0, 255).byte().movedim(1, -1)
