"""Detect clips of simulated worlds by their colours, and captions that name other ones; pure functions.

All families but `rooms` are drawn in the flat colours of one palette. A room has the sky of a camera of fixed
height and pitch, over a floor of one of four colours.

Shapes: T frames, H x W pixels, C channels (RGB, uint8), N pixels, P colours.
"""

import math
import re
from dataclasses import dataclass

import cv2
import numpy as np

from captioner.claims.measures import COLORS, color_labels, terms_of
from captioner.frames import sample_uniform

GROUNDS = {
    "black": (8, 8, 8),
    "gray": (126, 126, 126),
    "white": (246, 246, 246),
    "brown": (104, 62, 30),
    "navy": (14, 22, 84),
    "beige": (216, 180, 124),
}
"""RGB colours of grounds, walls and floors."""
THINGS = {name: prototypes[0] for name, prototypes in COLORS.items() if name not in GROUNDS}
"""RGB colours of things."""
TOOLS = ((44, 42, 46), (228, 228, 226), (100, 100, 100), (70, 40, 24))
"""Colours of brushes, heads, bricks and the chips of cookies, which captions do not name."""
MAX_COLOR_DISTANCE = 36.0
"""Maximum RGB distance of a pixel from a flat colour; covers H.264 artifacts but not shading."""
MAX_PALETTE_DISTANCE = 14.0
"""Maximum RGB distance of the median of a flat colour's pixels from a colour of the palette."""
MIN_PALETTE_SHARE = 0.87
"""Minimum fraction of pixels in flat colours of the palette; edges are the rest. Of 130 clips of worlds it
is 0.91 or more, of 25 real ones 0.26 or less."""
MAX_FLAT_COLORS = 9
MIN_FLAT_SHARE = 0.02
"""Fraction of pixels that may be in no flat colour before others are looked for."""
MIN_THING_SHARE = 0.004
"""Minimum fraction of pixels in colours of things, in one of the frames; a title card has none."""
MAX_SKY_ERROR = 12.0
"""Maximum difference of four fifths of a room's sky from the sky of all rooms; of 26 rooms 5 or less, of 25
real clips 131 or more."""
SKY_QUANTILE = 0.8
PITCH, FOCAL = math.radians(21), 1.05
"""Of the camera in a room: downward pitch, and focal length in short sides of the frame."""
HORIZON, ZENITH = (222.0, 226.0, 232.0), (176.0, 190.0, 208.0)
"""Colours of a room's sky."""
FLOOR_COLORS = ("gray", "brown", "navy", "beige")
MAX_FLOOR_DISTANCE = 48.0
"""Maximum RGB distance of the foreground of a room from its floor's colour; tiles are lighter and darker."""
MIN_PATCH_SHARE = 0.004
"""Minimum area of a patch, as a fraction of the frame."""
MIN_GLIMPSE_SHARE = 0.001
"""Minimum fraction of pixels in a colour that small things may have."""
MIN_CONFIDENCE = 0.75
"""Minimum mean token probability of an accepted answer."""
PROBE_FRAMES = 3
"""Frames that decide whether a clip is a simulated world."""
COLOR_FRAMES = 8
"""Frames in which the colours of a caption are looked for."""
SIDE_PX = 96
_NO_NAME = "a color without a name"
_SAYS_LESS = re.compile(r"\b(tiles?|tiled|brush|paintbrush|canvas|bites?|bitten|arrow)\b")
"""Captions of rooms, canvases and grids: true ones leave sky, brushes, heads and arrows without a colour."""
_UNSAID = frozenset({"black", "gray", "white", "brown", "beige"})
_SMALL_THINGS = re.compile(r"\barrow\b")
"""Captions of grids, whose things are too small to be patches."""
_PALETTE_P3 = np.array([*THINGS.values(), *GROUNDS.values(), *TOOLS], np.float32)


