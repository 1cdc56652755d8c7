"""What analyzers share: the view of a frame, the span of a clip, and buffers of per-frame values.

Legend: H height, W width, C channels (RGB).
"""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import cv2
import numpy as np

from pipeline.columns import Column

T = TypeVar("T")

_MIN_HALF_RES_PX = 40
"""Least side of a frame at half resolution, px."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class FrameView:
    """One decoded frame at the analysis size, uint8."""

    index: int
    """0 for the first frame of the source."""
    time_s: float
    """Seconds since the first frame."""
    rgb_HWC: np.ndarray
    gray_HW: np.ndarray
    half_res_HWC: np.ndarray
    """RGB at half the analysis size, or at full size if the frame is small. Faster to downscale further."""
    sampled: bool
    """Whether costly analyzers process this frame: `samples_per_s` frames a second."""

    @classmethod
    def from_rgb(cls, rgb_HWC: np.ndarray, *, index: int, time_s: float, sampled: bool) -> "FrameView":
        """Create the view of an RGB frame."""
        return cls(
            index=index,
            time_s=time_s,
            rgb_HWC=rgb_HWC,
            gray_HW=cv2.cvtColor(rgb_HWC, cv2.COLOR_RGB2GRAY),
            half_res_HWC=half_res(rgb_HWC),
            sampled=sampled,
        )


def half_res(rgb_HWC: np.ndarray) -> np.ndarray:
    """Scale a frame to half its size, unless a side would be under 40 px."""
    height, width = rgb_HWC.shape[:2]
    if min(height, width) < 2 * _MIN_HALF_RES_PX:
        return rgb_HWC
    return cv2.resize(rgb_HWC, (width // 2, height // 2), interpolation=cv2.INTER_AREA)


class FrameSampler:
    """Samples the first frame of each interval of `1 / per_s` seconds, by time alone."""

    def __init__(self, per_s: float) -> None:
        self._per_s = per_s
        self._last_slot = -1

    def __call__(self, time_s: float) -> bool:
        """Return whether to sample the frame at `time_s`. Call for every frame, in order."""
        slot = int(time_s * self._per_s + 1e-4)
        last_slot, self._last_slot = self._last_slot, slot
        return slot != last_slot


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """Frames `start` to `end - 1` of a source, counted from 0."""

    start: int
    end: int
    end_s: float | None = None
    """When the last frame of a video ends, in seconds since the first frame; None for a still."""


class FrameBuffer(Generic[T]):
    """Values of frames in order, kept until their clip is emitted."""

    def __init__(self) -> None:
        self._indices: list[int] = []
        self._values: list[T] = []

    def add(self, index: int, value: T) -> None:
        """Append the value of frame `index`, which follows all frames in the buffer."""
        self._indices.append(index)
        self._values.append(value)

    def in_span(self, span: Span) -> list[T]:
        """Return the values of the frames of a span."""
        return self._values[bisect_left(self._indices, span.start) : bisect_left(self._indices, span.end)]

    def nearest(self, span: Span, targets: Sequence[float]) -> list[T]:
        """Return the values in a span that are nearest to the `targets`, in order and without repeats."""
        inside = range(bisect_left(self._indices, span.start), bisect_left(self._indices, span.end))
        if not inside:
            return []
        nearest = {min(inside, key=lambda i, to=target: abs(self._indices[i] - to)) for target in targets}
        return [self._values[i] for i in sorted(nearest)]

    def total(self, size: Callable[[T], int]) -> int:
        """Return the sum of `size` over all values."""
        return sum(map(size, self._values))

    def decimate(self) -> bool:
        """Drop every other value; return False if there was at most one."""
        can_decimate = len(self._indices) > 1
        self._indices, self._values = self._indices[::2], self._values[::2]
        return can_decimate

    def evict(self, before: int) -> None:
        """Drop the values of the frames before `before`."""
        end = bisect_left(self._indices, before)
        del self._indices[:end], self._values[:end]


class Analyzer(Protocol):
    """Receives every frame once, in order; returns the columns of each clip when its end is known."""

    COLUMNS: ClassVar[tuple[Column, ...]]
    """The columns that `columns` returns."""

    def update(self, view: FrameView) -> None: ...

    def columns(self, span: Span) -> dict[str, Any]:
        """Return the score columns of a clip; None where nothing could be measured."""
        ...

    def evict(self, before: int) -> None:
        """Drop what is kept of the frames before `before`; no later clip contains them."""
        ...
