"""Contact sheets: a line of frames a video, with its prompt and its verdicts.

Legend: T frames, H height, W width, C channels (RGB).
"""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

CELL_PX = 96
"""Longest side of a frame."""
FRAMES = 10
"""Most frames of a video; the first, the last and evenly spaced ones."""
LINE_PX = 15
MARGIN_PX = 8
INK, PAPER = (25, 27, 31), (251, 250, 248)
RIGHT, WRONG = (31, 95, 168), (168, 72, 13)
FONT = cv2.FONT_HERSHEY_SIMPLEX
FONT_SCALE = 0.38


class Strip(NamedTuple):
    """One line of a contact sheet."""

    title: str
    verdicts: Sequence[tuple[str, bool]]
    """What was judged, and whether it is right."""
    frames_THWC: np.ndarray


def contact_sheet(strips: Sequence[Strip]) -> np.ndarray:
    """Return a picture_HWC (RGB, uint8) of videos below each other.

    Raises:
        ValueError: without videos.
    """
    if not strips:
        raise ValueError("no videos for a contact sheet")
    lines = [_strip(strip) for strip in strips]
    width = max(line.shape[1] for line in lines)
    padded = [np.pad(line, ((0, 0), (0, width - line.shape[1]), (0, 0)), mode="edge") for line in lines]
    return np.concatenate(padded)


def png_bytes(picture_HWC: np.ndarray) -> bytes:
    """Return a picture (RGB, uint8) as PNG."""
    return cv2.imencode(".png", cv2.cvtColor(picture_HWC, cv2.COLOR_RGB2BGR))[1].tobytes()


def _strip(strip: Strip) -> np.ndarray:
    frames_THWC = strip.frames_THWC
    chosen = np.unique(np.linspace(0, len(frames_THWC) - 1, FRAMES).round().astype(int))
    height, width = frames_THWC.shape[1:3]
    scale = CELL_PX / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST
    cells = [cv2.resize(frames_THWC[t], size, interpolation=method) for t in chosen]
    line_HWC = np.full(
        (2 * LINE_PX + size[1] + 2 * MARGIN_PX, FRAMES * (CELL_PX + 4) + 2 * MARGIN_PX, 3), PAPER, np.uint8
    )
    _write(line_HWC, strip.title, MARGIN_PX, LINE_PX, INK)
    left = MARGIN_PX
    for text, right in strip.verdicts:
        left = _write(
            line_HWC, f"{'+' if right else 'x'} {text}", left, 2 * LINE_PX, RIGHT if right else WRONG
        )
    top = 2 * LINE_PX + MARGIN_PX
    for place, cell_HWC in enumerate(cells):
        begin = MARGIN_PX + place * (CELL_PX + 4)
        line_HWC[top : top + size[1], begin : begin + size[0]] = cell_HWC
    return line_HWC


def _write(picture_HWC: np.ndarray, text: str, left: int, baseline: int, color: tuple[int, int, int]) -> int:
    """Write a text, and return where the next one begins."""
    plain = text.encode("ascii", "replace").decode()
    cv2.putText(picture_HWC, plain, (left, baseline), FONT, FONT_SCALE, color, 1, cv2.LINE_AA)
    (width, _), _ = cv2.getTextSize(plain, FONT, FONT_SCALE, 1)
    return left + width + 12
