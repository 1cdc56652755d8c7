"""Check that the limits of a configuration name columns that clips have."""

from manifests.live_view import LiveView
from pipeline.analyze.signals.columns import SCORE_COLUMNS
from pipeline.config import CurateConfig
from pipeline.score.digests import scorer_requests

_NUMBERS = ("float64", "int64", "bool")


def check_limits(view: LiveView, config: CurateConfig) -> None:
    """Raise ValueError if `select.limits` names a column without numbers, or a minimum above its maximum."""
    if not config.select.limits:
        return
    requests = {**view.scorer_requests, **scorer_requests(config.analyze.scorers)}
    kinds = {column.name: column.type for column in SCORE_COLUMNS}
    kinds |= {name: kind for each in requests.values() for name, kind in each.columns.items()}
    numbers = sorted(name for name, kind in kinds.items() if kind in _NUMBERS)
    for name, (low, high) in config.select.limits.items():
        if name not in numbers:
            known = ", ".join(numbers)
            raise ValueError(f"select.limits: no column of numbers is called {name}; there are {known}")
        if low is not None and high is not None and low > high:
            raise ValueError(f"select.limits: {name}: the minimum {low:g} is above the maximum {high:g}")
