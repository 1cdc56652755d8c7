"""How much moves in a clip, and how the camera does: DIS optical flow (Kroeger et al., 2016) on a few
pairs of frames a second."""

from typing import Any, ClassVar

import cv2
import numpy as np

from pipeline.analyze.signals import camera
from pipeline.analyze.signals.frame_view import FrameBuffer, FrameView, Span
from pipeline.columns import Column


class Motion:
    """Gives `motion`: mean length of the flow, in short sides per second, over the sampled pairs.

    A pair is a sampled frame and the one after it; a pair that spans a cut belongs to no clip.
    """

    COLUMNS: ClassVar = (
        Column("motion", "float64", "mean flow, short sides per second"),
        Column("camera", "string", "how the camera moves, a class"),
        Column("pan", "float64", "camera to the right, widths per second"),
        Column("tilt", "float64", "camera up, heights per second"),
        Column("zoom", "float64", "growth of the picture per second"),
        Column("roll", "float64", "camera clockwise, degrees per second"),
        Column("shake", "float64", "unsteadiness, short sides per second"),
        Column("object_motion", "float64", "flow beside the camera's, short sides per second"),
    )

    def __init__(self) -> None:
        self._flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
        self._first: FrameView | None = None
        self._rates = FrameBuffer[tuple[float, tuple[float, ...] | None]]()
        """Motion; and pan, tilt, zoom, roll and what is left over, None where the picture does not tell them.
        All per second, by the first frame of each pair."""
        self._size: tuple[int, int] = (1, 1)

    def update(self, look: FrameView) -> None:
        first = self._first
        if first is not None and look.time_s > first.time_s and min(look.gray_HW.shape) >= 16:
            flow_HW2 = self._flow.calc(first.gray_HW, look.gray_HW, np.empty((0, 0), np.float32))
            right_HW, down_HW = flow_HW2[..., 0], flow_HW2[..., 1]
            length_px = float(np.sqrt(right_HW * right_HW + down_HW * down_HW).mean())
            seconds = look.time_s - first.time_s
            moved = camera.fit(first.gray_HW, flow_HW2)
            self._size = look.gray_HW.shape[0], look.gray_HW.shape[1]
            motion = length_px / min(look.gray_HW.shape) / seconds
            self._rates.add(first.index, (motion, moved and tuple(value / seconds for value in moved)))
        self._first = look if look.sampled else None

    def columns(self, span: Span) -> dict[str, Any]:
        pairs = self._rates.of(Span(start=span.start, end=span.end - 1))
        empty = dict.fromkeys(column.name for column in self.COLUMNS)
        if not pairs:
            return empty
        known = [moved for _, moved in pairs if moved is not None]
        moves = camera.columns_of(np.array(known), *self._size) if 2 * len(known) >= len(pairs) else {}
        return empty | {"motion": float(np.mean([motion for motion, _ in pairs]))} | moves

    def evict(self, before: int) -> None:
        self._rates.evict(before)
