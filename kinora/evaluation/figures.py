"""Figures of an evaluation: each with its n, its bound at 95 %, and chance and ceiling where defined."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from kinora.evaluation.intervals import bootstrap_difference, bootstrap_mean, bootstrap_ratio, wilson_low


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """One number of a row of the table."""

    name: str
    value: float
    bound: float | None
    """Bound at 95 % on the side of the goal: lower if more is better, upper if less is; None for the mean of
    a single value, which has none."""
    n: int
    """Samples that it was measured on."""
    goal: float | None = None
    at_most: bool = False
    """Whether the figure should be at most the goal, not at least."""
    above: bool = False
    """Whether the bound must be above the goal, not at it."""
    chance: float | None = None
    """The same against another sample's prompt."""
    ceiling: float | None = None
    """The same of true videos after a round trip through the VAE."""
    digits: int = 3

    @property
    def met(self) -> bool | None:
        """Whether the bound meets the goal; None without a goal."""
        if self.goal is None:
            return None
        if self.bound is None:
            return False
        if self.above:
            return self.bound > self.goal
        return self.bound <= self.goal if self.at_most else self.bound >= self.goal

    @property
    def sign(self) -> str:
        """How the figure should compare with the goal, such as `>=`."""
        return "<=" if self.at_most else ">" if self.above else ">="

    def to_json(self) -> dict[str, float]:
        """Return NAME, NAME_n, and where they are defined NAME_low or NAME_high, _goal, _chance, _ceiling."""
        more = {
            "high" if self.at_most else "low": self.bound,
            "n": self.n,
            "goal": self.goal,
            "chance": self.chance,
            "ceiling": self.ceiling,
        }
        return {self.name: self.value} | {
            f"{self.name}_{key}": value for key, value in more.items() if value is not None
        }


def share(
    name: str,
    verdicts: Sequence[bool],
    *,
    goal: float | None = None,
    chance: Sequence[bool] = (),
    ceiling: Sequence[bool] = (),
) -> Figure:
    """Return the share of verdicts that are true, with Wilson's lower bound.

    Raises:
        ValueError: without verdicts.
    """
    if not len(verdicts):
        raise ValueError(f"{name}: nothing was judged")
    right = sum(map(bool, verdicts))
    return Figure(
        name=name,
        value=right / len(verdicts),
        bound=wilson_low(right, len(verdicts)),
        n=len(verdicts),
        goal=goal,
        chance=mean_of(chance),
        ceiling=mean_of(ceiling),
    )


def average(
    name: str,
    values: Sequence[float],
    *,
    goal: float | None = None,
    at_most: bool = False,
    chance: Sequence[float] = (),
    ceiling: Sequence[float] = (),
    digits: int = 3,
) -> Figure:
    """Return a mean with its bootstrap bound on the side of the goal.

    Raises:
        ValueError: without values.
    """
    if not len(values):
        raise ValueError(f"{name}: nothing was measured")
    interval = bootstrap_mean(values) if len(values) > 1 else None
    return Figure(
        name=name,
        value=sum(values) / len(values),
        bound=interval and (interval.high if at_most else interval.low),
        n=len(values),
        goal=goal,
        at_most=at_most,
        chance=mean_of(chance),
        ceiling=mean_of(ceiling),
        digits=digits,
    )


def gain(name: str, before: Sequence[float], after: Sequence[float], *, goal: float | None = 0) -> Figure:
    """Return the mean of `after` minus `before`, pair by pair, with its lower bound.

    Args:
        goal: what the gain should be at least; 0 asks for more than 0.

    Raises:
        ValueError: without pairs, or where a value has no partner.
    """
    differences = [float(b) - float(a) for a, b in zip(before, after, strict=True)]
    return replace(average(name, differences, goal=goal), above=goal == 0)


def ratio(
    name: str,
    parts: Sequence[float],
    wholes: Sequence[float],
    *,
    goal: float,
    at_most: bool = False,
    ceiling: float | None = None,
) -> Figure:
    """Return the sum of `parts` over that of `wholes`, with its bootstrap bound over the samples.

    0 where the wholes are 0.

    Raises:
        ValueError: without samples, or where a part has no whole.
    """
    if not len(parts) or len(parts) != len(wholes):
        raise ValueError(f"{name}: {len(parts)} parts of {len(wholes)} samples")
    interval = bootstrap_ratio(parts, wholes) if len(parts) > 1 else None
    return Figure(
        name=name,
        value=ratio_of(parts, wholes),
        bound=interval and (interval.high if at_most else interval.low),
        n=len(parts),
        goal=goal,
        at_most=at_most,
        ceiling=ceiling,
    )


def drop(name: str, before: Sequence[float], after: Sequence[float], *, goal: float) -> Figure:
    """Return how much lower the mean of `after` is than that of `before`, with the upper bound.

    Raises:
        ValueError: where one of them is empty.
    """
    if not len(before) or not len(after):
        raise ValueError(f"{name}: nothing was judged on one of the sides")
    several = min(len(before), len(after)) > 1
    high = bootstrap_difference(before, after).high if several else None
    value = sum(before) / len(before) - sum(after) / len(after)
    return Figure(name=name, value=value, bound=high, n=min(len(before), len(after)), goal=goal, at_most=True)


def ratio_of(parts: Sequence[float], wholes: Sequence[float]) -> float:
    """Return a sum over another one; 0 where that is 0."""
    whole = sum(wholes)
    return sum(parts) / whole if whole else 0.0


def mean_of(values: Sequence[float]) -> float | None:
    """Return the mean; None without values."""
    return sum(values) / len(values) if len(values) else None
