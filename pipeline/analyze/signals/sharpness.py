"""How sharp a clip is: variance of the Laplacian (Pech-Pacheco et al., 2000) over variance of luma."""

from typing import Any, ClassVar

import cv2
import numpy as np

from pipeline.analyze.signals.frame_view import FrameBuffer, FrameView, Span
from pipeline.columns import Column

_LEAST_CONTRAST = 4.0
"""Variance of luma, of 255 squared, below which a frame has nothing that could be sharp."""


class Sharpness:
    """Gives `sharpness`: the median over the sampled frames. Divided by contrast, dim is not blurred."""

    COLUMNS: ClassVar = (Column("sharpness", "float64", "variance of the Laplacian over that of luma"),)

    def __init__(self) -> None:
        self._values = FrameBuffer[float]()

    def update(self, look: FrameView) -> None:
        if not look.sampled:
            return
        contrast = _variance(look.gray_HW)
        if contrast >= _LEAST_CONTRAST:
            self._values.add(look.index, _variance(cv2.Laplacian(look.gray_HW, cv2.CV_32F)) / contrast)

    def columns(self, span: Span) -> dict[str, Any]:
        values = self._values.of(span)
        return {"sharpness": float(np.median(values)) if values else None}

    def evict(self, before: int) -> None:
        self._values.evict(before)


def _variance(values_HW: np.ndarray) -> float:
    return float(cv2.meanStdDev(values_HW)[1][0, 0]) ** 2
