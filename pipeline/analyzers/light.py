"""How bright a clip is, how much of it is black, and how much of it stands still."""

from typing import Any, ClassVar

import cv2
import numpy as np

from pipeline.analyzers.look import Column, Look, Span

_DARK = 32
"""Luma below this, of 255, is dark."""
_BLACK_SHARE = 0.998
"""A frame is black when this share of its pixels is dark: a small bright thing on black is none."""
_SAME = 0.25
"""Two frames are the same when their mean difference in luma is below this, of 255."""


class Light:
    """Gives `brightness` (mean luma, 0 to 1), `black` and `static` (shares of frames, 0 to 1)."""

    COLUMNS: ClassVar = (
        Column("brightness", "float64", "mean luma, 0 to 1"),
        Column("black", "float64", "share of frames that are black, 0 to 1"),
        Column("static", "float64", "share of frames that repeat the one before, 0 to 1"),
    )

    def __init__(self) -> None:
        self._luma: list[float] = []
        self._black: list[bool] = []
        self._change: list[float] = []
        """Mean difference from the frame before, of 255."""
        self._last_HW: np.ndarray | None = None

    def update(self, look: Look) -> None:
        gray_HW = look.gray_HW
        dark = int(np.count_nonzero(gray_HW < _DARK))
        self._luma.append(cv2.mean(gray_HW)[0] / 255)
        self._black.append(dark >= _BLACK_SHARE * gray_HW.size)
        last_HW = gray_HW if self._last_HW is None else self._last_HW
        self._change.append(cv2.norm(gray_HW, last_HW, cv2.NORM_L1) / gray_HW.size)
        self._last_HW = gray_HW

    def columns(self, span: Span) -> dict[str, Any]:
        change = self._change[span.start + 1 : span.end]
        return {
            "brightness": float(np.mean(self._luma[span.start : span.end])),
            "black": float(np.mean(self._black[span.start : span.end])),
            "static": float(np.mean(np.array(change) < _SAME)) if change else None,
        }
