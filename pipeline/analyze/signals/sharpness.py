"""Sharpness: variance of the Laplacian (Pech-Pacheco et al., 2000) over variance of luma."""

from typing import Any, ClassVar

import cv2
import numpy as np

from pipeline.analyze.signals.frame_view import FrameBuffer, FrameView, Span
from pipeline.columns import Column

_MIN_CONTRAST = 4.0
"""Variance of luma, of 255 squared, below which sharpness is undefined."""


class Sharpness:
    """Measures the median sharpness of sampled frames. Division by contrast makes dim frames comparable."""

    COLUMNS: ClassVar = (Column("sharpness", "float64", "variance of the Laplacian over that of luma"),)

    def __init__(self) -> None:
        self._values = FrameBuffer[float]()

    def update(self, view: FrameView) -> None:
        if not view.sampled:
            return
        contrast = _variance(view.gray_HW)
        if contrast >= _MIN_CONTRAST:
            self._values.add(view.index, _variance(cv2.Laplacian(view.gray_HW, cv2.CV_32F)) / contrast)

    def columns(self, span: Span) -> dict[str, Any]:
        values = self._values.in_span(span)
        return {"sharpness": float(np.median(values)) if values else None}

    def evict(self, before: int) -> None:
        self._values.evict(before)


def _variance(values_HW: np.ndarray) -> float:
    return float(cv2.meanStdDev(values_HW)[1][0, 0]) ** 2
