"""Confidence intervals of proportions."""

from math import sqrt


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
    return (center - margin) / (1 + z * z / n)
