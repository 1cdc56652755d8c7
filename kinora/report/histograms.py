"""How a measurement is spread over clips: counts in bins, of the kept and of the dropped."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

BINS = 24
SKEWED = 12.0
"""A positive measurement whose largest value is so many times its median is drawn on a logarithmic axis."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Histogram:
    """One measurement over all clips that have it."""

    name: str
    about: str
    """What it tells and in which unit."""
    low: float
    high: float
    median: float
    logarithmic: bool
    kept: Sequence[int]
    dropped: Sequence[int]
    """Also those that are not decided yet."""
    missing: int
    """Clips in which there was nothing to measure."""
    limits: Sequence[float] = ()
    """Where a rule of the last selection draws its line."""

    def place(self, value: float) -> float:
        """Return where `value` lies between the lower end (0) and the upper one (1)."""
        if self.logarithmic:
            if value <= 0:
                return -1.0
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)


def build_histogram(
    name: str, about: str, values_N: np.ndarray, kept_N: np.ndarray, limits: Sequence[float] = ()
) -> Histogram | None:
    """Count `values_N` (NaN where there is none) in bins; None where no clip has a value.

    Args:
        kept_N: bool, whether each clip is kept.
    """
    there_N = np.isfinite(values_N)
    if not there_N.any():
        return None
    values, kept = values_N[there_N], kept_N[there_N]
    low, high, median = float(values.min()), float(values.max()), float(np.median(values))
    logarithmic = low > 0 and high > SKEWED * median
    if high <= low:
        low, high = low - 0.5, high + 0.5
    edges = np.geomspace(low, high, BINS + 1) if logarithmic else np.linspace(low, high, BINS + 1)
    edges[0], edges[-1] = low, high  # rounding must leave no clip outside
    return Histogram(
        name=name,
        about=about,
        low=low,
        high=high,
        median=median,
        logarithmic=logarithmic,
        kept=np.histogram(values[kept], edges)[0].tolist(),
        dropped=np.histogram(values[~kept], edges)[0].tolist(),
        missing=int((~there_N).sum()),
        limits=limits,
    )
