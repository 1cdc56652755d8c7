"""Brightness, exposure, black, blank and repeated frames, and flashes.

Legend: T frames, H height, W width.
"""

from typing import Any, ClassVar, NamedTuple

import cv2
import numpy as np

from pipeline.analyze.signals.frame_view import FrameBuffer, FrameView, Span
from pipeline.columns import Column

_DARK = 32
"""Luma below this, of 255, is dark."""
_BLACK_SHARE = 0.998
"""A frame is black if this share of its pixels is dark; a small bright object on black is content."""
_MAX_REPEAT_CHANGE = 0.25
"""A frame repeats the previous one if their mean difference in luma is below this, of 255."""
_MAX_BLANK_STD = 1.5
"""A frame is blank if the standard deviation of its luma and of each channel is below this, of 255."""
_UNDEREXPOSED, _OVEREXPOSED = 16, 250
"""Luma at or below the first, or at or above the second, is clipped, of 255."""
_FLASH_RISE = 0.14
_MIN_FLASH_RISE, _MAX_FLASH_RISE = 0.02, 0.12
"""A flash brightens by `_FLASH_RISE` of the distance to white, bounded by these two, of 1."""
_MAX_FLASH_S = 0.3
"""Greatest duration of a flash."""


class _FrameLight(NamedTuple):
    time_s: float
    luma: float
    """Mean, 0 to 1."""
    black: bool
    blank: bool
    change: float
    """Mean absolute difference from the previous frame, of 255."""


class Light:
    """Measures the luma of every frame, and the exposure of sampled frames."""

    COLUMNS: ClassVar = (
        Column("brightness", "float64", "mean luma, 0 to 1"),
        Column("black", "float64", "share of frames that are black, 0 to 1"),
        Column("blank", "float64", "share of frames without contrast, 0 to 1"),
        Column("static", "float64", "share of frames that repeat the one before, 0 to 1"),
        Column("frozen_s", "float64", "longest time that one picture stands, s"),
        Column("flashes", "int64", "flashes of brightness, a count"),
        Column("underexposed", "float64", "share of pixels without light, 0 to 1"),
        Column("overexposed", "float64", "share of burnt-out pixels, 0 to 1"),
    )

    def __init__(self) -> None:
        self._frames = FrameBuffer[_FrameLight]()
        self._exposure = FrameBuffer[tuple[float, float]]()
        """Shares of under- and overexposed pixels."""
        self._previous_HW: np.ndarray | None = None

    def update(self, view: FrameView) -> None:
        gray_HW = view.gray_HW
        dark = int(np.count_nonzero(gray_HW < _DARK))
        mean, std = cv2.meanStdDev(gray_HW)
        blank = float(std[0, 0]) < _MAX_BLANK_STD  # two colours can have the same luma
        previous_HW = gray_HW if self._previous_HW is None else self._previous_HW
        self._previous_HW = gray_HW
        frame = _FrameLight(
            time_s=view.time_s,
            luma=float(mean[0, 0]) / 255,
            black=dark >= _BLACK_SHARE * gray_HW.size,
            blank=blank and float(cv2.meanStdDev(view.rgb_HWC)[1].max()) < _MAX_BLANK_STD,
            change=cv2.norm(gray_HW, previous_HW, cv2.NORM_L1) / gray_HW.size,
        )
        self._frames.add(view.index, frame)
        if view.sampled:
            under = np.count_nonzero(gray_HW <= _UNDEREXPOSED)
            over = np.count_nonzero(gray_HW >= _OVEREXPOSED)
            self._exposure.add(view.index, (under / gray_HW.size, over / gray_HW.size))

    def columns(self, span: Span) -> dict[str, Any]:
        times, luma, black, blank, change = map(np.array, zip(*self._frames.in_span(span), strict=True))
        repeats = change[1:] < _MAX_REPEAT_CHANGE
        exposure = self._exposure.in_span(span)
        under, over = np.mean(exposure, axis=0).tolist() if exposure else (None, None)
        return {
            "brightness": float(luma.mean()),
            "black": float(black.mean()),
            "blank": float(blank.mean()),
            "static": float(np.mean(repeats)) if len(repeats) else None,
            "frozen_s": longest_run_s(repeats, times) if len(repeats) else None,
            "flashes": count_flashes(luma, times) if len(repeats) else None,
            "underexposed": under,
            "overexposed": over,
        }

    def evict(self, before: int) -> None:
        self._frames.evict(before)
        self._exposure.evict(before)


def longest_run_s(repeats: np.ndarray, times: np.ndarray) -> float:
    """Return the duration of the longest run of equal frames, from its first frame to its last.

    Args:
        repeats: whether each of the T - 1 frames after the first repeats the previous one.
        times: seconds of the T frames.
    """
    edges = np.flatnonzero(np.diff(np.concatenate(([False], repeats, [False])).astype(np.int8)))
    starts, ends = edges[::2], edges[1::2]
    return float((times[ends] - times[starts]).max()) if len(starts) else 0.0


def count_flashes(luma: np.ndarray, times: np.ndarray) -> int:
    """Count brief rises of mean luma (0 to 1) over T frames at `times` in seconds."""
    flashes, frame = 0, 1
    while frame < len(luma) - 1:
        before = luma[frame - 1]
        rise = max(_MIN_FLASH_RISE, min(_MAX_FLASH_RISE, _FLASH_RISE * (1 - before)))
        steady = frame < 2 or abs(before - luma[frame - 2]) < rise / 2
        if luma[frame] - before < rise or not steady:
            frame += 1
            continue
        end = frame
        while (
            end < len(luma) and times[end] - times[frame] <= _MAX_FLASH_S and luma[end] >= before + rise / 2
        ):
            end += 1
        fell = end < len(luma) and luma[end] < before + rise / 2
        flashes += bool(fell)
        frame = end + 1 if fell else frame + 1
    return flashes
