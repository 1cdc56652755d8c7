"""What every analyzer sees of a frame, and the span that it is asked about."""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import cv2
import numpy as np

from pipeline.columns import Column

T = TypeVar("T")

_COARSE_PX = 40
"""A side of the coarse picture has at least so many pixels."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class FrameView:
    """One decoded frame at the analysis size."""

    index: int
    """0 for the first frame of the source."""
    time_s: float
    """Seconds since the first frame."""
    rgb_HWC: np.ndarray
    gray_HW: np.ndarray
    half_res_HWC: np.ndarray
    """The frame in RGB at half that size, if it is large enough: for who wants but a few pixels of it."""
    sampled: bool
    """One of the few frames a second that dear analyzers look at."""

    @classmethod
    def from_rgb(cls, rgb_HWC: np.ndarray, *, index: int, time_s: float, sampled: bool) -> "FrameView":
        """Return the look at a frame."""
        return cls(
            index=index,
            time_s=time_s,
            rgb_HWC=rgb_HWC,
            gray_HW=cv2.cvtColor(rgb_HWC, cv2.COLOR_RGB2GRAY),
            half_res_HWC=half_res(rgb_HWC),
            sampled=sampled,
        )


def half_res(rgb_HWC: np.ndarray) -> np.ndarray:
    """Return a picture at half its size, if it is large enough: that is quick, and makes it quick to shrink
    further."""
    height, width = rgb_HWC.shape[:2]
    if min(height, width) < 2 * _COARSE_PX:
        return rgb_HWC
    return cv2.resize(rgb_HWC, (width // 2, height // 2), interpolation=cv2.INTER_AREA)


class FrameSampler:
    """Tells which frames to look at, by their times alone: of those in one `1 / per_s` seconds, the first."""

    def __init__(self, per_s: float) -> None:
        self._per_s = per_s
        self._last = -1

    def __call__(self, time_s: float) -> bool:
        """Return whether this frame is one; to be asked about every frame, in order."""
        slot = int(time_s * self._per_s + 1e-4)
        last, self._last = self._last, slot
        return slot != last


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """Frames `start` to `end - 1` of a source, counted from 0."""

    start: int
    end: int


class FrameBuffer(Generic[T]):
    """What an analyzer keeps of some frames, in order, until their clip was told."""

    def __init__(self) -> None:
        self._at: list[int] = []
        self._values: list[T] = []

    def add(self, index: int, value: T) -> None:
        """Keep `value` of the frame `index`, which comes after all others."""
        self._at.append(index)
        self._values.append(value)

    def of(self, span: Span) -> list[T]:
        """Return what was kept of the frames of a span."""
        return self._values[bisect_left(self._at, span.start) : bisect_left(self._at, span.end)]

    def nearest(self, span: Span, frames: Sequence[float]) -> list[T]:
        """Return what was kept of those frames of a span that are nearest to each of `frames`, in order."""
        inside = range(bisect_left(self._at, span.start), bisect_left(self._at, span.end))
        if not inside:
            return []
        best = {min(inside, key=lambda at, to=to: abs(self._at[at] - to)) for to in frames}
        return [self._values[at] for at in sorted(best)]

    def total(self, size: Callable[[T], int]) -> int:
        """Return the sizes of all that is kept, together."""
        return sum(map(size, self._values))

    def decimate(self) -> bool:
        """Let go of every other frame; return whether there was more than one."""
        many = len(self._at) > 1
        self._at, self._values = self._at[::2], self._values[::2]
        return many

    def evict(self, before: int) -> None:
        """Let go of what was kept of the frames before that one."""
        gone = bisect_left(self._at, before)
        del self._at[:gone], self._values[:gone]


class Analyzer(Protocol):
    """Fed once with every frame, in order; asked about each clip as soon as its end is known."""

    COLUMNS: ClassVar[tuple[Column, ...]]
    """What `columns` returns."""

    def update(self, look: FrameView) -> None: ...

    def columns(self, span: Span) -> dict[str, Any]:
        """Return the score columns of one clip; None where there was nothing to measure."""
        ...

    def evict(self, before: int) -> None:
        """Let go of the frames before that one: no clip that is still to be told holds any."""
        ...
