"""Confidence intervals of proportions and means, at 95 %."""

from collections.abc import Sequence
from math import sqrt
from typing import NamedTuple

import numpy as np

RESAMPLES = 2000
"""Of the bootstrap."""


class Interval(NamedTuple):
    """Lower and upper bound."""

    low: float
    high: float


def wilson_low(right: int, n: int, z: float = 1.96) -> float:
    """Return the lower bound of Wilson's score interval for `right` successes in `n` trials.

    z = 1.96 gives a confidence of 95 %; 0 for no trials.

    Wilson 1927, "Probable inference, the law of succession, and statistical inference".
    """
    if n == 0:
        return 0.0
    share = right / n
    center = share + z * z / (2 * n)
    margin = z * sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(0.0, (center - margin) / (1 + z * z / n))


def bootstrap_mean(values: Sequence[float], seed: int = 0) -> Interval:
    """Return the percentile interval of a mean (Efron 1979, "Bootstrap methods").

    Raises:
        ValueError: without values.
    """
    return _percentiles(_resampled_means(values, seed))


def bootstrap_difference(first: Sequence[float], second: Sequence[float], seed: int = 0) -> Interval:
    """Return the percentile interval of the mean of `first` minus that of `second`, independent samples.

    Raises:
        ValueError: where one of them is empty.
    """
    return _percentiles(_resampled_means(first, seed) - _resampled_means(second, seed + 1))


def bootstrap_ratio(parts: Sequence[float], wholes: Sequence[float], seed: int = 0) -> Interval:
    """Return the percentile interval of the sum of `parts` over that of `wholes`, resampled in pairs.

    A resample whose wholes are 0 has a ratio of 0.

    Raises:
        ValueError: without pairs.
    """
    parts_R, wholes_R = _resampled_means(parts, seed), _resampled_means(wholes, seed)
    return _percentiles(np.divide(parts_R, wholes_R, out=np.zeros_like(parts_R), where=wholes_R != 0))


def _resampled_means(values: Sequence[float], seed: int) -> np.ndarray:
    if not len(values):
        raise ValueError("no values: an interval needs at least one")
    values_N = np.asarray(values, float)
    rng = np.random.default_rng([seed, 0xB007])
    return values_N[rng.integers(len(values_N), size=(RESAMPLES, len(values_N)))].mean(axis=1)


def _percentiles(means_R: np.ndarray) -> Interval:
    low, high = np.quantile(means_R, (0.025, 0.975))
    return Interval(float(low), float(high))
