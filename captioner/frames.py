"""Frame sampling for captioners; pure functions.

Shapes: T frames of one clip, H x W pixels, C = 3 (RGB, uint8).
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np

_GRID = 24
"""Pixels a side that are compared between frames, about."""
_EVEN = 0.5
"""Fraction of the sampled frames that follow time where nothing happens."""


def choose_frames(
    frames_THWC: np.ndarray,
    times_s: Sequence[float],
    *,
    count: int,
    fps: float | None = None,
    by: Literal["time", "content"] = "time",
) -> tuple[int, ...]:
    """Return the indices of the frames to show: at a fixed rate, evenly, or more where much changes.

    Raises ValueError for a fixed rate by content.
    """
    if fps is not None:
        if by == "content":
            raise ValueError("fps samples at fixed times and frames_by: content does not; set one of them")
        return sample_at_fps(times_s, fps, count)
    return sample_by_change(frames_THWC, count) if by == "content" else sample_uniform(len(times_s), count)


def sample_by_change(frames_THWC: np.ndarray, count: int) -> tuple[int, ...]:
    """Return up to `count` distinct indices, first and last among them, with about equal change between.

    Half of the distance between frames is time, so that long still stretches are seen too.
    """
    num = len(frames_THWC)
    if count >= num or count < 3:
        return sample_uniform(num, count)
    step_h, step_w = (max(1, side // _GRID) for side in frames_THWC.shape[1:3])
    small_TN = frames_THWC[:, ::step_h, ::step_w].reshape(num, -1).astype(np.float32)
    change_P = np.abs(np.diff(small_TN, axis=0)).mean(axis=1)
    if not change_P.any():
        return sample_uniform(num, count)
    weight_P = _EVEN / (num - 1) + (1 - _EVEN) * change_P / change_P.sum()
    place_T = np.concatenate([[0.0], np.cumsum(weight_P)])
    chosen: list[int] = []
    for number, target in enumerate(np.linspace(0, 1, count).tolist()):
        nearest = int(np.abs(place_T - target).argmin())
        first = chosen[-1] + 1 if chosen else 0
        chosen.append(min(max(nearest, first), num - count + number))
    return tuple(chosen)


def sample_uniform(num_frames: int, count: int) -> tuple[int, ...]:
    """Return up to `count` distinct indices, evenly spaced from first to last; of 1, the middle."""
    count = min(count, num_frames)
    if count == 1:
        return (num_frames // 2,)
    return tuple(round(i) for i in np.linspace(0, num_frames - 1, count).tolist())


def sample_at_fps(times_s: Sequence[float], fps: float, count: int) -> tuple[int, ...]:
    """Return the indices of the frames at 0, 1/fps, 2/fps, ... seconds after the first.

    Always returns `count` indices: past the end the last frame is repeated, so that the interval stays fixed.
    """
    times_T = np.asarray(times_s, float)
    target_K = times_T[0] + np.arange(count) / fps
    index_K = np.searchsorted(times_T, target_K + 1e-6, side="right") - 1
    return tuple(int(k) for k in np.clip(index_K, 0, len(times_T) - 1))


def sparse_detail(times_s: Sequence[float], count: int, fps: float | None) -> str:
    """Return why `count` frames at a rate cannot be chosen; empty if they can."""
    gap_s = 0.0 if fps is None else largest_gap_s(times_s, count / fps)
    if fps is None or gap_s <= 1.5 / fps:
        return ""
    return f"frames are up to {gap_s:.2f} s apart; this captioner needs at least {fps:g} per second"


def largest_gap_s(times_s: Sequence[float], until_s: float) -> float:
    """Return the longest interval between consecutive frames in the first `until_s` seconds."""
    times_T = np.asarray(times_s, float)
    gaps = np.diff(times_T)[times_T[:-1] - times_T[0] < until_s]
    return float(gaps.max()) if len(gaps) else 0.0
