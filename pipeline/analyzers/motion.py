"""How much moves in a clip: DIS optical flow (Kroeger et al., 2016) on a few pairs of frames a second."""

from typing import Any, ClassVar

import cv2
import numpy as np

from pipeline.analyzers.look import Column, Look, Span


class Motion:
    """Gives `motion`: mean length of the flow, in short sides per second, over the sampled pairs.

    A pair is a sampled frame and the one after it; a pair that spans a cut belongs to no clip.
    """

    COLUMNS: ClassVar = (Column("motion", "float64", "mean flow, short sides per second"),)

    def __init__(self) -> None:
        self._flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
        self._first: Look | None = None
        self._at: list[int] = []
        self._values: list[float] = []

    def update(self, look: Look) -> None:
        first = self._first
        if first is not None and look.time_s > first.time_s and min(look.gray_HW.shape) >= 16:
            flow_HW2 = self._flow.calc(first.gray_HW, look.gray_HW, np.empty((0, 0), np.float32))
            length_px = float(np.hypot(flow_HW2[..., 0], flow_HW2[..., 1]).mean())
            self._at.append(first.index)
            self._values.append(length_px / min(look.gray_HW.shape) / (look.time_s - first.time_s))
        self._first = look if look.sampled else None

    def columns(self, span: Span) -> dict[str, Any]:
        low, high = np.searchsorted(self._at, (span.start, span.end - 1))
        return {"motion": float(np.mean(self._values[low:high])) if high > low else None}
