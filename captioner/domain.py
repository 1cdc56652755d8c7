"""Is this clip a simulated world of flat colours? Pure functions that decide which captioner a clip gets.

Legend: T frames, H x W pixels, C channels (RGB, uint8), N pixels.
"""

import cv2
import numpy as np

FLAT_COLORS = 3
"""A background and at most two things."""
NEAR = 36.0
"""Distance in RGB within which a pixel still has a colour: an H.264 artefact is, shading is not."""
MIN_FLAT_SHARE = 0.93
"""Share of the pixels that a world's three colours cover; the rest are its edges."""
MIN_CONFIDENCE = 0.75
"""Mean probability of its tokens from which on the embedded model is believed."""
SIDE_PX = 96


def flat_share(frames_THWC: np.ndarray, colors: int = FLAT_COLORS) -> float:
    """Return the share of pixels that the `colors` commonest colours cover, in [0, 1].

    Colours are found one after the other: the fullest cell of a coarse histogram of what is left.
    """
    pixels_NC = np.concatenate([_shrunk(frame).reshape(-1, 3) for frame in frames_THWC]).astype(np.float32)
    left_NC = pixels_NC
    for _ in range(colors):
        if not len(left_NC):
            break
        cells_N = (left_NC // 32).astype(np.int64) @ np.array([64, 8, 1])
        fullest = np.bincount(cells_N).argmax()
        color_C = np.median(left_NC[cells_N == fullest], axis=0)
        left_NC = left_NC[np.linalg.norm(left_NC - color_C, axis=1) > NEAR]
    return 1 - len(left_NC) / len(pixels_NC)


def looks_like_a_world(frames_THWC: np.ndarray) -> tuple[bool, str]:
    """Return whether the frames are flat enough for the embedded model, and the measure in words."""
    share = flat_share(frames_THWC)
    sign = ">=" if share >= MIN_FLAT_SHARE else "<"
    return share >= MIN_FLAT_SHARE, f"three colours cover {share:.3f} {sign} {MIN_FLAT_SHARE} of the pixels"


def is_believed(confidence: float | None) -> bool:
    """Return whether an answer of the embedded model is sure enough to be kept."""
    return confidence is not None and confidence >= MIN_CONFIDENCE


def _shrunk(frame_HWC: np.ndarray) -> np.ndarray:
    """Return at most SIDE_PX x SIDE_PX of the frame's own pixels: averaging would invent colours."""
    height, width = frame_HWC.shape[:2]
    size = (min(width, SIDE_PX), min(height, SIDE_PX))
    return cv2.resize(frame_HWC, size, interpolation=cv2.INTER_NEAREST)
