"""How bright a clip is, how much of it is black, blank or burnt out, where it stands still, and flashes."""

from typing import Any, ClassVar, NamedTuple

import cv2
import numpy as np

from pipeline.analyze.signals.frame_view import FrameBuffer, FrameView, Span
from pipeline.columns import Column

_DARK = 32
"""Luma below this, of 255, is dark."""
_BLACK_SHARE = 0.998
"""A frame is black when this share of its pixels is dark: a small bright thing on black is none."""
_SAME = 0.25
"""Two frames are the same when their mean difference in luma is below this, of 255."""
_BLANK = 1.5
"""A frame is blank when the standard deviation of its luma and of each channel is below this, of 255."""
_UNDER, _OVER = 16, 250
"""Luma at or below the first holds no detail, and none from the second on, of 255."""
_FLASH_RISE = 0.14
_LEAST_RISE, _SURE_RISE = 0.02, 0.12
"""A flash is brighter than what is before and after it by this share of what is left up to white, but by at
least `_LEAST_RISE` of 1; `_SURE_RISE` is always enough."""
_FLASH_S = 0.3
"""A flash is over after at most so many seconds."""


class _Seen(NamedTuple):
    time_s: float
    luma: float
    """Mean, 0 to 1."""
    black: bool
    blank: bool
    change: float
    """Mean difference from the frame before, of 255."""


class Light:
    """Looks at the luma of every frame; at exposure, on the sampled ones."""

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
        self._seen = FrameBuffer[_Seen]()
        self._exposed = FrameBuffer[tuple[float, float]]()
        """Shares of under- and overexposed pixels."""
        self._last_HW: np.ndarray | None = None

    def update(self, look: FrameView) -> None:
        gray_HW = look.gray_HW
        dark = int(np.count_nonzero(gray_HW < _DARK))
        mean, spread = cv2.meanStdDev(gray_HW)
        blank = float(spread[0, 0]) < _BLANK  # two colours may be equally light
        last_HW = gray_HW if self._last_HW is None else self._last_HW
        self._last_HW = gray_HW
        seen = _Seen(
            time_s=look.time_s,
            luma=float(mean[0, 0]) / 255,
            black=dark >= _BLACK_SHARE * gray_HW.size,
            blank=blank and float(cv2.meanStdDev(look.rgb_HWC)[1].max()) < _BLANK,
            change=cv2.norm(gray_HW, last_HW, cv2.NORM_L1) / gray_HW.size,
        )
        self._seen.add(look.index, seen)
        if look.sampled:
            under, over = np.count_nonzero(gray_HW <= _UNDER), np.count_nonzero(gray_HW >= _OVER)
            self._exposed.add(look.index, (under / gray_HW.size, over / gray_HW.size))

    def columns(self, span: Span) -> dict[str, Any]:
        times, luma, black, blank, change = map(np.array, zip(*self._seen.of(span), strict=True))
        same = change[1:] < _SAME
        exposed = self._exposed.of(span)
        under, over = np.mean(exposed, axis=0).tolist() if exposed else (None, None)
        return {
            "brightness": float(luma.mean()),
            "black": float(black.mean()),
            "blank": float(blank.mean()),
            "static": float(np.mean(same)) if len(same) else None,
            "frozen_s": longest_run_s(same, times) if len(same) else None,
            "flashes": count_flashes(luma, times) if len(same) else None,
            "underexposed": under,
            "overexposed": over,
        }

    def evict(self, before: int) -> None:
        self._seen.evict(before)
        self._exposed.evict(before)


def longest_run_s(same: np.ndarray, times: np.ndarray) -> float:
    """Return how long the longest run of equal frames is, from its first to its last.

    Args:
        same: for each of T - 1 frames after the first, whether it repeats the one before.
        times: seconds of the T frames.
    """
    edges = np.flatnonzero(np.diff(np.concatenate(([False], same, [False])).astype(np.int8)))
    starts, ends = edges[::2], edges[1::2]
    return float((times[ends] - times[starts]).max()) if len(starts) else 0.0


def count_flashes(luma: np.ndarray, times: np.ndarray) -> int:
    """Count short rises of mean luma (0 to 1) that fall again: T frames, at `times` in seconds."""
    flashes, frame = 0, 1
    while frame < len(luma) - 1:
        before = luma[frame - 1]
        rise = max(_LEAST_RISE, min(_SURE_RISE, _FLASH_RISE * (1 - before)))
        steady = frame < 2 or abs(before - luma[frame - 2]) < rise / 2
        if luma[frame] - before < rise or not steady:
            frame += 1
            continue
        end = frame
        while end < len(luma) and times[end] - times[frame] <= _FLASH_S and luma[end] >= before + rise / 2:
            end += 1
        fallen = end < len(luma) and luma[end] < before + rise / 2
        flashes += bool(fallen)
        frame = end + 1 if fallen else frame + 1
    return flashes
