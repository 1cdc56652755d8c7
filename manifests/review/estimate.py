"""Estimate the share of wrong captions in a dataset from a stratified sample of reviews.

Reviewers look at some strata more than at others, so each stratum counts by its size, not by its number of
reviews. Strata without a review are named, and the bounds of the whole set let all or none of their captions
be wrong.

The 95 % interval is the union of the score interval and the likelihood-ratio interval of the weighted share:
the stratified forms of Wilson's interval and of the profile likelihood, with the finite population
correction. docs/adr/0041-review-figures.md has its coverage over 30 designs, and that of other intervals.
"""
# numpy's types are partial under strict.
# pyright: reportUnknownMemberType=false

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil, floor
from typing import NamedTuple

import numpy as np

Z = 1.959964
"""Quantile of the normal distribution for 95 %."""
_STEPS = 60
"""Of each bisection."""
_ROUNDS, _RATES = 8, 15
"""Rounds in which the rate of more reviews is narrowed down, and rates tried in each."""
_LARGEST = 30.0
"""The bisections of the multiplier end at sinh of this."""


class Interval(NamedTuple):
    """Lower and upper bound, at 95 %."""

    low: float
    high: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Stratum:
    """Captions that are equally likely to be reviewed, and the reviews of a random part of them."""

    name: str
    size: int
    """Captions in the stratum."""
    reviewed: int
    """Captions with a verdict."""
    wrong: int
    """Reviewed captions that are wrong."""

    def __post_init__(self) -> None:
        """Raise ValueError unless 0 <= wrong <= reviewed <= size."""
        if not 0 <= self.wrong <= self.reviewed <= self.size:
            raise ValueError(
                f"stratum {self.name}: {self.wrong} wrong of {self.reviewed} reviewed of {self.size} captions"
                "; give 0 <= wrong <= reviewed <= size"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """The share of wrong captions."""

    share: float | None
    """Share in the strata with reviews, weighted by their sizes; None without a review."""
    interval: Interval
    """Of `share`; 0 to 1 without a review."""
    whole: Interval
    """Bounds of the share in all strata: those without a review have between no and only wrong captions."""
    size: int
    """Captions in all strata."""
    reviewed: int
    covered: float
    """Share of the captions that are in strata with reviews."""
    not_covered: tuple[str, ...]
    """Names of the strata without a review, largest first."""


def estimate(strata: Sequence[Stratum]) -> Estimate:
    """Estimate the share of wrong captions in a set that is divided into `strata`.

    Raises ValueError if two strata have the same name.
    """
    _check_names(strata)
    size = sum(stratum.size for stratum in strata)
    reviewed = [stratum for stratum in strata if stratum.reviewed]
    missing = [stratum for stratum in strata if stratum.size and not stratum.reviewed]
    inside = sum(stratum.size for stratum in reviewed)
    interval = Interval(0.0, 1.0)
    if reviewed:
        sizes_S, reviewed_S, wrong_S = _arrays(reviewed)
        (low,), (high,) = intervals(sizes_S, reviewed_S, wrong_S[None]).tolist()
        interval = _rounded_outwards(low, high, inside)
    covered = inside / size if size else 0.0
    return Estimate(
        share=sum(each.size / inside * each.wrong / each.reviewed for each in reviewed) if reviewed else None,
        interval=interval,
        whole=_whole(interval, covered),
        size=size,
        reviewed=sum(stratum.reviewed for stratum in reviewed),
        covered=covered,
        not_covered=tuple(each.name for each in sorted(missing, key=lambda each: (-each.size, each.name))),
    )


def reviews_to_halve(strata: Sequence[Stratum]) -> dict[str, int]:
    """Return how many more reviews of each stratum would make the bounds of the whole set half as wide.

    The number in a stratum is proportional to its size times the standard deviation within it, less what is
    reviewed (Neyman 1934, "On the two different aspects of the representative method"). New reviews are
    expected to find as many wrong captions as those so far and one more at the share of the whole set.
    Empty if the bounds coincide already.
    """
    now = estimate(strata)
    width = now.whole.high - now.whole.low
    if not now.size or width <= 0:
        return {}
    sizes_S, reviewed_S, wrong_S = _arrays(strata)
    prior = (
        0.5 if now.share is None else min(max(now.share, 1 / (now.reviewed + 2)), 1 - 1 / (now.reviewed + 2))
    )
    share_S = (wrong_S + prior) / (reviewed_S + 1)
    spread_S = sizes_S * np.sqrt(share_S * (1 - share_S))

    def planned(rate: float) -> np.ndarray:
        return np.clip(np.floor(rate * spread_S + 0.5), reviewed_S, sizes_S)

    def is_enough(rates: Sequence[float]) -> np.ndarray:
        target_RS = np.stack([planned(rate) for rate in rates])
        found_RS = wrong_S + (target_RS - reviewed_S) * share_S
        low_R, high_R = intervals(sizes_S, target_RS, found_RS)
        covered_R = (sizes_S * (target_RS > 0)).sum(axis=1) / sizes_S.sum()
        return covered_R * (high_R - low_R) + 1 - covered_R <= width / 2

    low, high = 0.0, float((sizes_S / np.maximum(spread_S, 1e-12)).max()) + 1.0
    for _ in range(_ROUNDS):
        rates = np.linspace(low, high, _RATES + 1)[1:].tolist()
        first = int(np.argmax(is_enough(rates)))
        low, high = (rates[first - 1] if first else low), rates[first]
    more = (planned(high) - reviewed_S).astype(int).tolist()
    return {stratum.name: count for stratum, count in zip(strata, more, strict=True) if count}


def _check_names(strata: Sequence[Stratum]) -> None:
    names = [stratum.name for stratum in strata]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"strata: the name {twice[0]} occurs twice; give each stratum a name of its own")


