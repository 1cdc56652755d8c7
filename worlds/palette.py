"""The words of the family `shapes`, most of them shared by the others, and what each one looks like.

Colours of things and colours of backgrounds share no word: a colour word alone tells which of the two it
speaks of. All 14 lie far apart in CIELAB, so that 4:2:0 chroma, H.264 and a mild blur do not turn one into
another. Backgrounds also differ enough in hue, saturation and value for a hard cut between any two to be
found by PySceneDetect's ContentDetector at its default threshold (27).
"""

import math

COLORS: dict[str, tuple[int, int, int]] = {
    "red": (225, 25, 30),
    "orange": (255, 135, 0),
    "yellow": (250, 235, 40),
    "green": (25, 165, 50),
    "cyan": (30, 220, 235),
    "blue": (20, 105, 240),
    "purple": (145, 25, 165),
    "pink": (255, 130, 200),
}
"""Colour of a thing, RGB."""

BACKGROUNDS: dict[str, tuple[int, int, int]] = {
    "black": (8, 8, 8),
    "gray": (126, 126, 126),
    "white": (246, 246, 246),
    "brown": (104, 62, 30),
    "navy": (14, 22, 84),
    "beige": (216, 180, 124),
}
"""Colour of a background, RGB."""

SHAPES = ("circle", "square", "triangle", "star")
"""The four differ in corners, in solidity and in symmetry, so that they stay apart when a 64x64 frame is
mildly blurred. (A cross or a diamond would not: blurred, they become a star and a circle.)"""

_DIAGONAL = math.sqrt(0.5)
DIRECTIONS: dict[str, tuple[float, float]] = {
    "left": (-1.0, 0.0),
    "right": (1.0, 0.0),
    "up": (0.0, -1.0),
    "down": (0.0, 1.0),
    "up-left": (-_DIAGONAL, -_DIAGONAL),
    "up-right": (_DIAGONAL, -_DIAGONAL),
    "down-left": (-_DIAGONAL, _DIAGONAL),
    "down-right": (_DIAGONAL, _DIAGONAL),
}
"""Unit vector (x to the right, y down) of each direction."""

FAMILY_NAMES = ("shapes", "occlusion", "physics", "rooms", "canvas", "grid")
"""Names of the families in `worlds.families`."""
STYLES = ("flat", "outline", "textured", "night")
"""Looks that `worlds.styles` puts on."""

STILL = "still"
MOTIONS = (*DIRECTIONS, STILL)
"""What a thing can do: go in one of eight directions, or stay still."""

SPEEDS: dict[str, float] = {"slow": 0.10, "medium": 0.175, "quick": 0.30}
"""Short sides of the frame per second, whatever its size and rate: each about 1.7 times the one before.
The quickest thing still goes straight for two seconds without leaving a square frame."""
