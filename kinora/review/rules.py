"""The rules that kept a clip, with their limits, for the review desk."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from manifests.dataset import Dataset
from manifests.review.cards import RuleResult
from pipeline.columns import BORDER_NAMES
from pipeline.config import SelectConfig, config_digest
from pipeline.planning.last_config import last
from pipeline.select.presets import NO_LIMIT
from pipeline.select.rules import Rule, check_rules, limit, rules_of, value_N

_SIZE_COLUMNS = ("height", "width", "kind", "start_pts", "end_pts", "time_base_num", "time_base_den")


class LastRules:
    """The selection rules of the newest selection of a dataset. Rules without a limit are left out."""

    def __init__(self, dataset: Dataset) -> None:
        self._config = last(dataset, "select", SelectConfig)
        self._rules = [
            (rule, found)
            for rule in rules_of(self._config)
            if abs(found := limit(self._config, rule.limit)) < NO_LIMIT
        ]

    @property
    def columns(self) -> Sequence[str]:
        """Columns of the clips view that the rules read."""
        derived = {"duration_s", "side_px", "inside_px", "other_language"}
        measured = [rule.column for rule, _ in self._rules if rule.column not in derived]
        return [*dict.fromkeys([*_SIZE_COLUMNS, *BORDER_NAMES, "text_language", *measured])]

    @property
    def digest(self) -> str:
        """Digest of the limits."""
        return config_digest(self._config)

    def nearest(self, clips: pa.Table) -> pa.Table:
        """Return the rule nearest to its limit for each clip: its `margin`, and a `detail` for people."""
        num = len(clips)
        margin_N, rule_N, near_N = np.full(num, np.inf), np.full(num, -1), np.full(num, np.nan)
        for index, (rule, bound) in enumerate(self._rules):
            if bound == 0:
                continue  # no distance is a fraction of it
            values_N = value_N(clips, rule.column, self._config)
            own_N = np.abs(values_N - bound) / abs(bound)
            closer_N = own_N < margin_N  # NaN is never closer
            margin_N[closer_N], rule_N[closer_N] = own_N[closer_N], index
            near_N[closer_N] = values_N[closer_N]
        details = [
            _detail(self._rules[index], value) if index >= 0 else None
            for index, value in zip(rule_N.tolist(), near_N.tolist(), strict=True)
        ]
        margins = pa.array(margin_N, mask=np.isinf(margin_N))
        return pa.table({"margin": margins, "detail": pa.array(details, pa.string())})

    def check(self, clip: Mapping[str, Any]) -> Sequence[RuleResult]:
        """Return what each rule measured in one clip, nearest to its limit first."""
        found = [
            RuleResult(
                reason=each.rule.reason,
                value=each.value,
                limit=each.limit,
                sign=each.rule.sign,
                unit=each.rule.unit,
                broken=each.broken,
            )
            for each in check_rules(clip, self._config)
            if abs(each.limit) < NO_LIMIT
        ]
        return sorted(found, key=_distance)


def _detail(rule: tuple[Rule, float], value: float) -> str:
    return f"{rule[0].column} {value:.4g}, limit {rule[1]:g}"


def _distance(result: RuleResult) -> float:
    if result.value is None:
        return np.inf
    return abs(result.value - result.limit) / max(abs(result.limit), 1e-9)
