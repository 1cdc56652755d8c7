"""Agreement of two reviewers, and blind comparisons of two caption versions, each with a 95 % interval.

docs/adr/0041-review-figures.md has the measured coverage of these intervals and of others.
"""
# numpy's types are partial under strict.
# pyright: reportUnknownMemberType=false

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np

from manifests.review.estimate import Interval, Z

_DRAWS = 4000
"""Draws from the posterior of a table of verdicts."""
_STEPS = 50
"""Of each bisection."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Agreement:
    """How far two reviewers agree on the clips that both decided on."""

    kappa: float | None
    """Cohen's kappa: 1 for full agreement, 0 for that of chance; None without two different verdicts."""
    interval: Interval
    """Of kappa; -1 to 1 where it is None."""
    agreed: float | None
    """Share of clips with equal verdicts; None without clips."""
    clips: int


@dataclass(frozen=True, kw_only=True, slots=True)
class WinRate:
    """How often one caption version is preferred to another; a tie counts as half a win."""

    rate: float | None
    """None without votes."""
    interval: Interval
    wins: int
    losses: int
    ties: int


def cohen_kappa(pairs: Mapping[tuple[str, str], int]) -> Agreement:
    """Return Cohen's kappa of two reviewers (Cohen 1960, "A coefficient of agreement for nominal scales").

    The interval is the union of two: the asymptotic one (Fleiss, Cohen and Everitt 1969, "Large sample
    standard errors of kappa and weighted kappa"), and that of the posterior of the table under a Dirichlet
    prior of the weight of one clip, which has a width where all verdicts agree.

    Args:
        pairs: number of clips by the verdicts of the first and of the second reviewer.

    Raises:
        ValueError: a number is negative.
    """
    _check_counts(pairs)
    names = sorted({name for pair, count in pairs.items() for name in pair if count})
    count_KK = np.array([[pairs.get((first, second), 0) for second in names] for first in names], float)
    clips = int(count_KK.sum())
    if not clips:
        return Agreement(kappa=None, interval=Interval(-1.0, 1.0), agreed=None, clips=0)
    agreed = float(np.trace(count_KK)) / clips
    if len(names) < 2:
        return Agreement(kappa=None, interval=Interval(-1.0, 1.0), agreed=agreed, clips=clips)
    kappa = float(_kappa(count_KK / clips))
    margin = Z * sqrt(_kappa_variance(count_KK / clips, kappa) / clips)
    rng = np.random.default_rng(clips)
    weight_DN = rng.standard_gamma(count_KK.ravel() + 1 / count_KK.size, size=(_DRAWS, count_KK.size))
    drawn_DKK = (weight_DN / weight_DN.sum(axis=1, keepdims=True)).reshape(_DRAWS, *count_KK.shape)
    low, high = np.quantile(_kappa(drawn_DKK), (0.025, 0.975)).tolist()
    interval = Interval(max(-1.0, min(low, kappa - margin)), min(1.0, max(high, kappa + margin)))
    return Agreement(kappa=kappa, interval=interval, agreed=agreed, clips=clips)


def pair_counts(first: Mapping[str, str], second: Mapping[str, str]) -> dict[tuple[str, str], int]:
    """Count the verdicts of two reviewers, given by clip, on the clips that both decided on."""
    counts: dict[tuple[str, str], int] = {}
    for clip in sorted(first.keys() & second.keys()):
        pair = first[clip], second[clip]
        counts[pair] = counts.get(pair, 0) + 1
    return counts


def win_rate(*, wins: int, losses: int, ties: int) -> WinRate:
    """Return the win rate of blind comparisons, (wins + ties / 2) / votes.

    The interval is that of Tango 1998 for the difference of paired shares, ("Equivalence test and confidence
    interval for the difference in proportions for the paired-sample design"): many ties make it narrow.

    Raises:
        ValueError: a number is negative.
    """
    _check_counts({"wins": wins, "losses": losses, "ties": ties})
    votes = wins + losses + ties
    if not votes:
        return WinRate(rate=None, interval=Interval(0.0, 1.0), wins=0, losses=0, ties=0)
    difference = (wins - losses) / votes
    low, high = (_accepted_until(side, difference, wins, losses, votes) for side in (-1.0, 1.0))
    return WinRate(
        rate=(1 + difference) / 2,
        interval=Interval((1 + low) / 2, (1 + high) / 2),
        wins=wins,
        losses=losses,
        ties=ties,
    )


def _check_counts(counts: Mapping[Any, int]) -> None:
    if bad := [name for name, count in counts.items() if count < 0]:
        raise ValueError(f"{bad[0]}: the number is below 0; give how many clips there are")


def _kappa(share_KK: np.ndarray) -> np.ndarray:
    """Return kappa of tables of shares (…, K, K)."""
    agreed = np.trace(share_KK, axis1=-2, axis2=-1)
    by_chance = (share_KK.sum(axis=-1) * share_KK.sum(axis=-2)).sum(axis=-1)
    return (agreed - by_chance) / (1 - by_chance)


def _kappa_variance(share_KK: np.ndarray, kappa: float) -> float:
    """Return the asymptotic variance of kappa times the number of clips."""
    rows_K, columns_K = share_KK.sum(axis=1), share_KK.sum(axis=0)
    by_chance = float((rows_K * columns_K).sum())
    agreeing_K = np.diag(share_KK)
    on_diagonal = (agreeing_K * (1 - (rows_K + columns_K) * (1 - kappa)) ** 2).sum()
    margins_KK = share_KK * (columns_K[:, None] + rows_K[None, :]) ** 2
    elsewhere = (1 - kappa) ** 2 * (margins_KK.sum() - np.trace(margins_KK))
    total = on_diagonal + elsewhere - (kappa - by_chance * (1 - kappa)) ** 2
    return max(0.0, float(total)) / (1 - by_chance) ** 2


def _accepted_until(side: float, found: float, wins: int, losses: int, votes: int) -> float:
    """Return the difference of shares, farthest from the found one towards `side`, that the test accepts."""
    inside, outside = found, side
    for _ in range(_STEPS):
        middle = (inside + outside) / 2
        inside, outside = (
            (middle, outside) if _score(middle, wins, losses, votes) <= Z * Z else (inside, middle)
        )
    return inside


def _score(difference: float, wins: int, losses: int, votes: int) -> float:
    """Return the squared score of a true difference of shares, wins less losses."""
    distance = wins - losses - votes * difference
    if not distance:
        return 0.0
    a = 2.0 * votes
    b = -wins - losses + (2 * votes - wins + losses) * difference
    c = -losses * difference * (1 - difference)
    losing = (sqrt(max(0.0, b * b - 4 * a * c)) - b) / (2 * a)
    variance = votes * (2 * losing + difference * (1 - difference))
    return distance * distance / variance if variance > 0 else float("inf")
