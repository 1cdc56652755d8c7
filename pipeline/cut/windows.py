"""Which media a clip is cut into: equal windows, or the whole clip. Pure functions."""

import numpy as np

from manifests.digest import digest_parts
from video.cut import Crop

_EXACT = 1e-9


def count_windows(duration_N: np.ndarray, num_frames_N: np.ndarray, window_s: float) -> np.ndarray:
    """Return the number of equal windows of at most `window_s` seconds that each clip is divided into.

    A clip of at most `window_s` stays whole, and so do all if that is 0. The windows of others are longer
    than half of `window_s`, unless that would make more windows than frames.
    """
    if window_s == 0:
        return np.ones(len(duration_N), np.int64)
    counts_N = np.ceil(duration_N / window_s - _EXACT)
    return np.clip(counts_N, 1, np.maximum(1, num_frames_N)).astype(np.int64)


def media_id_of(clip_id: str, crop: Crop | None, span_pts: tuple[int, int]) -> str:
    """Return the id of what a captioner sees: frames of a clip inside a crop, however they are encoded."""
    return digest_parts("media", clip_id, *(crop or ("whole",)), *span_pts)
