"""Brightness, exposure, black and blank frames, standing pictures, and flashes.

Legend: T frames, H height, W width.
"""

from typing import Any, ClassVar, NamedTuple

import cv2
import numpy as np

from pipeline.analyze.signals.frame_view import FrameBuffer, FrameView, Span
from pipeline.analyze.signals.standing import HOLD_S, PictureChanges
from pipeline.columns import Column

_DARK = 32
"""Luma below this, of 255, is dark."""
_BLACK_SHARE = 0.998
"""A frame is black if this share of its pixels is dark; a small bright object on black is content."""
_MAX_BLANK_STD = 1.5
"""A frame is blank if the standard deviation of its luma and of each channel is below this, of 255."""
_UNDEREXPOSED, _OVEREXPOSED = 16, 250
"""Luma at or below the first, or at or above the second, is clipped, of 255."""
_FLASH_RISE = 0.14
_MIN_FLASH_RISE, _MAX_FLASH_RISE = 0.02, 0.12
"""A flash brightens by `_FLASH_RISE` of the distance to white, bounded by these two, of 1."""
_MAX_FLASH_S = 0.3
"""Greatest duration of a flash."""
_FLASH_FPS, _MAX_FPS = 30.0, 36.0
"""Luma is averaged to the first rate where there are more frames than the second: as the eye sees it."""


class _FrameLight(NamedTuple):
    time_s: float
    luma: float
    """Mean, 0 to 1."""
    black: bool
    blank: bool
    begins: bool
    """Whether a new picture begins."""


class Light:
    """Measures the luma of every frame, and the exposure of sampled frames."""

    COLUMNS: ClassVar = (
        Column("brightness", "float64", "mean luma, 0 to 1"),
        Column("black", "float64", "share of frames that are black, for over 0.26 s, 0 to 1"),
        Column("blank", "float64", "share of frames without contrast, for over 0.26 s, 0 to 1"),
        Column("static", "float64", "share of time in which a picture stands for over 0.26 s, 0 to 1"),
        Column("frozen_s", "float64", "longest time that one picture stands, s; 0 up to 0.26 s"),
        Column("flashes", "int64", "flashes of brightness, a count"),
        Column("underexposed", "float64", "share of pixels without light, 0 to 1"),
        Column("overexposed", "float64", "share of burnt-out pixels, 0 to 1"),
    )

    def __init__(self) -> None:
        self._frames = FrameBuffer[_FrameLight]()
        self._exposure = FrameBuffer[tuple[float, float]]()
        """Shares of under- and overexposed pixels."""
        self._begins = PictureChanges()

    def update(self, view: FrameView) -> None:
        gray_HW = view.gray_HW
        dark = int(np.count_nonzero(gray_HW < _DARK))
        mean, std = cv2.meanStdDev(gray_HW)
        blank = float(std[0, 0]) < _MAX_BLANK_STD  # two colours can have the same luma
        frame = _FrameLight(
            time_s=view.time_s,
            luma=float(mean[0, 0]) / 255,
            black=dark >= _BLACK_SHARE * gray_HW.size,
            blank=blank and float(cv2.meanStdDev(view.rgb_HWC)[1].max()) < _MAX_BLANK_STD,
            begins=self._begins(gray_HW),
        )
        self._frames.add(view.index, frame)
        if view.sampled:
            under = np.count_nonzero(gray_HW <= _UNDEREXPOSED)
            over = np.count_nonzero(gray_HW >= _OVEREXPOSED)
            self._exposure.add(view.index, (under / gray_HW.size, over / gray_HW.size))

    def columns(self, span: Span) -> dict[str, Any]:
        times, luma, black, blank, begins = map(np.array, zip(*self._frames.in_span(span), strict=True))
        stands_s = standing_times(begins, times, span.end_s)
        duration_s = (times[-1] if span.end_s is None else span.end_s) - times[0]
        exposure = self._exposure.in_span(span)
        under, over = np.mean(exposure, axis=0).tolist() if exposure else (None, None)
        return {
            "brightness": float(luma.mean()),
            "black": lasting_share(black, times, span.end_s),
            "blank": lasting_share(blank, times, span.end_s),
            "static": float(min(1.0, stands_s.sum() / duration_s)) if duration_s > 0 else None,
            "frozen_s": float(stands_s.max(initial=0.0)) if duration_s > 0 else None,
            "flashes": count_flashes(*at_flash_rate(luma, times)) if duration_s > 0 else None,
            "underexposed": under,
            "overexposed": over,
        }

    def evict(self, before: int) -> None:
        self._frames.evict(before)
        self._exposure.evict(before)


def lasting_share(holds: np.ndarray, times: np.ndarray, end_s: float | None) -> float:
    """Return the share of frames for which something holds, without moments: a strobe hides no scene.

    Args:
        holds: whether it does for each of T frames. A moment is a run of up to `HOLD_S` with others around.
        times: seconds of the T frames.
        end_s: when the last frame ends; None counts until it begins.
    """
    edges = np.flatnonzero(np.diff(holds)) + 1
    starts, ends = np.append(0, edges), np.append(edges, len(holds))
    until = np.append(times, times[-1] if end_s is None else end_s)
    inside = (starts > 0) & (ends < len(holds))
    lasts = ~inside | (until[ends] - until[starts] > HOLD_S)
    return float((ends - starts)[holds[starts] & lasts].sum() / len(holds))


def standing_times(begins: np.ndarray, times: np.ndarray, end_s: float | None) -> np.ndarray:
    """Return how long each picture stands that does so for more than `HOLD_S`, in seconds.

    Args:
        begins: whether each of T frames begins a picture; the first frame of a clip does.
        times: seconds of the T frames.
        end_s: when the last frame ends; None counts until it begins.
    """
    starts = times[np.concatenate(([True], begins[1:]))]
    lasts = np.diff(np.append(starts, times[-1] if end_s is None else end_s))
    return lasts[lasts > HOLD_S]


def at_flash_rate(luma: np.ndarray, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Average the mean luma of frames, and their times, to about `_FLASH_FPS` values a second."""
    if len(times) < 2 or float(np.median(np.diff(times))) >= 1 / _MAX_FPS:
        return luma, times
    _, slots = np.unique(((times - times[0]) * _FLASH_FPS + 1e-4).astype(int), return_inverse=True)
    counts = np.bincount(slots)
    return np.bincount(slots, luma) / counts, np.bincount(slots, times) / counts


def count_flashes(luma: np.ndarray, times: np.ndarray) -> int:
    """Count brief rises of mean luma (0 to 1) over T frames at `times` in seconds."""
    flashes, frame = 0, 1
    while frame < len(luma) - 1:
        before = luma[frame - 1]
        rise = max(_MIN_FLASH_RISE, min(_MAX_FLASH_RISE, _FLASH_RISE * (1 - before)))
        steady = frame < 2 or abs(before - luma[frame - 2]) < rise
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
