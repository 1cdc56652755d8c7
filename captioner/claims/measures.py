"""What can be measured in the frames of a clip without a model, as terms that captions also have.

Colours, light, motion of things and of the camera. Each term has a strength in [0, 1]; a text names terms by
its words. Nothing here knows what a thing is.

Legend: T frames, H x W pixels, C channels (RGB, uint8), N pixels, K prototypes, M terms, P pairs of frames.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np

from captioner.sight import FLOW_WIDTH_PX, MOVING_PX, motion_pairs
from video.camera_motion import FlowEstimator, median_similarity

COLORS: Mapping[str, tuple[tuple[int, int, int], ...]] = {
    "black": ((10, 10, 10), (30, 30, 34)),
    "gray": ((70, 70, 70), (126, 126, 126), (185, 185, 188)),
    "white": ((246, 246, 246), (225, 228, 230)),
    "red": ((225, 25, 30), (180, 35, 35), (120, 20, 25)),
    "orange": ((255, 135, 0), (225, 120, 50)),
    "brown": ((104, 62, 30), (140, 95, 60), (70, 45, 25)),
    "beige": ((216, 180, 124), (205, 185, 150), (230, 215, 190)),
    "yellow": ((250, 235, 40), (230, 210, 90)),
    "green": ((25, 165, 50), (70, 140, 50), (35, 80, 35), (120, 160, 80)),
    "cyan": ((30, 220, 235), (60, 180, 180)),
    "blue": ((20, 105, 240), (60, 110, 190), (140, 185, 225)),
    "navy": ((14, 22, 84), (30, 40, 90)),
    "purple": ((145, 25, 165), (110, 60, 150)),
    "pink": ((255, 130, 200), (230, 150, 170)),
}
"""RGB prototypes of each colour; a pixel has the colour of the nearest one in CIELAB."""
SYNONYMS: Mapping[str, str] = {
    "grey": "gray",
    "silver": "gray",
    "charcoal": "gray",
    "golden": "yellow",
    "gold": "yellow",
    "blond": "yellow",
    "blonde": "yellow",
    "amber": "orange",
    "copper": "brown",
    "tan": "beige",
    "cream": "beige",
    "ivory": "white",
    "khaki": "beige",
    "turquoise": "cyan",
    "teal": "cyan",
    "aqua": "cyan",
    "indigo": "navy",
    "azure": "blue",
    "violet": "purple",
    "lavender": "purple",
    "magenta": "pink",
    "rose": "pink",
    "crimson": "red",
    "scarlet": "red",
    "maroon": "red",
    "burgundy": "red",
    "lime": "green",
    "olive": "green",
}
"""Other words for these colours."""
_NEIGHBORS: Mapping[str, tuple[str, ...]] = {
    "black": ("navy", "gray"),
    "gray": ("white", "black", "beige"),
    "white": ("gray", "beige"),
    "red": ("orange", "brown", "pink"),
    "orange": ("red", "yellow", "brown", "beige"),
    "brown": ("orange", "red", "beige", "black"),
    "beige": ("brown", "white", "yellow", "orange", "gray"),
    "yellow": ("orange", "beige", "green"),
    "green": ("yellow", "cyan"),
    "cyan": ("blue", "green"),
    "blue": ("cyan", "navy", "purple"),
    "navy": ("blue", "black", "purple"),
    "purple": ("blue", "pink", "navy"),
    "pink": ("purple", "red", "beige"),
}
"""Colours that people may also call so: a share of these makes no colour absent."""
LIGHT = ("dark", "bright")
WAYS = ("left", "right", "up", "down")
MOTION = tuple(f"moves {way}" for way in WAYS)
CAMERA = ("camera still", *(f"camera {way}" for way in WAYS), "zoom in", "zoom out")
TERMS = (*COLORS, *LIGHT, *MOTION, *CAMERA)
"""The terms, in the order of the vectors below."""
_INDEX = {term: index for index, term in enumerate(TERMS)}

SIDE_PX = 64
MIN_SHARE, NO_SHARE = 0.003, 0.0004
"""A colour on at least the first fraction of a frame's pixels shows; one on less than the second does not."""
_MAX_DISTANCE = 45.0
"""Largest CIELAB distance of a pixel to the prototype whose colour it has."""
DARK_L, BRIGHT_L = 30.0, 62.0
"""CIELAB L* of a dark and of a bright picture."""
STILL_WIDTHS, MOVING_WIDTHS = 0.01, 0.04
"""Frame widths per second below which a camera is still, and above which it moves."""
ZOOM_RATE = 0.05
"""Growth of the picture per second from which it is a zoom."""

