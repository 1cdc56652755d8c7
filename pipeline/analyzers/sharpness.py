"""How sharp a clip is: variance of the Laplacian (Pech-Pacheco et al., 2000) over variance of luma."""

from typing import Any, ClassVar

import cv2
import numpy as np

from pipeline.analyzers.look import Column, Look, Span

_LEAST_CONTRAST = 4.0
"""Variance of luma, of 255 squared, below which a frame has nothing that could be sharp."""


class Sharpness:
    """Gives `sharpness`: the median over the sampled frames. Divided by contrast, dim is not blurred."""

    COLUMNS: ClassVar = (Column("sharpness", "float64", "variance of the Laplacian over that of luma"),)

    def __init__(self) -> None:
        self._at: list[int] = []
        self._values: list[float] = []

    def update(self, look: Look) -> None:
        if not look.sampled:
            return
        contrast = float(look.gray_HW.var())
        if contrast >= _LEAST_CONTRAST:
            self._at.append(look.index)
            self._values.append(float(cv2.Laplacian(look.gray_HW, cv2.CV_32F).var()) / contrast)

    def columns(self, span: Span) -> dict[str, Any]:
        low, high = np.searchsorted(self._at, (span.start, span.end))
        return {"sharpness": float(np.median(self._values[low:high])) if high > low else None}
