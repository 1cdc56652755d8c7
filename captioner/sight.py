"""What can be measured in frames without a learned captioner: colours, light, motion. Pure functions.

Legend: T frames, H x W pixels, C channels (RGB, uint8), P pairs of neighbouring frames.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from video.camera_motion import FlowEstimator, median_similarity

COLORS = {
    "black": (15, 15, 15),
    "dark gray": (70, 70, 70),
    "gray": (128, 128, 128),
    "light gray": (190, 190, 190),
    "white": (240, 240, 240),
    "red": (200, 35, 35),
    "orange": (235, 130, 35),
    "brown": (110, 70, 40),
    "beige": (205, 180, 145),
    "yellow": (235, 215, 60),
    "green": (70, 140, 50),
    "dark green": (35, 60, 35),
    "teal": (40, 130, 130),
    "light blue": (150, 185, 220),
    "blue": (45, 90, 200),
    "dark blue": (25, 35, 80),
    "purple": (120, 60, 150),
    "pink": (225, 140, 175),
}
"""RGB of the colours that have a name; a pixel takes the name that is nearest in CIELAB."""

FLOW_WIDTH_PX = 160
MOVING_PX = 0.5
"""At FLOW_WIDTH_PX, a pixel moves against the rest from this many pixels between two frames on."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Motion:
    """How a clip moves, in widths of the frame per second."""

    shift_x: float
    """Median speed of the whole picture to the right."""
    shift_y: float
    """... and downward."""
    zoom: float
    """Growth of the picture per second, 0.1 is a tenth; negative when it shrinks."""
    moving_share: float
    """Share of the pixels that move against the whole, in [0, 1]."""
    moving_speed: float
    """Mean speed of those pixels; 0 when there are none."""


def color_shares(frames_THWC: np.ndarray) -> list[tuple[str, float]]:
    """Return the named colours and the share of pixels of each, most first."""
    small = np.stack([cv2.resize(f, (48, 48), interpolation=cv2.INTER_AREA) for f in frames_THWC])
    pixels_N3 = _lab(small.reshape(-1, 3))
    named_K3 = _lab(np.array(list(COLORS.values()), np.uint8))
    nearest_N = ((pixels_N3[:, None] - named_K3) ** 2).sum(-1).argmin(1)
    shares_K = np.bincount(nearest_N, minlength=len(COLORS)) / len(nearest_N)
    return sorted(zip(COLORS, shares_K.tolist(), strict=True), key=lambda pair: -pair[1])


def brightness(frames_THWC: np.ndarray) -> float:
    """Return the mean lightness (CIELAB L*, 0 black to 100 white)."""
    small = np.stack([cv2.resize(f, (48, 48), interpolation=cv2.INTER_AREA) for f in frames_THWC])
    return float(_lab(small.reshape(-1, 3))[:, 0].mean())


def _lab(rgb_N3: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(rgb_N3[None].astype(np.float32) / 255, cv2.COLOR_RGB2LAB)[0]


def motion_pairs(times_s: Sequence[float], pairs: int, step_s: float = 0.12) -> list[tuple[int, int]]:
    """Return up to `pairs` index pairs about `step_s` apart, spread over the clip; none for a still."""
    times_T = np.asarray(times_s, float)
    if len(times_T) < 2:
        return []
    starts = np.unique(np.linspace(0, len(times_T) - 2, pairs).round().astype(int))
    ends = [max(k + 1, int(np.searchsorted(times_T, times_T[k] + step_s))) for k in starts]
    return [(int(k), min(end, len(times_T) - 1)) for k, end in zip(starts, ends, strict=True)]


def measure_motion(frames_THWC: np.ndarray, times_s: Sequence[float], pairs: int = 8) -> Motion:
    """Measure camera and object motion by dense inverse search flow (Kroeger et al., ECCV 2016)."""
    found = [
        _pair_motion(frames_THWC[a], frames_THWC[b], times_s[b] - times_s[a])
        for a, b in motion_pairs(times_s, pairs)
    ]
    if not found:
        return Motion(shift_x=0.0, shift_y=0.0, zoom=0.0, moving_share=0.0, moving_speed=0.0)
    shift_x, shift_y, zoom, share, speed = np.median(np.array(found), axis=0).tolist()
    return Motion(shift_x=shift_x, shift_y=shift_y, zoom=zoom, moving_share=share, moving_speed=speed)


def _pair_motion(first_HWC: np.ndarray, second_HWC: np.ndarray, seconds: float) -> tuple[float, ...]:
    """Return the values of `Motion` for one pair of frames."""
    height, width = first_HWC.shape[:2]
    size = (FLOW_WIDTH_PX, max(16, round(height * FLOW_WIDTH_PX / width)))
    gray = [cv2.cvtColor(cv2.resize(f, size), cv2.COLOR_RGB2GRAY) for f in (first_HWC, second_HWC)]
    (shift, growth), residual_HW = median_similarity(FlowEstimator("fast")(*gray))
    moving_HW = residual_HW > MOVING_PX
    speed = float(residual_HW[moving_HW].mean()) if moving_HW.any() else 0.0
    scale = 1 / size[0] / seconds
    zoom = growth.real / seconds
    return shift.real * scale, shift.imag * scale, zoom, float(moving_HW.mean()), speed * scale
