"""Is this clip a simulated world of flat colours? Pure functions that decide which captioner a clip gets.

Legend: T frames, H x W pixels, C channels (RGB, uint8), N pixels.
"""

from dataclasses import dataclass

import cv2
import numpy as np

FLAT_COLORS = 3
"""A background and at most two things."""
NEAR = 36.0
"""Distance in RGB within which a pixel still has a colour: an H.264 artefact is, shading is not."""
MIN_FLAT_SHARE = 0.93
"""Share of the pixels that a world's three colours cover; the rest are its edges."""
MIN_PATCH_SHARE = 0.004
"""Share of the frame from which on what is not background is a patch."""
MAX_WHOLE_PATCHES = 2
"""Things that lie wholly inside the frame; more than two patches are letters, windows, leaves."""
MAX_CUT_PATCHES = 8
"""Pieces at the edges: a thing that wraps round them shows up to four."""
MIN_CONFIDENCE = 0.75
"""Mean probability of its tokens from which on the embedded model is believed; on worlds it is above 0.84."""
SIDE_PX = 96


@dataclass(frozen=True, kw_only=True, slots=True)
class FlatStats:
    """What one frame is made of."""

    flat_share: float
    """Share of the pixels that the FLAT_COLORS commonest colours cover, in [0, 1]."""
    whole: int
    """Patches that are not background and touch no edge."""
    cut: int
    """Patches that touch an edge."""

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
    """Return whether every frame looks like a world, and the looks of the first that does not, in words."""
    stats = [flat_stats(frame) for frame in frames_THWC]
    worst = next((s for s in stats if not s.is_world), stats[0])
    return worst.is_world, str(worst)


def flat_stats(frame_HWC: np.ndarray) -> FlatStats:
    """Measure one frame. 1 ms."""
    small_HWC = _shrunk(frame_HWC).astype(np.float32)
    background_C, left_N = _commonest(small_HWC.reshape(-1, 3))
    for _ in range(FLAT_COLORS - 1):
        left_N = _commonest(left_N)[1] if len(left_N) else left_N
    flat = 1 - len(left_N) / small_HWC[..., 0].size
    mask_HW = (np.linalg.norm(small_HWC - background_C, axis=-1) > NEAR).astype(np.uint8)
    _, _, boxes_K5, _ = cv2.connectedComponentsWithStats(mask_HW, connectivity=8)
    height, width = mask_HW.shape
    patches = [box for box in boxes_K5[1:].tolist() if box[4] >= MIN_PATCH_SHARE * mask_HW.size]
    cut = sum(x == 0 or y == 0 or x + w == width or y + h == height for x, y, w, h, _ in patches)
    return FlatStats(flat_share=flat, whole=len(patches) - cut, cut=cut)


def is_believed(confidence: float | None) -> bool:
    """Return whether an answer of the embedded model is sure enough to be kept."""
    return confidence is not None and confidence >= MIN_CONFIDENCE


def _commonest(pixels_N3: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the colour of the fullest cell of a coarse histogram, and the pixels that are not near it."""
    cells_N = (pixels_N3 // 32).astype(np.int64) @ np.array([64, 8, 1])
    color_C = np.median(pixels_N3[cells_N == np.bincount(cells_N).argmax()], axis=0)
    return color_C, pixels_N3[np.linalg.norm(pixels_N3 - color_C, axis=1) > NEAR]


def _shrunk(frame_HWC: np.ndarray) -> np.ndarray:
    """Return at most SIDE_PX x SIDE_PX of the frame's own pixels: averaging would invent colours."""
    height, width = frame_HWC.shape[:2]
    size = (min(width, SIDE_PX), min(height, SIDE_PX))
    return cv2.resize(frame_HWC, size, interpolation=cv2.INTER_NEAREST)
