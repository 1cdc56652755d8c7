"""Apply one of four visual styles to a rendered world, and undo the night style for judging.

`flat` changes nothing. `outline` draws a line around each thing: dark, or light on a dark ground. `textured`
adds a low-contrast pattern that moves with its thing and keeps the median colour. `night` makes all colours
darker and bluish.

Judges accept all styles: outlines lie outside of things, the texture is weaker than the distance between any
two named colours, and `undo_night` detects and reverts the night style.

Legend: T frames, H height, W width, C channels (RGB).
"""

import math

import cv2
import numpy as np

from worlds.family import Rendered
from worlds.palette import STYLES

DARK_INK, LIGHT_INK = (16, 16, 16), (238, 238, 238)
DARK_LUMA = 72.0
"""Grounds with a luma (0 to 255) below this get light ink."""
LINE_SHARE = 1 / 72
"""Line width in short sides; at least one pixel."""
TEXTURE_LEVELS = 13.0
"""Amplitude of a texture, of 255."""
TEXTURES = ("stripes", "checks", "grain")
NIGHT_GAIN_C = np.array([0.40, 0.44, 0.58], np.float32)
NIGHT_LIFT_C = np.array([4.0, 5.0, 20.0], np.float32)
BRIGHTEST_NIGHT_C = np.array([150, 134, 184], np.uint8)
"""Maximum colour at night: white becomes (102, 113, 163), and lossy coding makes parts of it brighter. By day
every thing colour but purple has a channel above it."""
REDDEST_NIGHT = 98
"""Maximum of red minus green at night: 78 for red at night, 120 for purple by day."""
DAY_SHARE = 0.002
"""Minimum fraction of pixels (at half resolution) beyond the night's maximum by day. After H.264 at crf 28,
nights had at most 0.0014, days at least 0.003."""


def apply_style(rendered: Rendered, style: str, seed: int) -> np.ndarray:
    """Return frames_THWC (RGB, uint8) of a rendering in one of `STYLES`.

    Args:
        seed: selects the textures.
    """
    if style == "flat":
        return rendered.frames_THWC
    if style == "outline":
        return _add_outlines(rendered)
    if style == "textured":
        return _add_textures(rendered, seed)
    if style == "night":
        return _apply_gain_and_lift(rendered.frames_THWC, NIGHT_GAIN_C, NIGHT_LIFT_C)
    raise ValueError(f"unknown style {style!r}: use one of {', '.join(STYLES)}")


def undo_night(frames_THWC: np.ndarray) -> np.ndarray:
    """Revert the night style; return other frames unchanged."""
    if not is_night(frames_THWC):
        return frames_THWC
    return _apply_gain_and_lift(frames_THWC, 1 / NIGHT_GAIN_C, -NIGHT_LIFT_C / NIGHT_GAIN_C)


def is_night(frames_THWC: np.ndarray) -> bool:
    """Return whether a video is in the night style, by its brightest and reddest pixels."""
    half = (max(1, frames_THWC.shape[2] // 2), max(1, frames_THWC.shape[1] // 2))
    soft_THWC = np.stack([cv2.resize(frame, half, interpolation=cv2.INTER_AREA) for frame in frames_THWC])
    red_THW, green_THW = soft_THWC[..., 0].astype(np.int16), soft_THWC[..., 1]
    day_THW = (soft_THWC > BRIGHTEST_NIGHT_C).any(axis=-1) | (red_THW - green_THW > REDDEST_NIGHT)
    return float(day_THW.mean()) < DAY_SHARE


def _apply_gain_and_lift(frames_THWC: np.ndarray, gain_C: np.ndarray, lift_C: np.ndarray) -> np.ndarray:
    """Return gain * value + lift for each channel, by table lookup."""
    table_VC = np.arange(256, dtype=np.float32)[:, None] * gain_C + lift_C
    table_VC = np.clip(np.rint(table_VC), 0, 255).astype(np.uint8)
    changed_NWC = cv2.LUT(frames_THWC.reshape(-1, *frames_THWC.shape[2:]), table_VC[:, None])
    return changed_NWC.reshape(frames_THWC.shape)


def _add_outlines(rendered: Rendered) -> np.ndarray:
    """Draw outlines on pixels next to a higher label than their own."""
    frames_THWC, labels_THW = rendered
    width_px = max(1, round(LINE_SHARE * min(labels_THW.shape[1:])))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * width_px + 1, 2 * width_px + 1))
    ink_MC = np.zeros((256, 3), np.uint8)
    for label, median_C in _median_colors(rendered).items():
        ink_MC[label] = LIGHT_INK if median_C @ (0.299, 0.587, 0.114) < DARK_LUMA else DARK_INK
    lined_THWC = frames_THWC.copy()
    for lined_HWC, labels_HW in zip(lined_THWC, labels_THW, strict=True):
        line_HW = cv2.dilate(labels_HW, kernel) > labels_HW
        lined_HWC[line_HW] = ink_MC[labels_HW[line_HW]]
    return lined_THWC