@dataclass(frozen=True, kw_only=True, slots=True)
class WorldStats:
    """How much of a frame is drawn as worlds are."""

    palette_share: float
    """Fraction of pixels in flat colours that are in the palette, in [0, 1]."""
    thing_share: float
    """Fraction of pixels in colours of things."""
    sky_error: float
    """Difference of most of the sky from that of a room, in 8-bit levels; infinite without a room's floor."""

    def __str__(self) -> str:
        return (
            f"flat colours of worlds cover {self.palette_share:.3f} of the pixels, those of things "
            f"{self.thing_share:.3f}; the sky differs by {self.sky_error:.0f} from that of rooms"
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class ShownColors:
    """Names of the colours of a clip."""

    patches: frozenset[str]
    """Colours of patches, that of the background included."""
    glimpsed: frozenset[str]
    """Colours of at least a few pixels."""


def is_simulated_world(frames_THWC: np.ndarray) -> tuple[bool, str]:
    """Return whether every frame is of a simulated world, and a description of the decisive frame."""
    stats = [world_stats(frame) for frame in frames_THWC]
    flattest = min(stats, key=lambda s: s.palette_share)
    if flattest.palette_share >= MIN_PALETTE_SHARE:
        most = max(stats, key=lambda s: s.thing_share)
        return most.thing_share >= MIN_THING_SHARE, str(most)
    worst = max(stats, key=lambda s: s.sky_error)
    return worst.sky_error <= MAX_SKY_ERROR, str(worst)


def world_stats(frame_HWC: np.ndarray) -> WorldStats:
    """Measure one frame, in about 2 ms."""
    small_HWC = _downsample(frame_HWC).astype(np.float32)
    pixels_N3 = rest_N3 = small_HWC.reshape(-1, 3)
    palette = 0
    for _ in range(MAX_FLAT_COLORS):
        if len(rest_N3) <= MIN_FLAT_SHARE * len(pixels_N3):
            break
        color_C, others_N3 = _most_common_color(rest_N3)
        if np.linalg.norm(_PALETTE_P3 - color_C, axis=1).min() <= MAX_PALETTE_DISTANCE:
            palette += len(rest_N3) - len(others_N3)
        rest_N3 = others_N3
    things_P3 = _PALETTE_P3[: len(THINGS)]
    distance_NP = np.linalg.norm(pixels_N3[:, None] - things_P3, axis=-1)
    return WorldStats(
        palette_share=palette / len(pixels_N3),
        thing_share=float((distance_NP.min(axis=1) <= MAX_COLOR_DISTANCE).mean()),
        sky_error=_sky_error(frame_HWC),
    )


def _sky_error(frame_HWC: np.ndarray) -> float:
    """Return the difference of the sky from that of a room; infinite where the ground is no room's floor."""
    height, width = frame_HWC.shape[:2]
    foreground_C = np.median(frame_HWC[-max(1, height // 10) :].reshape(-1, 3), axis=0)
    floors_P3 = np.array([GROUNDS[name] for name in FLOOR_COLORS], float)
    if np.linalg.norm(floors_P3 - foreground_C, axis=1).min() > MAX_FLOOR_DISTANCE:
        return math.inf
    y_H = (np.arange(height) + 0.5 - height / 2) / min(height, width)
    up_H = -y_H * math.cos(PITCH) - FOCAL * math.sin(PITCH)
    rows = np.flatnonzero(up_H > 0.01)
    if not len(rows):
        return math.inf
    share_R1 = np.clip(up_H[rows] / 0.45, 0, 1)[:, None]
    sky_RC = np.array(HORIZON) * (1 - share_R1) + np.array(ZENITH) * share_R1
    error_RW = np.abs(frame_HWC[rows].astype(float) - sky_RC[:, None]).max(axis=-1)
    return float(np.quantile(error_RW, SKY_QUANTILE))


def is_confident(confidence: float | None) -> bool:
    """Return whether a confidence suffices to accept an answer of the embedded model."""
    return confidence is not None and confidence >= MIN_CONFIDENCE


def is_about_a_game(text: str) -> bool:
    """Return whether a caption is one of a game on a grid."""
    return _SMALL_THINGS.search(text) is not None


def shown_colors(frames_THWC: np.ndarray) -> ShownColors:
    """Return the names of the colours of a clip; 2 ms a frame."""
    names = (*COLORS, _NO_NAME)
    patches: set[str] = set()
    glimpsed: set[str] = set()
    for index in sample_uniform(len(frames_THWC), COLOR_FRAMES):
        label_HW = color_labels(_downsample(frames_THWC[index]))
        for label in np.unique(label_HW).tolist():
            mask_HW = (label_HW == label).astype(np.uint8)
            if mask_HW.mean() >= MIN_GLIMPSE_SHARE:
                glimpsed.add(names[label])
            core_HW = cv2.morphologyEx(mask_HW, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))  # drops edges
            _, _, boxes_K5, _ = cv2.connectedComponentsWithStats(core_HW, connectivity=8)
            if (boxes_K5[1:, cv2.CC_STAT_AREA] >= MIN_PATCH_SHARE * mask_HW.size).any():
                patches.add(names[label])
    return ShownColors(patches=frozenset(patches), glimpsed=frozenset(glimpsed))


def color_mismatch(text: str, shown: ShownColors, *, whole: bool = True) -> str:
    """Return how the colours that a caption names differ from those of the patches; empty if they are equal.

    A model asked about what it never saw says the likeliest things, with the confidence of its sentences; it
    leaves out a wall, or names a colour that is not there.

    Args:
        whole: whether the caption should name all of them; a short one of a game names what it is about.
    """
    named = terms_of(text) & {*COLORS}
    unsaid = shown.patches - named if whole else frozenset[str]()
    if _SAYS_LESS.search(text):
        unsaid -= _UNSAID | ({"blue"} if "navy" in named else set())  # navy tiles far away
    seen = shown.patches | (shown.glimpsed if is_about_a_game(text) else frozenset())
    parts = [
        f"{verb} {', '.join(sorted(colors))}"
        for verb, colors in (("leaves out", unsaid), ("names unseen", named - seen))
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
