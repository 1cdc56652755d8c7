"""Detect clips of simulated worlds by their flat colours, and captions that name other ones; pure functions.

Shapes: T frames, H x W pixels, C channels (RGB, uint8), N pixels.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from captioner.claims.measures import COLORS, color_labels, terms_of
from captioner.frames import sample_uniform

FLAT_COLORS = 3
"""Colours of a background and at most two objects."""
MAX_COLOR_DISTANCE = 36.0
"""Maximum RGB distance of a pixel from a flat colour; covers H.264 artifacts but not shading."""
MIN_FLAT_SHARE = 0.93
"""Minimum fraction of pixels in the three flat colours; edges are the rest."""
MIN_PATCH_SHARE = 0.004
"""Minimum area of a foreground patch, as a fraction of the frame."""
MAX_WHOLE_PATCHES = 2
"""Maximum patches that touch no edge of the frame."""
MAX_CUT_PATCHES = 8
"""Maximum patches at the edges; an object that wraps around shows up to four."""
MIN_CONFIDENCE = 0.75
"""Minimum mean token probability of an accepted answer; on simulated worlds it is above 0.84."""
COLOR_FRAMES = 8
"""Frames in which the colours of a caption are looked for."""
SIDE_PX = 96
_NO_NAME = "a color without a name"


@dataclass(frozen=True, kw_only=True, slots=True)
class FlatStats:
    """Flat colours and foreground patches of one frame."""

    flat_share: float
    """Fraction of pixels in the FLAT_COLORS most common colours, in [0, 1]."""
    whole: int
    """Foreground patches that touch no edge."""
    cut: int
    """Foreground patches that touch an edge."""

    @property
    def is_world(self) -> bool:
        patches = (
            self.whole <= MAX_WHOLE_PATCHES and self.cut <= MAX_CUT_PATCHES and self.whole + self.cut > 0
        )
        return patches and self.flat_share >= MIN_FLAT_SHARE

    def __str__(self) -> str:
        return (
            f"three colours cover {self.flat_share:.3f} of the pixels, "
            f"{self.whole} patches inside and {self.cut} at the edges"
        )


def is_simulated_world(frames_THWC: np.ndarray) -> tuple[bool, str]:
    """Return whether every frame is a simulated world, and a description of the decisive frame."""
    stats = [flat_stats(frame) for frame in frames_THWC]
    decisive = next((s for s in stats if not s.is_world), stats[0])
    return decisive.is_world, str(decisive)


def flat_stats(frame_HWC: np.ndarray) -> FlatStats:
    """Measure one frame, in about 1 ms."""
    small_HWC = _downsample(frame_HWC).astype(np.float32)
    background_C, rest_N = _most_common_color(small_HWC.reshape(-1, 3))
    for _ in range(FLAT_COLORS - 1):
        rest_N = _most_common_color(rest_N)[1] if len(rest_N) else rest_N
    flat = 1 - len(rest_N) / small_HWC[..., 0].size
    mask_HW = (np.linalg.norm(small_HWC - background_C, axis=-1) > MAX_COLOR_DISTANCE).astype(np.uint8)
    _, _, boxes_K5, _ = cv2.connectedComponentsWithStats(mask_HW, connectivity=8)
    height, width = mask_HW.shape
    patches = [box for box in boxes_K5[1:].tolist() if box[4] >= MIN_PATCH_SHARE * mask_HW.size]
    cut = sum(x == 0 or y == 0 or x + w == width or y + h == height for x, y, w, h, _ in patches)
    return FlatStats(flat_share=flat, whole=len(patches) - cut, cut=cut)


def is_confident(confidence: float | None) -> bool:
    """Return whether a confidence suffices to accept an answer of the embedded model."""
    return confidence is not None and confidence >= MIN_CONFIDENCE


def patch_colors(frames_THWC: np.ndarray) -> frozenset[str]:
    """Return the names of the colours of all patches, that of the background included; 2 ms a frame."""
    names = (*COLORS, _NO_NAME)
    found: set[str] = set()
    for index in sample_uniform(len(frames_THWC), COLOR_FRAMES):
        label_HW = color_labels(_downsample(frames_THWC[index]))
        for label in np.unique(label_HW).tolist():
            mask_HW = (label_HW == label).astype(np.uint8)
            core_HW = cv2.morphologyEx(mask_HW, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))  # drops edges
            _, _, boxes_K5, _ = cv2.connectedComponentsWithStats(core_HW, connectivity=8)
            if (boxes_K5[1:, cv2.CC_STAT_AREA] >= MIN_PATCH_SHARE * mask_HW.size).any():
                found.add(names[label])
    return frozenset(found)


def color_mismatch(text: str, shown: frozenset[str]) -> str:
    """Return how the colours that a caption names differ from those of the patches; empty if they are equal.

    A model asked about what it never saw says the likeliest things, with the confidence of its sentences; it
    leaves out a wall, or names a colour that is not there.
    """
    named = terms_of(text) & {*COLORS}
    parts = [
        f"{verb} {', '.join(sorted(colors))}"
        for verb, colors in (("leaves out", shown - named), ("names unseen", named - shown))
        if colors
    ]
    return " and ".join(parts)


def _most_common_color(pixels_N3: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the median colour of the fullest bin of a coarse histogram, and the pixels far from it."""
    bins_N = (pixels_N3 // 32).astype(np.int64) @ np.array([64, 8, 1])
    color_C = np.median(pixels_N3[bins_N == np.bincount(bins_N).argmax()], axis=0)
    return color_C, pixels_N3[np.linalg.norm(pixels_N3 - color_C, axis=1) > MAX_COLOR_DISTANCE]


def _downsample(frame_HWC: np.ndarray) -> np.ndarray:
    """Resize to at most SIDE_PX x SIDE_PX by nearest neighbour, which adds no new colours."""
    height, width = frame_HWC.shape[:2]
    size = (min(width, SIDE_PX), min(height, SIDE_PX))
    return cv2.resize(frame_HWC, size, interpolation=cv2.INTER_NEAREST)
