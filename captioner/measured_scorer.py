"""The agreement scorer that needs no weights: it compares what is measured with what a text names.

It knows colours, light and motion, and nothing of what things are (captioner/claims/measures.py). Texts
without a word for one of these cannot be judged.

Legend: S texts, N clips, M terms.
"""

from collections.abc import Sequence

import numpy as np

from captioner.claims.measures import ClipMeasures, measure_clip, term_vector

_MIN_STD = 0.02
"""Terms whose strength differs less over the clips tell nothing."""


class MeasuredScorer:
    """Compares the terms of texts with the measurements of clips."""

    name = "measured-1"

    def encode_clip(
        self, frames_THWC: np.ndarray, times_s: Sequence[float], measures: ClipMeasures | None = None
    ) -> np.ndarray:
        """Return the strengths of all terms."""
        return (measures or measure_clip(frames_THWC, times_s)).strengths()

    def similarities(
        self, texts: Sequence[str], clips: Sequence[np.ndarray], own_S: np.ndarray
    ) -> np.ndarray:
        """Return similarities_SN: the mean standard score of the terms that a text names."""
        strength_NM = np.stack(clips)
        mean_M, std_M = np.nanmean(strength_NM, axis=0), np.nanstd(strength_NM, axis=0)
        score_NM = np.where(std_M > _MIN_STD, (strength_NM - mean_M) / np.maximum(std_M, _MIN_STD), 0.0)
        named_SM = np.stack([term_vector(text) for text in texts]) * (std_M > _MIN_STD)
        count_S1 = named_SM.sum(axis=1, keepdims=True)
        similarity_SN = named_SM @ np.nan_to_num(score_NM).T / np.maximum(count_S1, 1)
        return np.where(count_S1 > 0, similarity_SN, np.nan)

    def count_tokens(self, text: str) -> tuple[int, int]:
        """Return the number of words twice: it sees them all."""
        count = len(text.split())
        return count, count
