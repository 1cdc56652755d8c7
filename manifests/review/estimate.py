"""Estimate the share of wrong captions in a dataset from a stratified sample of reviews.

Reviewers look at some strata more than at others, so each stratum counts by its size, not by its number of
reviews. Strata without a review are named, and the bounds of the whole set let all or none of their captions
be wrong.

The 95 % interval is the union of the score interval and the likelihood-ratio interval of the weighted share:
the stratified forms of Wilson's interval and of the profile likelihood, with the finite population
correction. docs/adr/0039-review-figures.md has its coverage over 30 designs, and that of other intervals.
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
        interval = _rounded_outwards(_interval(*_arrays(reviewed)), inside)
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

    def is_enough(rate: float) -> bool:
        target_S = planned(rate)
        found_S = wrong_S + (target_S - reviewed_S) * share_S
        has_S = target_S > 0
        covered = float(sizes_S[has_S].sum() / sizes_S.sum())
        after = _whole(_interval(sizes_S[has_S], target_S[has_S], found_S[has_S]), covered)
        return after.high - after.low <= width / 2

    low, high = 0.0, float((sizes_S / np.maximum(spread_S, 1e-12)).max()) + 1.0
    for _ in range(_STEPS):
        middle = (low + high) / 2 if low else high / 2
        low, high = (low, middle) if is_enough(middle) else (middle, high)
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


def intervals(sizes_S: np.ndarray, reviewed_S: np.ndarray, wrong_RS: np.ndarray) -> np.ndarray:
    """Return the 95 % interval of the share, weighted by size, for each of R samples: (2, R).

    Args:
        sizes_S: captions by stratum.
        reviewed_S: reviewed captions by stratum, more than 0.
        wrong_RS: wrong ones of them in each sample.
    """
    weights_S = sizes_S / sizes_S.sum()
    is_open_S = reviewed_S < sizes_S
    known_R = ((weights_S * wrong_RS / reviewed_S)[:, ~is_open_S]).sum(axis=1)
    if not is_open_S.any():
        return np.stack([known_R, known_R])
    sizes_S, reviewed_S, wrong_RS = sizes_S[is_open_S], reviewed_S[is_open_S], wrong_RS[:, is_open_S]
    reviews = float(reviewed_S.sum())
    correction_S = (sizes_S - 1) / (sizes_S - reviewed_S)
    sample = _Samples(
        weights_S[is_open_S], reviewed_S * correction_S, wrong_RS * correction_S, reviews=reviews
    )
    tests = (sample.score, sample.likelihood_ratio)
    low_R = np.minimum(*(_bound(sample, test, 1.0) for test in tests))
    high_R = np.maximum(*(_bound(sample, test, -1.0) for test in tests))
    return np.stack([known_R + low_R, known_R + high_R])


def _interval(sizes_S: np.ndarray, reviewed_S: np.ndarray, wrong_S: np.ndarray) -> Interval:
    """Return the interval of one sample."""
    (low,), (high,) = intervals(sizes_S, reviewed_S, wrong_S[None]).tolist()
    return Interval(min(1.0, max(0.0, low)), min(1.0, max(0.0, high)))


def _rounded_outwards(interval: Interval, size: int) -> Interval:
    """Widen the bounds to whole numbers of captions."""
    return Interval(floor(interval.low * size + 1e-6) / size, ceil(interval.high * size - 1e-6) / size)


class _Samples:
    """The reviews of R samples by stratum."""

    def __init__(
        self, weights_S: np.ndarray, reviewed_S: np.ndarray, wrong_RS: np.ndarray, *, reviews: float
    ) -> None:
        self.count = len(wrong_RS)
        self._freedom = reviews / (reviews - len(weights_S) + 1)
        self._weights_S, self._reviewed_S, self._wrong_RS = weights_S, reviewed_S, wrong_RS
        share_RS = wrong_RS / reviewed_S
        self._share_R = self.share(share_RS)
        self._most_R = self._log_likelihood(share_RS)

    def share(self, share_RS: np.ndarray) -> np.ndarray:
        """Return the weighted share."""
        return (self._weights_S * share_RS).sum(axis=1)

    def most_likely(self, multiplier_R: np.ndarray) -> np.ndarray:
        """Return the most likely share of each stratum for one weighted share, named by its multiplier.

        Solves a p^2 - (n + a) p + y = 0 with a = multiplier times weight (Lagrange).
        """
        a_RS = multiplier_R[:, None] * self._weights_S
        b_RS = self._reviewed_S + a_RS
        root_RS = np.sqrt(np.maximum(b_RS * b_RS - 4 * a_RS * self._wrong_RS, 0))
        by_sum_RS = 2 * self._wrong_RS / np.where(b_RS + root_RS > 0, b_RS + root_RS, 1.0)
        by_difference_RS = (b_RS - root_RS) / np.where(a_RS != 0, 2 * a_RS, 1.0)
        return np.clip(np.where(b_RS > 0, by_sum_RS, by_difference_RS), 0, 1)

    def score(self, share_RS: np.ndarray) -> np.ndarray:
        """Return the squared distance from the found share in standard errors under `share_RS`."""
        variance_R = (self._weights_S**2 * share_RS * (1 - share_RS) / self._reviewed_S).sum(axis=1)
        distance_R = (self._share_R - self.share(share_RS)) ** 2
        return np.where(distance_R > 0, distance_R / np.maximum(self._freedom * variance_R, 1e-300), 0.0)

    def likelihood_ratio(self, share_RS: np.ndarray) -> np.ndarray:
        """Return twice the loss of log-likelihood under `share_RS`."""
        return 2 * (self._most_R - self._log_likelihood(share_RS))

    def _log_likelihood(self, share_RS: np.ndarray) -> np.ndarray:
        right_RS = self._reviewed_S - self._wrong_RS
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
