"""Vocabulary of the family `shapes`, most of it shared by all families, and its values.

The names of thing colours and background colours are disjoint. All 14 colours are far apart in CIELAB, so
that 4:2:0 chroma, H.264 and a mild blur do not confuse them. PySceneDetect's ContentDetector finds a hard
cut between any two backgrounds at its default threshold (27).
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
"""RGB colours of things."""

BACKGROUNDS: dict[str, tuple[int, int, int]] = {
    "black": (8, 8, 8),
    "gray": (126, 126, 126),
    "white": (246, 246, 246),
    "brown": (104, 62, 30),
    "navy": (14, 22, 84),
    "beige": (216, 180, 124),
}
"""RGB colours of backgrounds."""

SHAPES = ("circle", "square", "triangle", "star")
"""Distinct even in a mildly blurred 64x64 frame, where a cross or diamond resembles a star or circle."""

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
"""Unit vector (x right, y down) of each direction."""

FAMILY_NAMES = ("shapes", "occlusion", "physics", "rooms", "canvas", "grid")
"""Names of the families in `worlds.families`."""
STYLES = ("flat", "outline", "textured", "night")
"""Styles of `worlds.styles`."""

STILL = "still"
MOTIONS = (*DIRECTIONS, STILL)
"""Motions of a thing: one of eight directions, or none."""

SPEEDS: dict[str, float] = {"slow": 0.10, "medium": 0.175, "quick": 0.30}
"""Short sides of the frame per second. The quickest thing crosses a square frame in more than two seconds."""
