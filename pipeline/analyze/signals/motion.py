"""Amount of motion, and camera motion, from DIS optical flow (Kroeger et al., 2016)."""

from typing import Any, ClassVar

import numpy as np

from pipeline.analyze.signals import camera
from pipeline.analyze.signals.frame_view import FrameBuffer, FrameView, Span
from pipeline.analyze.signals.standing import PictureChanges
from pipeline.columns import Column
from video.camera_motion import FlowEstimator, estimate_camera_motion

_MIN_PAIR_S = 0.03
"""Least time between the two frames of a pair, seconds: flow of much less than a pixel is not exact."""


class Motion:
    """Measures optical flow between pictures: in each interval of the sampler, from the first new one to the
    next.

    A drawing that is held for some frames is one picture, and counts from when it appears. Where the picture
    stands for the whole interval, its first frame is compared with the next interval's. `motion` is the mean
    length of the flow, in short sides per second. Pairs across a cut belong to no clip.
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
        self._begins = PictureChanges()
        self._first: FrameView | None = None
        """First frame of the pair that is not complete."""
        self._awaits_picture = False
        """Whether no new picture has begun in this interval."""
        self._pairs = FrameBuffer[tuple[int, float, tuple[float, ...] | None]]()
        """By the first frame of a pair: the second; per second, motion; and `CameraMotion`, or None."""
        self._size: tuple[int, int] = (1, 1)

    def update(self, view: FrameView) -> None:
        begins, first = self._begins(view.gray_HW), self._first
        if first is not None and (
            view.sampled
            or (begins and not self._awaits_picture and view.time_s - first.time_s >= _MIN_PAIR_S)
        ):
            self._measure(first, view)
            self._first = None
        if view.sampled:
            self._first, self._awaits_picture = view, not begins
        elif begins and self._awaits_picture:
            self._first, self._awaits_picture = view, False

    def _measure(self, first: FrameView, second: FrameView) -> None:
        duration_s = second.time_s - first.time_s
        if duration_s < _MIN_PAIR_S or min(second.gray_HW.shape) < 16:
            return
        flow_HW2 = self._flow(first.gray_HW, second.gray_HW)
        right_HW, down_HW = flow_HW2[..., 0], flow_HW2[..., 1]
        length_px = float(np.sqrt(right_HW * right_HW + down_HW * down_HW).mean())
        movement = estimate_camera_motion(first.gray_HW, flow_HW2)
        self._size = second.gray_HW.shape[0], second.gray_HW.shape[1]
        motion = length_px / min(second.gray_HW.shape) / duration_s
        rates = movement and tuple(value / duration_s for value in movement)
        self._pairs.add(first.index, (second.index, motion, rates))

    def columns(self, span: Span) -> dict[str, Any]:
        pairs = [pair for pair in self._pairs.in_span(span) if pair[0] < span.end]
        columns: dict[str, Any] = dict.fromkeys(column.name for column in self.COLUMNS)
        if not pairs:
            return columns
        known = [rates for _, _, rates in pairs if rates is not None]
        columns["motion"] = float(np.mean([motion for _, motion, _ in pairs]))
        if 2 * len(known) >= len(pairs):
            columns |= camera.columns_of(np.array(known), *self._size)
        return columns

    def evict(self, before: int) -> None:
        self._pairs.evict(before)
