"""Amount of motion, and camera motion, from DIS optical flow (Kroeger et al., 2016)."""

from typing import Any, ClassVar

import numpy as np

from pipeline.analyze.signals import camera
from pipeline.analyze.signals.frame_view import FrameBuffer, FrameView, Span
from pipeline.columns import Column
from video.camera_motion import FlowEstimator, estimate_camera_motion


class Motion:
    """Measures optical flow between each sampled frame and the next one.

    `motion` is the mean length of the flow, in short sides per second. Pairs across a cut belong to no clip.
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
        self._flow = FlowEstimator("ultrafast")
        self._first: FrameView | None = None
        self._rates = FrameBuffer[tuple[float, tuple[float, ...] | None]]()
        """Of each pair, by its first frame and per second: motion; and `CameraMotion`, or None."""
        self._size: tuple[int, int] = (1, 1)

    def update(self, view: FrameView) -> None:
        first = self._first
        if first is not None and view.time_s > first.time_s and min(view.gray_HW.shape) >= 16:
            flow_HW2 = self._flow(first.gray_HW, view.gray_HW)
            right_HW, down_HW = flow_HW2[..., 0], flow_HW2[..., 1]
            length_px = float(np.sqrt(right_HW * right_HW + down_HW * down_HW).mean())
            duration_s = view.time_s - first.time_s
            movement = estimate_camera_motion(first.gray_HW, flow_HW2)
            self._size = view.gray_HW.shape[0], view.gray_HW.shape[1]
            motion = length_px / min(view.gray_HW.shape) / duration_s
            rates = movement and tuple(value / duration_s for value in movement)
            self._rates.add(first.index, (motion, rates))
        self._first = view if view.sampled else None

    def columns(self, span: Span) -> dict[str, Any]:
        pairs = self._rates.in_span(Span(start=span.start, end=span.end - 1))
        columns: dict[str, Any] = dict.fromkeys(column.name for column in self.COLUMNS)
        if not pairs:
            return columns
        known = [rates for _, rates in pairs if rates is not None]
        columns["motion"] = float(np.mean([motion for motion, _ in pairs]))
        if 2 * len(known) >= len(pairs):
            columns |= camera.columns_of(np.array(known), *self._size)
        return columns

    def evict(self, before: int) -> None:
        self._rates.evict(before)