_WAY = {
    "left": r"left(?:ward)?s?",
    "right": r"right(?:ward)?s?",
    "up": r"up(?:ward)?s?|rises?|rising|climbs?|climbing|ascends?",
    "down": r"down(?:ward)?s?|falls?|falling|drops?|dropping|descends?",
}
_MOVE = (
    r"(?:mov|slid|travel|driv|runn?|walk|go|glid|drift|fl|head|roll|cross|swim|march|pass|swing|drawn|rid|cycl|shift)"
    r"\w*"
)
_STILL_CAMERA = (
    r"(?:camera|view|shot)\b[^.;]{0,30}\b(?:fixed|still|static|stationary|does not move|not move|motionless)"
    r"|static (?:shot|camera|view)|fixed (?:shot|camera|view)"
)
_CAMERA_MOVE = (
    r"camera (?:slowly |quickly |smoothly |gently )*"
    r"(?:pans?|moves?|tilts?|slides?|tracks?|turns?|panning|tilting|moving)"
)
_PATTERNS: Mapping[str, str] = {
    "dark": r"dark|dim|night(?:time)?|gloomy|unlit",
    "bright": r"bright|sunny|sunlit|daylight|sunlight|brightly",
    **{f"moves {way}": rf"\b{_MOVE}\b[^.;,]{{0,40}}?\b(?:{words})\b" for way, words in _WAY.items()},
    "camera still": _STILL_CAMERA,
    **{f"camera {way}": rf"{_CAMERA_MOVE}\b[^.;,]{{0,20}}\b(?:{words})" for way, words in _WAY.items()},
    "zoom in": r"zoom\w*\b[^.;,]{0,12}\bin\b|dolly in|picture grows|comes? closer",
    "zoom out": r"zoom\w*\b[^.;,]{0,12}\bout\b|dolly out|picture shrinks|moves? (?:back|away)\b",
}
_NEGATED = re.compile(r"\b(?:no|not|without|never|nor)\b(?:[^\w.;,]+\w+){0,3}[^\w.;,]*$")


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ClipMeasures:
    """Measurements of one clip."""

    color_shares_TK: np.ndarray
    """Fraction of the pixels of each frame that have each colour of `COLORS`."""
    lightness_T: np.ndarray
    """Mean CIELAB L* of each frame, 0 to 100."""
    camera: tuple[float, float, float] | None
    """Motion of the camera to the right and up, in frame widths a second, and growth of the picture per
    second; None for a still."""
    ways: tuple[float, float, float, float] | None
    """Fraction of the moving pixels that move left, right, up and down, against the camera; None for a still
    and if hardly anything moves."""
    times_s: tuple[float, ...]

    def strengths(self) -> np.ndarray:
        """Return the strength of each of `TERMS`, as a float32 vector in [0, 1]; NaN for unmeasured ones."""
        found_M = np.full(len(TERMS), np.nan, np.float32)
        share_K = self.color_shares_TK.max(axis=0)
        found_M[: len(COLORS)] = np.clip(np.log10(share_K + 1e-4) / 4 + 1, 0, 1)
        light = float(self.lightness_T.mean())
        found_M[_INDEX["dark"]] = np.clip((BRIGHT_L - light) / BRIGHT_L, 0, 1)
        found_M[_INDEX["bright"]] = np.clip(light / 100, 0, 1)
        moving = self.ways or (0.0, 0.0, 0.0, 0.0)
        right, up, zoom = self.camera or (0.0, 0.0, 0.0)
        for way, strength in zip(WAYS, moving, strict=True):
            found_M[_INDEX[f"moves {way}"]] = strength
        speeds = (-right, right, up, -up)
        for way, speed in zip(WAYS, speeds, strict=True):
            found_M[_INDEX[f"camera {way}"]] = np.clip(speed / 0.1, 0, 1)
        for name, growth in (("zoom in", zoom), ("zoom out", -zoom)):
            found_M[_INDEX[name]] = np.clip(growth / 0.3, 0, 1)
        speed = float(np.hypot(right, up)) + abs(zoom) / 2
        found_M[_INDEX["camera still"]] = np.clip(1 - speed / 0.1, 0, 1)
        return found_M


def measure_clip(frames_THWC: np.ndarray, times_s: Sequence[float], pairs: int = 8) -> ClipMeasures:
    """Measure colours and light in each frame, and motion between up to `pairs` pairs of frames."""
    lab_TN3 = np.stack([_lab(_small(frame_HWC)).reshape(-1, 3) for frame_HWC in frames_THWC])
    shares_TK = np.stack([_color_shares(lab_N3) for lab_N3 in lab_TN3])
    camera, ways = _motion(frames_THWC, times_s, pairs)
    return ClipMeasures(
        color_shares_TK=shares_TK,
        lightness_T=lab_TN3[..., 0].mean(axis=1),
        camera=camera,
        ways=ways,
        times_s=tuple(times_s),
    )


def terms_of(text: str) -> frozenset[str]:
    """Return the terms that a text names, those that it denies left out."""
    lowered = text.lower()
    return frozenset(
        term
        for term, pattern in _compiled().items()
        if any(not _NEGATED.search(lowered[: match.start()]) for match in pattern.finditer(lowered))
    )


def term_vector(text: str) -> np.ndarray:
    """Return the terms that a text names as a float32 vector of 0 and 1, in the order of `TERMS`."""
    found = terms_of(text)
    return np.array([term in found for term in TERMS], np.float32)


