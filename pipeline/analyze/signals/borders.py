"""Borders around the picture (letterbox, pillarbox, thin edges): black lines in all sampled frames of a clip.

A border ends where most of a line differs from it at once. A dark scene ends gradually, and is not a border;
nor is a thick black part at one side only, such as a night sky or a table.

Legend: H height, W width; L lines counted from one side inwards, N pixels of a line.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import cv2
import numpy as np

from pipeline.analyze.signals.frame_view import FrameBuffer, FrameView, Span
from pipeline.columns import Column

_TOLERANCE = 8
"""Luma in a border varies by at most this, of 255: compression is lossy."""
_CLEAN_LUMA, _CLEAN_TOLERANCE = 2, 3
"""Greatest luma of a border that is as black as it can be, and what it then varies by at most."""
_MAX_OUTLIERS = 0.01
"""Share of a border line's pixels that may exceed the tolerance."""
_MIN_EDGE = 0.5
"""Share of the picture's outermost lines that must differ from the border in at least one frame."""
_RINGING = 5
"""Lines of a border that compression may change, next to the picture."""
_MAX_LUMA = 24
"""Greatest luma of a black border, of 255."""
_MAX_BORDER = 0.42
"""Greatest thickness of a border, as a share of the frame."""
_MAX_ONE_SIDED = 0.03
"""Greatest thickness of a border without one on the opposite side, as a share of the frame."""
_MAX_MARKED = 0.5
"""Share of a line's pixels that a subtitle in a border may cover, in the frame in which it covers most."""
_MAX_ASYMMETRY = 0.35
"""A border with a subtitle in it differs from the opposite one by at most this share of its thickness."""


@dataclass(frozen=True, slots=True)
class _Side:
    """Lines of one sampled frame, seen from one side."""

    luma: float
    """Median of the outermost line."""
    differs_L: np.ndarray
    """Share of each line's pixels that differ from it, as uint8 of 255."""


class Borders:
    """Measures the borders as fractions of the frame; 0 without a border."""

    COLUMNS: ClassVar = (
        Column("border_top", "float64", "border above the picture, of the height"),
        Column("border_bottom", "float64", "border below the picture, of the height"),
        Column("border_left", "float64", "border left of the picture, of the width"),
        Column("border_right", "float64", "border right of the picture, of the width"),
    )

    def __init__(self, analysis_width_px: int) -> None:
        """Args:
        analysis_width_px: frames of this width may have been scaled down, so that a border can end inside a
            line. Their borders are extended by one line.
        """
        self._width, self._scaled = analysis_width_px, False
        self._sides = FrameBuffer[tuple[_Side | None, ...]]()

    def update(self, view: FrameView) -> None:
        if view.sampled and min(view.gray_HW.shape) >= 8:
            self._scaled = view.gray_HW.shape[1] == self._width
            self._sides.add(view.index, sides_of(view.gray_HW))

    def columns(self, span: Span) -> dict[str, Any]:
        frames = self._sides.in_span(span)
        names = [column.name for column in self.COLUMNS]
        if not frames:
            return dict.fromkeys(names)
        sides = [[frame[side] for frame in frames] for side in range(4)]
        borders = [_border_of(each, self._scaled) for each in sides]
        for side, opposite in ((0, 1), (1, 0), (2, 3), (3, 2)):
            if borders[side] > _MAX_ONE_SIDED and not borders[opposite]:
                borders[opposite] = _marked_border(sides[opposite], borders[side], self._scaled)
                borders[side] *= borders[opposite] > 0
        return dict(zip(names, borders, strict=True))

    def evict(self, before: int) -> None:
        self._sides.evict(before)


def sides_of(gray_HW: np.ndarray, *, clean: bool = False) -> tuple[_Side | None, ...]:
    """Return top, bottom, left and right of a frame of 8 x 8 px or more; None where no border is possible.

    Args:
        clean: tell the blackest border from a picture that is nearly black.
    """
    views = (gray_HW, gray_HW[::-1], gray_HW.T, gray_HW.T[::-1])
    return tuple(_side_of(view, clean) if _is_uniform(view[0]) else None for view in views)


def _side_of(gray_LN: np.ndarray, clean: bool) -> _Side:
    num_lines = int(gray_LN.shape[0] * _MAX_BORDER) + 3
    lines = gray_LN[:num_lines].astype(np.int16)
    luma = float(np.median(lines[0]))
    difference = np.abs(lines - round(luma))
    tolerance = _CLEAN_TOLERANCE if clean and luma <= _CLEAN_LUMA else _TOLERANCE
    share_L = (difference > tolerance).mean(axis=1)
    padded = np.full(gray_LN.shape[0], 255, np.uint8)
    padded[:num_lines] = np.ceil(share_L * 255)
    return _Side(luma, padded)


