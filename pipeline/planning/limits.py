"""Check that the limits of a configuration name columns that clips have."""

from manifests.live_view import LiveView
from pipeline.analyze.signals.columns import SCORE_COLUMNS
from pipeline.config import CurateConfig
from pipeline.score.digests import scorer_requests

_NUMBERS = ("float64", "int64", "bool")


def check_limits(view: LiveView, config: CurateConfig) -> None:
    """Raise ValueError if `select.limits` or `select.review` has no column of numbers, or void bounds."""
    limits, review = config.select.limits, config.select.review
    if not limits and not review:
        return
    requests = {**view.scorer_requests, **scorer_requests(config.analyze.scorers)}
    kinds = {column.name: column.type for column in SCORE_COLUMNS}
    kinds |= {name: kind for each in requests.values() for name, kind in each.columns.items()}
    numbers = sorted(name for name, kind in kinds.items() if kind in _NUMBERS)
    for field, bounds in (("limits", limits), ("review", review)):
        for name, (low, high) in bounds.items():
            if name not in numbers:
                known = ", ".join(numbers)
                raise ValueError(f"select.{field}: no column of numbers is called {name}; there are {known}")
            if low is not None and high is not None and low > high:
                raise ValueError(f"select.{field}: {name}: the minimum {low:g} is above the maximum {high:g}")
    for name in limits.keys() & review.keys():
        (low, high), (review_low, review_high) = limits[name], review[name]
        if (low is not None and review_low is not None and review_low < low) or (
            high is not None and review_high is not None and review_high > high
        ):
            raise ValueError(
                f"select.review: {name}: a clip beyond {list(review[name])} is dropped already by "
                f"select.limits {list(limits[name])}; the band lies inside the limits"
            )
