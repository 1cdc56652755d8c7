"""Features of dissolves and fades: is a frame a mixture of what comes before and after it?

Legend: T frames, H height, W width, P pixels, C channels (RGB), B histogram bins, K motion parameters.
"""

from dataclasses import dataclass

import numpy as np

WIDTH_PX, HEIGHT_PX = 20, 12
"""Size of the downscaled frames."""
BLOCK_FRAMES = 64
"""Frames processed at once, so that intermediate arrays stay in the processor's cache."""
_Y_H1 = np.linspace(-1, 1, HEIGHT_PX, dtype=np.float32)[:, None]
_X_W = np.linspace(-1, 1, WIDTH_PX, dtype=np.float32) * np.float32(WIDTH_PX / HEIGHT_PX)
_RIDGE_KK = 1e-3 * np.eye(5, dtype=np.float32)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class FrameSeries:
    """Consecutive downscaled frames with per-frame statistics."""

    frames_THWC: np.ndarray
    """float32, 0 to 1."""
    gray_THW: np.ndarray
    variance_T: np.ndarray
    histogram_TB: np.ndarray
    path_T: np.ndarray
    """Accumulated difference of neighbours before each frame; one entry more than frames."""
    time_T: np.ndarray
    """Seconds."""


def mixture_features(series: FrameSeries, offset_s: float, targets: range) -> np.ndarray:
    """Return 11 columns that compare each target with the frames `offset_s` before and after it."""
    time_T, path_T, variance_T = series.time_T, series.path_T, series.variance_T
    last = len(time_T) - 1
    now_T = np.array(targets, int)
    now_s_T = time_T[now_T]
    before_T = np.minimum(np.searchsorted(time_T, now_s_T - offset_s - 1e-6), np.maximum(now_T - 1, 0))
    after_T = np.maximum(np.searchsorted(time_T, now_s_T + offset_s + 1e-6) - 1, np.minimum(now_T + 1, last))
    far_before_T = np.minimum(np.searchsorted(time_T, now_s_T - 2 * offset_s - 1e-6), before_T)
    far_after_T = np.maximum(np.searchsorted(time_T, now_s_T + 2 * offset_s + 1e-6) - 1, after_T)
    blocks = [slice(start, start + BLOCK_FRAMES) for start in range(0, len(now_T), BLOCK_FRAMES)]
    parts = [_mixture(series, now_T[block], before_T[block], after_T[block]) for block in blocks]
    total_T, to_old_T, to_new_T, residual_T, weight_T, unexplained_T = map(
        np.concatenate, zip(*parts, strict=True)
    )
    hist_T = np.abs(series.histogram_TB[after_T] - series.histogram_TB[before_T]).sum(axis=1) / 2
    dip_T = variance_T[now_T] / ((variance_T[before_T] + variance_T[after_T]) / 2 + 1e-3)
    inside_T = path_T[after_T + 1] - path_T[before_T + 1]
    outside_T = (path_T[before_T + 1] - path_T[far_before_T + 1]) + (
        path_T[far_after_T + 1] - path_T[after_T + 1]
    )
    columns = (
        total_T,
        to_old_T,
        to_new_T,
        residual_T,
        residual_T / (total_T + 0.02),
        weight_T,
        hist_T,
        np.minimum(dip_T, 2.0),
        unexplained_T,
        np.minimum(inside_T, 2.0),
        np.minimum(outside_T, 2.0),
    )
    return np.stack(columns, axis=1)


def _mixture(
    series: FrameSeries, now_T: np.ndarray, before_T: np.ndarray, after_T: np.ndarray
) -> tuple[np.ndarray, ...]:
    """Fit each frame as (1 - w) * before + w * after.

    Returns:
        Mean distances before-after, before-frame, after-frame and mixture-frame, the weight w, and the
        share of the change that camera motion does not explain.
    """
    frames_TP = series.frames_THWC.reshape(len(series.frames_THWC), -1)
    old, new, now = (_taken(frames_TP, index_T) for index_T in (before_T, after_T, now_T))
    change, progress = new - old, now - old
    norm_T = np.vecdot(change, change) + 1e-4
    weight_T = np.clip(np.vecdot(progress, change) / norm_T, 0, 1)
    residual = progress - weight_T[:, None] * change
    distances = (np.abs(each, out=each).mean(axis=1) for each in (change, progress, now - new, residual))
    old_THW, new_THW = (_taken(series.gray_THW, index_T) for index_T in (before_T, after_T))
    return *distances, weight_T, unexplained_by_camera(old_THW, new_THW)


def _taken(values: np.ndarray, index_T: np.ndarray) -> np.ndarray:
    """Return `values[index_T]`, without a copy where the indices are consecutive, as they mostly are."""
    first = int(index_T[0])
    if (index_T == np.arange(first, first + len(index_T))).all():
        return values[first : first + len(index_T)]
    return values[index_T]


def unexplained_by_camera(old_THW: np.ndarray, new_THW: np.ndarray) -> np.ndarray:
    """Return the share, 0 to 1, of the change between two gray frames that no small camera motion explains.

    Pan, tilt and zoom change a frame along its gradient (Lucas and Kanade, 1981), and light along its
    values and a constant. The share is the residual of the least-squares fit.
    """
    num_frames = len(old_THW)
    basis_TKHW = np.empty((num_frames, 5, *old_THW.shape[1:]), np.float32)
    right_THW, down_THW, zoom_THW, mean_THW, ones_THW = basis_TKHW.swapaxes(0, 1)
    np.divide(old_THW + new_THW, 2, out=mean_THW)
    _differentiate(mean_THW, right_THW)
    _differentiate(mean_THW.swapaxes(1, 2), down_THW.swapaxes(1, 2))
    np.add(_X_W * right_THW, _Y_H1 * down_THW, out=zoom_THW)
    ones_THW.fill(1)
    basis_TKP = basis_TKHW.reshape(num_frames, 5, -1)
    change_TP = (new_THW - old_THW).reshape(num_frames, -1)
    normal_TKK = basis_TKP @ basis_TKP.transpose(0, 2, 1) + _RIDGE_KK
    solution_TK1 = np.linalg.solve(normal_TKK, basis_TKP @ change_TP[:, :, None])
    residual_TP = change_TP - (solution_TK1.transpose(0, 2, 1) @ basis_TKP)[:, 0]
    return np.vecdot(residual_TP, residual_TP) / (np.vecdot(change_TP, change_TP) + 1e-2)


def _differentiate(values: np.ndarray, out: np.ndarray) -> None:
    """Write the central differences along the last axis, one-sided at its ends, as `np.gradient` does."""
    np.subtract(values[..., 2:], values[..., :-2], out=out[..., 1:-1])
    out[..., 1:-1] /= 2
    np.subtract(values[..., 1], values[..., 0], out=out[..., 0])
    np.subtract(values[..., -1], values[..., -2], out=out[..., -1])