def _arrays(strata: Sequence[Stratum]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return sizes, reviews and wrong captions, each as floats by stratum."""
    rows = [(stratum.size, stratum.reviewed, stratum.wrong) for stratum in strata]
    sizes_S, reviewed_S, wrong_S = np.array(rows, float).reshape(-1, 3).T
    return sizes_S, reviewed_S, wrong_S


def _whole(inside: Interval, covered: float) -> Interval:
    return Interval(covered * inside.low, covered * inside.high + (1 - covered))


def intervals(sizes_S: np.ndarray, reviewed_RS: np.ndarray, wrong_RS: np.ndarray) -> np.ndarray:
    """Return the 95 % interval of the share, weighted by size, for each of R samples: (2, R).

    Args:
        sizes_S: captions by stratum.
        reviewed_RS: reviewed captions by stratum, of each sample or (S) of all. Strata without are left out.
        wrong_RS: wrong ones of them in each sample.
    """
    samples = _Samples(sizes_S, np.broadcast_to(reviewed_RS, wrong_RS.shape), wrong_RS)
    tests = (samples.score, samples.likelihood_ratio)
    low_R = np.minimum(*(_bound(samples, test, 1.0) for test in tests))
    high_R = np.maximum(*(_bound(samples, test, -1.0) for test in tests))
    return np.clip(np.stack([low_R, high_R]), 0.0, 1.0)


def _rounded_outwards(low: float, high: float, size: int) -> Interval:
    """Return the bounds, widened to whole numbers of captions."""
    return Interval(floor(low * size + 1e-6) / size, ceil(high * size - 1e-6) / size)


class _Samples:
    """The reviews of R samples by stratum."""

    def __init__(self, sizes_S: np.ndarray, reviewed_RS: np.ndarray, wrong_RS: np.ndarray) -> None:
        self.count = len(wrong_RS)
        has_RS, self._is_open_RS = reviewed_RS > 0, reviewed_RS < sizes_S
        reviews_R, strata_R = reviewed_RS.sum(axis=1), has_RS.sum(axis=1)
        self._freedom_R = reviews_R / np.maximum(reviews_R - strata_R + 1, 1)
        self._weights_RS = has_RS * sizes_S / np.maximum((has_RS * sizes_S).sum(axis=1, keepdims=True), 1)
        finite_RS = np.where(self._is_open_RS, (sizes_S - 1) / np.maximum(sizes_S - reviewed_RS, 1), 1.0)
        self._reviewed_RS = np.where(has_RS, reviewed_RS * finite_RS, 1.0)
        self._wrong_RS = wrong_RS * finite_RS
        self._share_RS = self._wrong_RS / self._reviewed_RS
        self._share_R = self.share(self._share_RS)
        self._most_R = self._log_likelihood(self._share_RS)

    def share(self, share_RS: np.ndarray) -> np.ndarray:
        """Return the weighted share."""
        return (self._weights_RS * share_RS).sum(axis=1)

    def most_likely(self, multiplier_R: np.ndarray) -> np.ndarray:
        """Return the most likely share of each stratum for one weighted share, named by its multiplier.

        Solves a p^2 - (n + a) p + y = 0 with a = multiplier times weight (Lagrange).
        """
        a_RS = multiplier_R[:, None] * self._weights_RS
        b_RS = self._reviewed_RS + a_RS
        root_RS = np.sqrt(np.maximum(b_RS * b_RS - 4 * a_RS * self._wrong_RS, 0))
        by_sum_RS = 2 * self._wrong_RS / np.where(b_RS + root_RS > 0, b_RS + root_RS, 1.0)
        by_difference_RS = (b_RS - root_RS) / np.where(a_RS != 0, 2 * a_RS, 1.0)
        share_RS = np.clip(np.where(b_RS > 0, by_sum_RS, by_difference_RS), 0, 1)
        return np.where(self._is_open_RS, share_RS, self._share_RS)

    def score(self, share_RS: np.ndarray) -> np.ndarray:
        """Return the squared distance from the found share in standard errors under `share_RS`."""
        variance_RS = self._weights_RS**2 * share_RS * (1 - share_RS) / self._reviewed_RS
        variance_R = self._freedom_R * (self._is_open_RS * variance_RS).sum(axis=1)
        distance_R = (self._share_R - self.share(share_RS)) ** 2
        return np.where(distance_R > 0, distance_R / np.maximum(variance_R, 1e-300), 0.0)

    def likelihood_ratio(self, share_RS: np.ndarray) -> np.ndarray:
        """Return twice the loss of log-likelihood under `share_RS`."""
        return 2 * (self._most_R - self._log_likelihood(share_RS))

    def _log_likelihood(self, share_RS: np.ndarray) -> np.ndarray:
        right_RS = self._reviewed_RS - self._wrong_RS
        wrong_RS = self._wrong_RS * np.log(np.maximum(share_RS, 1e-300))
        return (wrong_RS + right_RS * np.log(np.maximum(1 - share_RS, 1e-300))).sum(axis=1)


def _bound(samples: _Samples, test: Callable[[np.ndarray], np.ndarray], sign: float) -> np.ndarray:
    """Return the outermost share that `test` accepts: below the found one for a `sign` of 1, above for -1."""
    inside_R, outside_R = np.zeros(samples.count), np.full(samples.count, _LARGEST)
    for _ in range(_STEPS):
        middle_R = (inside_R + outside_R) / 2
        accepted_R = test(samples.most_likely(sign * np.sinh(middle_R))) <= Z * Z
        inside_R = np.where(accepted_R, middle_R, inside_R)
        outside_R = np.where(accepted_R, outside_R, middle_R)
    return samples.share(samples.most_likely(sign * np.sinh(inside_R)))