def color_labels(frame_HWC: np.ndarray) -> np.ndarray:
    """Return label_HW, the index in `COLORS` of the colour of each pixel; -1 for a colour without a name."""
    return _nearest_colors(_lab(frame_HWC).reshape(-1, 3)).reshape(frame_HWC.shape[:2])


def shown_color(measures: ClipMeasures, color: str) -> bool | None:
    """Return whether a colour shows; None if that is not certain. `color` is a word for one of `COLORS`."""
    name = SYNONYMS.get(color, color)
    names = [*COLORS]
    if name not in COLORS:
        return None
    share_T = measures.color_shares_TK[:, names.index(name)]
    if share_T.max() >= MIN_SHARE:
        return True
    near = [names.index(each) for each in _NEIGHBORS[name]]
    if measures.color_shares_TK[:, near].max() >= MIN_SHARE or share_T.max() >= NO_SHARE:
        return None
    return False


def color_time(measures: ClipMeasures, color: str) -> float:
    """Return the time of the frame that has most of a colour, in seconds."""
    index = [*COLORS].index(SYNONYMS.get(color, color))
    return measures.times_s[int(measures.color_shares_TK[:, index].argmax())]


@cache
def _compiled() -> Mapping[str, re.Pattern[str]]:
    words: dict[str, list[str]] = {color: [color] for color in COLORS}
    for word, color in SYNONYMS.items():
        words[color].append(word)
    patterns = {color: rf"\b(?:{'|'.join(names)})(?:ish)?\b" for color, names in words.items()}
    patterns |= {
        term: rf"\b(?:{pattern})\b" if term in LIGHT else pattern for term, pattern in _PATTERNS.items()
    }
    return {term: re.compile(patterns[term]) for term in TERMS}


@cache
def _prototypes() -> tuple[np.ndarray, np.ndarray]:
    """Return lab_K3 of all prototypes, and the index of the colour of each."""
    rows = [(rgb, index) for index, shades in enumerate(COLORS.values()) for rgb in shades]
    return _lab(np.array([[rgb for rgb, _ in rows]], np.uint8))[0], np.array([index for _, index in rows])


def _color_shares(lab_N3: np.ndarray) -> np.ndarray:
    label_N = _nearest_colors(lab_N3)
    return np.bincount(label_N[label_N >= 0], minlength=len(COLORS)) / len(label_N)


def _nearest_colors(lab_N3: np.ndarray) -> np.ndarray:
    """Return the index in `COLORS` of the colour of each pixel; -1 for a colour without a name."""
    prototypes_K3, colors_K = _prototypes()
    distance2_NK = (lab_N3**2).sum(1)[:, None] - 2 * lab_N3 @ prototypes_K3.T + (prototypes_K3**2).sum(1)
    return np.where(distance2_NK.min(axis=1) <= _MAX_DISTANCE**2, colors_K[distance2_NK.argmin(axis=1)], -1)


def _motion(
    frames_THWC: np.ndarray, times_s: Sequence[float], pairs: int
) -> tuple[tuple[float, float, float] | None, tuple[float, float, float, float] | None]:
    chosen = motion_pairs(times_s, pairs)
    if not chosen:
        return None, None
    cameras, moved_M2 = list[tuple[float, float, float]](), list[np.ndarray]()
    estimate = FlowEstimator("fast")
    height, width = frames_THWC.shape[1:3]
    size = (FLOW_WIDTH_PX, max(16, round(height * FLOW_WIDTH_PX / width)))
    for first, second in chosen:
        gray = [cv2.cvtColor(cv2.resize(frames_THWC[k], size), cv2.COLOR_RGB2GRAY) for k in (first, second)]
        flow_HW2 = estimate(*gray)
        (shift, growth), residual_HW = median_similarity(flow_HW2)
        scale = 1 / size[0] / (times_s[second] - times_s[first])
        cameras.append((-shift.real * scale, shift.imag * scale, growth.real * scale * size[0]))
        moving_HW = residual_HW > 2 * MOVING_PX
        moved_M2.append(flow_HW2[moving_HW] - (shift.real, shift.imag))
    right, up, zoom = np.median(np.array(cameras), axis=0).tolist()
    return (right, up, zoom), _ways(np.concatenate(moved_M2), num_pixels=size[0] * size[1] * len(chosen))


def _ways(moved_M2: np.ndarray, num_pixels: int) -> tuple[float, float, float, float] | None:
    """Return the fraction of moving pixels within 45 degrees of left, right, up and down."""
    if len(moved_M2) < max(8, num_pixels * 0.0005):
        return None
    x_M, y_M = moved_M2[:, 0], moved_M2[:, 1]
    across_M = np.abs(x_M) >= np.abs(y_M)
    masks = (across_M & (x_M < 0), across_M & (x_M > 0), ~across_M & (y_M < 0), ~across_M & (y_M > 0))
    left, right, up, down = (float(mask.mean()) for mask in masks)
    return left, right, up, down


def _small(frame_HWC: np.ndarray) -> np.ndarray:
    return cv2.resize(frame_HWC, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA)


def _lab(rgb_HWC: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(rgb_HWC.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
