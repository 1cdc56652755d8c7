"""Histograms of a measurement over kept and dropped clips."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

BINS = 24
LOG_SCALE_RATIO = 12.0
"""Minimum ratio of maximum to median for a logarithmic axis."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Histogram:
    """Histogram of one measurement."""

    name: str
    about: str
    """Description and unit."""
    low: float
    high: float
    median: float
    logarithmic: bool
    kept: Sequence[int]
    dropped: Sequence[int]
    """Dropped or undecided clips per bin."""
    missing: int
    """Number of clips without this measurement."""
    limits: Sequence[float] = ()
    """Limits of the last selection's rules."""

    def position(self, value: float) -> float:
        """Return the position of `value` between `low` (0) and `high` (1)."""
        if self.logarithmic:
            if value <= 0:
                return -1.0
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)


def build_histogram(
    name: str, about: str, values_N: np.ndarray, kept_N: np.ndarray, limits: Sequence[float] = ()
) -> Histogram | None:
    """Count values in bins. Returns None if no clip has a value.

    Args:
        values_N: one per clip, NaN for missing.
        kept_N: whether each clip is kept, bool.
    """
    valid_N = np.isfinite(values_N)
    if not valid_N.any():
        return None
    values, kept = values_N[valid_N], kept_N[valid_N]
    low, high, median = float(values.min()), float(values.max()), float(np.median(values))
    logarithmic = low > 0 and high > LOG_SCALE_RATIO * median
    if high <= low:
        low, high = (0.0, 1.0) if 0 <= low < 0.5 else (low - 0.5, high + 0.5)  # no negative shares
    edges = np.geomspace(low, high, BINS + 1) if logarithmic else np.linspace(low, high, BINS + 1)
    edges[0], edges[-1] = low, high  # guard against rounding
    return Histogram(
        name=name,
        about=about,
        low=low,
        high=high,
        median=median,
        logarithmic=logarithmic,
        kept=np.histogram(values[kept], edges)[0].tolist(),
        dropped=np.histogram(values[~kept], edges)[0].tolist(),
        missing=int((~valid_N).sum()),
        limits=limits,
    )
