"""Borders round the picture (letterbox, pillarbox): flat and of one colour while the inside is not.

A row of a border has one luma in all sampled frames of a clip. Where the border ends, the picture must begin
along most of the row at once: a dark scene ends at things here and there, and is no border.

Legend: H height, W width; L lines, counted from a side inwards.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import cv2
import numpy as np

from pipeline.analyze.signals.frame_view import FrameBuffer, FrameView, Span
from pipeline.columns import Column

_TOLERANCE = 8
"""Luma may differ from the border's by this, of 255: compression is not exact."""
_SPECKS = 0.01
"""Share of a line's pixels that may differ all the same."""
_EDGE = 0.5
"""Share of the picture's first line that must differ from the border, at one time or another."""
_LEAST = 0.015
"""A border thinner than this share of the frame is none."""
_MOST = 0.42
"""A border takes at most this share of the frame."""
_MOST_ALONE = 0.25
"""The same where there is none on the other side."""


@dataclass(frozen=True, slots=True)
class _Side:
    """What one sampled frame shows from one side."""

    luma: float
    """Of the outermost line."""
    differs_L: np.ndarray
    """Share of each line's pixels that differ from it, 0 to 1, as uint8 of 255."""


class Borders:
    """Gives the borders as fractions of the frame; 0 where there is none."""

    COLUMNS: ClassVar = (
        Column("border_top", "float64", "border above the picture, of the height"),
        Column("border_bottom", "float64", "border below the picture, of the height"),
        Column("border_left", "float64", "border left of the picture, of the width"),
        Column("border_right", "float64", "border right of the picture, of the width"),
    )

    def __init__(self, analysis_width_px: int) -> None:
        """Args:
        analysis_width_px: frames of this width may have been scaled down. The border of such a frame may end
            inside a line, so one line more is counted: nothing of a border is left.
        """
        self._width, self._scaled = analysis_width_px, False
        self._sides = FrameBuffer[tuple[_Side | None, ...]]()

    def update(self, look: FrameView) -> None:
        if look.sampled and min(look.gray_HW.shape) >= 8:
            self._scaled = look.gray_HW.shape[1] == self._width
            self._sides.add(look.index, sides_of(look.gray_HW))

    def columns(self, span: Span) -> dict[str, Any]:
        frames = self._sides.of(span)
        names = [column.name for column in self.COLUMNS]
        if not frames:
            return dict.fromkeys(names)
        found = [border_of([frame[side] for frame in frames], self._scaled) for side in range(4)]
        for one, other in ((0, 1), (1, 0), (2, 3), (3, 2)):
            if found[one] > _MOST_ALONE and not found[other]:
                found[one] = 0.0
        return dict(zip(names, found, strict=True))

    def evict(self, before: int) -> None:
        self._sides.evict(before)


def sides_of(gray_HW: np.ndarray) -> tuple[_Side | None, ...]:
    """Return what a frame of at least 8 x 8 shows from the top, the bottom, the left and the right; None
    where its outermost line alone tells that there is no border."""
    views = (gray_HW, gray_HW[::-1], gray_HW.T, gray_HW.T[::-1])
    return tuple(_look_from(view) if _may_have(view) else None for view in views)


def _look_from(gray_LN: np.ndarray) -> _Side:
    num_lines = int(gray_LN.shape[0] * _MOST) + 3
    lines = gray_LN[:num_lines].astype(np.int16)
    luma = float(np.median(lines[0]))
    difference = np.abs(lines - round(luma))
    share_L = (difference > _TOLERANCE).mean(axis=1)
    padded = np.full(gray_LN.shape[0], 255, np.uint8)
    padded[:num_lines] = np.ceil(share_L * 255)
    return _Side(luma, padded)


def _may_have(gray_LN: np.ndarray) -> bool:
    """Return whether the outermost line is of one luma, but for specks."""
    low, high, _, _ = cv2.minMaxLoc(gray_LN[0])
    if high - low <= _TOLERANCE:
        return True
    line_N = gray_LN[0].astype(np.int16)
    middle = len(line_N) // 2
    differing = np.count_nonzero(np.abs(line_N - np.partition(line_N, middle)[middle]) > _TOLERANCE)
    return bool(np.ceil(differing / len(line_N) * 255) / 255 <= _SPECKS)


def border_of(sides: Sequence[_Side | None], scaled: bool) -> float:
    """Return the border on one side as a fraction, from the clip's sampled frames."""
    frames = [side for side in sides if side is not None]
    if len(frames) < len(sides):
        return 0.0
    lumas = [frame.luma for frame in frames]
    if max(lumas) - min(lumas) > _TOLERANCE:
        return 0.0
    differs_L = np.max([frame.differs_L for frame in frames], axis=0) / 255
    num_lines = len(differs_L)
    edge = int(np.argmax(differs_L > _SPECKS))
    if edge < max(1, _LEAST * num_lines) or edge > _MOST * num_lines:
        return 0.0
    if differs_L[edge : edge + 3].max() < _EDGE:
        return 0.0
    return (edge + int(scaled)) / num_lines