def _is_uniform(line_N: np.ndarray) -> bool:
    """Return whether a line has one luma, up to outliers."""
    low, high, _, _ = cv2.minMaxLoc(line_N)
    if high - low <= _TOLERANCE:
        return True
    luma_N = line_N.astype(np.int16)
    middle = len(luma_N) // 2
    differing = np.count_nonzero(np.abs(luma_N - np.partition(luma_N, middle)[middle]) > _TOLERANCE)
    return bool(np.ceil(differing / len(luma_N) * 255) / 255 <= _MAX_OUTLIERS)


def _border_of(sides: Sequence[_Side | None], scaled: bool) -> float:
    """Return the border on one side of a clip as a fraction, from its sampled frames."""
    differs_L = _differs_most(sides)
    return 0.0 if differs_L is None else _thickness(differs_L, _MAX_OUTLIERS, scaled)


def frame_borders_of(sides: Sequence[_Side | None], scaled: bool) -> list[float]:
    """Return the borders of one frame as fractions: the lines before the first that differs.

    The last few of these may differ in part, as compression leaves them. Opposite borders are of about one
    luma; where a subtitle is in one, or the picture is of its color, it is as thick as the other. Only a thin
    black one may be alone.

    Args:
        sides: top, bottom, left and right.
    """
    edges = [*_opposite_edges(*sides[:2]), *_opposite_edges(*sides[2:])]
    return [
        (edge + int(scaled)) / len(side.differs_L) if side is not None and edge else 0.0
        for side, edge in zip(sides, edges, strict=True)
    ]


def _opposite_edges(first: _Side | None, second: _Side | None) -> list[int]:
    """Return how many lines of two opposite sides are border."""
    sides = (first, second)
    edges = [0 if side is None else _edge_of(side.differs_L) for side in sides]
    if first is not None and second is not None:
        lumas = first.luma, second.luma
        if abs(lumas[0] - lumas[1]) <= _TOLERANCE or max(lumas) <= _MAX_LUMA:
            for at, side in enumerate((first, second)):
                if not edges[at] and _is_plain(side.differs_L, edges[1 - at], _MAX_MARKED):
                    edges[at] = edges[1 - at]
            if all(edges):
                return edges
    return [
        edge
        if side is not None and side.luma <= _MAX_LUMA and edge <= _MAX_ONE_SIDED * len(side.differs_L)
        else 0
        for side, edge in zip(sides, edges, strict=True)
    ]


def _edge_of(differs_L: np.ndarray) -> int:
    """Return the first line of which most differs, if the lines before are a border; else 0."""
    edge = int(np.argmax(differs_L >= 255 * _MIN_EDGE))
    return edge if edge <= _MAX_BORDER * len(differs_L) and _is_plain(differs_L, edge, _MAX_OUTLIERS) else 0


def _is_plain(differs_L: np.ndarray, num_lines: int, max_outliers: float) -> bool:
    """Return whether lines have few outliers but for those next to the picture."""
    return bool((differs_L[: max(0, num_lines - _RINGING)] <= 255 * max_outliers).all())


def _marked_border(sides: Sequence[_Side | None], opposite: float, scaled: bool) -> float:
    """Return a border with a subtitle in it, if it is about as thick as the `opposite` one; else 0."""
    differs_L = _differs_most(sides)
    border = 0.0 if differs_L is None else _thickness(differs_L, _MAX_MARKED, scaled)
    return border if abs(border - opposite) <= _MAX_ASYMMETRY * opposite else 0.0


def _differs_most(sides: Sequence[_Side | None]) -> np.ndarray | None:
    """Return the share of each line's pixels that differ from the outermost line, in the frame where most do.

    None if that line is not black, or not of one luma, the same in all frames.
    """
    frames = [side for side in sides if side is not None]
    if len(frames) < len(sides):
        return None
    lumas = [frame.luma for frame in frames]
    if max(lumas) - min(lumas) > _TOLERANCE or max(lumas) > _MAX_LUMA:
        return None
    return np.max([frame.differs_L for frame in frames], axis=0) / 255


def _thickness(differs_L: np.ndarray, max_outliers: float, scaled: bool) -> float:
    """Return the share of lines before the first with more outliers, if the picture starts there at once."""
    num_lines = len(differs_L)
    edge = int(np.argmax(differs_L > max_outliers))
    if not edge or edge > _MAX_BORDER * num_lines or differs_L[edge : edge + 3].max() < _MIN_EDGE:
        return 0.0
    return (edge + int(scaled)) / num_lines