def _median_colors(rendered: Rendered) -> dict[int, np.ndarray]:
    """Return the median colour of each label over every eighth frame that shows it."""
    medians = {}
    for label in np.unique(rendered.labels_THW):
        frames_N = np.flatnonzero((rendered.labels_THW == label).any(axis=(1, 2)))[::8]
        pixels_PC = rendered.frames_THWC[frames_N][rendered.labels_THW[frames_N] == label]
        medians[int(label)] = np.median(pixels_PC, axis=0)
    return medians


def _add_textures(rendered: Rendered, seed: int) -> np.ndarray:
    """Add a pattern to each label that moves with its centre; that of the background is static."""
    frames_THWC, labels_THW = rendered
    draw = np.random.default_rng([seed, 0x7E87])
    added_THW = np.zeros(labels_THW.shape, np.int16)
    for label in range(int(labels_THW.max()) + 1):
        pattern_HW = _pattern(draw, labels_THW.shape[1], labels_THW.shape[2])
        mask_THW = labels_THW == label
        if label == 0:
            np.copyto(added_THW, pattern_HW, where=mask_THW)
            continue
        center_T2 = _centers(mask_THW)
        largest = int(mask_THW.sum(axis=(1, 2)).argmax())
        shown_P = np.roll(pattern_HW, center_T2[largest], axis=(0, 1))[mask_THW[largest]]
        pattern_HW = pattern_HW - np.int16(np.median(shown_P)) if len(shown_P) else pattern_HW
        for index in np.flatnonzero(mask_THW.any(axis=(1, 2))):
            moved_HW = np.roll(pattern_HW, center_T2[index], axis=(0, 1))
            np.copyto(added_THW[index], moved_HW, where=mask_THW[index])
    return np.clip(frames_THWC.astype(np.int16) + added_THW[..., None], 0, 255).astype(np.uint8)


def _centers(mask_THW: np.ndarray) -> np.ndarray:
    """Return the centre (row, column) of each mask in whole pixels, also for masks that wrap around."""
    centers = []
    for axis, other in ((1, 2), (2, 1)):
        size = mask_THW.shape[axis]
        angle_S = 2 * math.pi * np.arange(size) / size
        turned_T = mask_THW.sum(axis=other) @ np.exp(1j * angle_S)
        centers.append(np.rint(np.angle(turned_T) * size / (2 * math.pi)).astype(int))
    return np.stack(centers, axis=1)


def _pattern(draw: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Return a random pattern as int16, with a median near zero."""
    kind, unit = draw.choice(TEXTURES), max(2.5, min(height, width) / draw.uniform(9, 16))
    rows, columns = np.indices((height, width))
    angle = draw.uniform(0, math.pi)
    if kind == "grain":
        coarse_HW = draw.normal(0, 1, (height, width)).astype(np.float32)
        wave_HW = cv2.GaussianBlur(coarse_HW, (0, 0), unit / 4)
        wave_HW = np.clip(wave_HW / (2 * wave_HW.std() + 1e-9), -1, 1)
    else:
        along_HW = rows * math.sin(angle) + columns * math.cos(angle)
        across_HW = rows * math.cos(angle) - columns * math.sin(angle)
        wave_HW = np.sin(2 * math.pi * along_HW / unit)
        wave_HW = wave_HW * np.sin(2 * math.pi * across_HW / unit) if kind == "checks" else wave_HW
    return np.rint(TEXTURE_LEVELS * wave_HW).astype(np.int16)
