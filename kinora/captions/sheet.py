"""A contact sheet of captions: the frames that the captioner saw, and the caption beside them.

Legend: H height, W width, C channels (RGB).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

FRAMES = 6
"""Most frames of a row; the first, the last and evenly spaced ones between."""
CELL_H, TEXT_W, MARGIN = 112, 520, 10
LINE_H, TITLE_SIZE, TEXT_SIZE = 19, 15, 15
INK, DIM, PAPER, RULE = (25, 27, 31), (110, 115, 124), (251, 250, 248), (222, 220, 215)
MAX_LINES = 24
_JPEG = (cv2.IMWRITE_JPEG_QUALITY, 90)
_SETTINGS = {".jpg": _JPEG, ".jpeg": _JPEG, ".png": (), ".webp": (cv2.IMWRITE_WEBP_QUALITY, 90)}
"""Endings of the pictures that can be written, and how."""
_REGULAR, _BOLD = 400, 700


@dataclass(frozen=True, kw_only=True, slots=True)
class SheetRow:
    """One caption of a sheet."""

    title: str
    about: str
    text: str
    frames_HWC: Sequence[np.ndarray]
    """RGB, uint8, of any sizes."""


def caption_sheet(rows: Sequence[SheetRow]) -> np.ndarray:
    """Return a picture_HWC (RGB, uint8) of captions below each other. Raises ValueError without rows."""
    if not rows:
        raise ValueError("no captions for a contact sheet")
    strips = [_frames(row) for row in rows]
    width = max(strip.shape[1] for strip in strips)
    return np.concatenate([_row(row, strip, width) for row, strip in zip(rows, strips, strict=True)])


def picture_kind(path: Path, flag: str = "--sheet") -> str:
    """Return the ending of a picture's path, in lower case. Raises ValueError for one that is not written."""
    if (kind := path.suffix.lower()) in _SETTINGS:
        return kind
    raise ValueError(
        f"{flag} {path}: end the name in {', '.join(_SETTINGS)}; the ending says what is written"
    )


def picture_bytes(picture_HWC: np.ndarray, kind: str) -> bytes:
    """Return a picture (RGB, uint8) as a file of `kind`, an ending of `picture_kind`."""
    bgr_HWC = cv2.cvtColor(picture_HWC, cv2.COLOR_RGB2BGR)
    return cv2.imencode(kind, bgr_HWC, _SETTINGS[kind])[1].tobytes()


def _frames(row: SheetRow) -> np.ndarray:
    """Return the frames of a row side by side, scaled to `CELL_H`."""
    if not row.frames_HWC:
        return np.full((CELL_H, CELL_H, 3), RULE, np.uint8)
    chosen = np.unique(np.linspace(0, len(row.frames_HWC) - 1, FRAMES).round().astype(int))
    gap_HWC = np.full((CELL_H, 4, 3), PAPER, np.uint8)
    cells: list[np.ndarray] = []
    for frame_HWC in (row.frames_HWC[index] for index in chosen):
        scale = CELL_H / frame_HWC.shape[0]
        size = (max(1, round(frame_HWC.shape[1] * scale)), CELL_H)
        method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        cells += [cv2.resize(frame_HWC, size, interpolation=method), gap_HWC]
    return np.concatenate(cells[:-1], axis=1)


def _row(row: SheetRow, strip_HWC: np.ndarray, width: int) -> np.ndarray:
    """Return one row: frames on the left in `width` pixels, texts on the right, a rule below."""
    lines = _wrapped(row.text)
    height = max(CELL_H, LINE_H * (len(lines) + 2)) + 2 * MARGIN
    row_HWC = np.full((height, width + TEXT_W + 3 * MARGIN, 3), PAPER, np.uint8)
    row_HWC[-1] = RULE
    row_HWC[MARGIN : MARGIN + CELL_H, MARGIN : MARGIN + strip_HWC.shape[1]] = strip_HWC
    left, top = width + 2 * MARGIN, MARGIN + TITLE_SIZE
    _write(row_HWC, row.title, left, top, INK, weight=_BOLD)
    _write(row_HWC, row.about, left, top + LINE_H, DIM)
    for number, line in enumerate(lines):
        _write(row_HWC, line, left, top + (number + 2) * LINE_H, INK)
    return row_HWC


def _wrapped(text: str) -> list[str]:
    """Break a text into lines of `TEXT_W` pixels, at spaces where there are any; `MAX_LINES` at most."""
    lines: list[str] = []
    for paragraph in text.splitlines() or [""]:
        line = ""
        for word in _pieces(paragraph):
            if line and _width(line + word) > TEXT_W:
                lines.append(line.strip())
                line = ""
            line += word
        lines.append(line.strip())
    return lines if len(lines) <= MAX_LINES else [*lines[: MAX_LINES - 1], f"{lines[MAX_LINES - 1]} …"]


def _pieces(text: str) -> list[str]:
    """Return the words with their spaces; the characters of a word that is wider than a line."""
    words = [f"{word} " for word in text.split(" ")]
    return [piece for word in words for piece in (word if _width(word) > TEXT_W else [word])]


def _width(text: str) -> int:
    left, _, width, _ = cv2.getTextSize((0, 0), text, (0, 0), _face(), TEXT_SIZE, _REGULAR)
    return left + width


def _write(
    picture_HWC: np.ndarray, text: str, left: int, baseline: int, color: Sequence[int], weight: int = _REGULAR
) -> None:
    cv2.putText(picture_HWC, text, (left, baseline), tuple(color), _face(), TEXT_SIZE, weight)


def _face() -> "cv2.FontFace":
    return cv2.FontFace("sans")
