"""How sure a counted share is."""

from math import sqrt


def wilson_low(right: int, n: int, z: float = 1.96) -> float:
    """Return the lower end of Wilson's score interval (95 % for z = 1.96): `right` successes in `n` trials.

    Wilson 1927, "Probable inference, the law of succession, and statistical inference".
    """
    if n == 0:
        return 0.0
    share = right / n
    middle = share + z * z / (2 * n)
    spread = z * sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return (middle - spread) / (1 + z * z / n)
