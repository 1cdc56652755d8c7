"""The selection rules, as one table. A new rule is one line here, and its limit a field of `SelectConfig`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from pipeline.columns import BORDER_NAMES
from pipeline.config import SelectConfig
from pipeline.select.presets import NO_LIMIT, PRESETS


@dataclass(frozen=True, slots=True)
class Rule:
    """Drops a clip with `reason` if its `column` lies beyond the limit in the config field `limit`."""

    reason: str
    column: str
    """A column of the clips table, or a value that `value_N` derives."""
    sign: Literal["<", ">"]
    """`<` drops values below the limit, `>` values above it."""
    limit: str
    """The field of `SelectConfig` that holds the limit."""
    unit: str
    review: str | None = None
    """The field with the limit from which on a kept clip is marked for review in its selection's `review`."""


RULES = (
    Rule("too_small", "side_px", "<", "min_side_px", "px"),
    Rule("inside_too_small", "inside_px", "<", "min_side_px", "px inside its borders"),
    Rule("too_short", "duration_s", "<", "min_duration_s", "s"),
    Rule("too_long", "duration_s", ">", "max_duration_s", "s"),
    Rule("black", "black", ">", "max_black", "of frames"),
    Rule("blank", "blank", ">", "max_blank", "of frames"),
    Rule("blurred", "sharpness", "<", "min_sharpness", "sharpness"),
    Rule("static", "static", ">", "max_static", "of time"),
    Rule("frozen", "frozen_s", ">", "max_frozen_s", "s"),
    Rule("flashes", "flashes", ">", "max_flashes", "flashes"),
    Rule("underexposed", "underexposed", ">", "max_underexposed", "of pixels"),
    Rule("overexposed", "overexposed", ">", "max_overexposed", "of pixels"),
    Rule("too_little_motion", "motion", "<", "min_motion", "short sides/s"),
    Rule("shaky", "shake", ">", "max_shake", "short sides/s"),
    Rule("too_much_text", "text_area", ">", "max_text_area", "of the frame"),
    Rule("corner_mark", "corner_mark", ">", "max_corner_marks", "marks"),
    Rule("corner_logo", "corner_logo", ">", "max_corner_marks", "logos"),
    Rule("wrong_language", "other_language", ">", "max_other_language", "in another language"),
    Rule("nsfw", "nsfw", ">", "max_nsfw", "nsfw", review="nsfw_review"),
    Rule("unaesthetic", "aesthetic", "<", "min_aesthetic", "aesthetic"),
    Rule("plain", "aesthetic_heuristic", "<", "min_aesthetic_heuristic", "heuristic"),
)
"""In order: a clip is dropped for the first rule that it breaks."""
_SIDES: tuple[Literal["<", ">"], ...] = ("<", ">")


def rules_of(config: SelectConfig) -> tuple[Rule, ...]:
    """Return `RULES`, and those of `config.limits` and `config.review`."""
    own = [
        Rule(
            reason=column,
            column=column,
            sign=sign,
            limit=f"limits.{column}.{side}",
            unit=column,
            review=f"review.{column}.{side}" if _bound(config.review, column, side) is not None else None,
        )
        for column in dict.fromkeys([*config.limits, *config.review])
        for side, sign in enumerate(_SIDES)
        if _bound(config.limits, column, side) is not None or _bound(config.review, column, side) is not None
    ]
    return (*RULES, *own)


def limit(config: SelectConfig, field: str) -> float:
    """Return the value of a limit field: the configured one, or else the preset's."""
    name, _, rest = field.partition(".")
    configured = getattr(config, name)
    if not rest:
        return PRESETS[config.preset][field] if configured is None else configured
    column, _, side = rest.rpartition(".")
    bound = _bound(configured, column, int(side))
    return (-NO_LIMIT, NO_LIMIT)[int(side)] if bound is None else bound


def _bound(bounds: Mapping[str, tuple[float | None, float | None]], column: str, side: int) -> float | None:
    return bounds[column][side] if column in bounds else None


def value_N(table: pa.Table, column: str, config: SelectConfig) -> np.ndarray:
    """Return a rule's value for each of N clips as float64; NaN for a missing score."""
    if column == "duration_s":
        span_N = (_floats(table, "end_pts") - _floats(table, "start_pts")) * _floats(table, "time_base_num")
        video_N = table["kind"].to_numpy(zero_copy_only=False) == "video"
        return np.where(video_N, span_N / _floats(table, "time_base_den"), np.nan)
    if column == "side_px":
        return np.minimum(_floats(table, "height"), _floats(table, "width"))
    if column == "inside_px":
        top, bottom, left, right = (_floats(table, name) for name in BORDER_NAMES)
        height_N = _floats(table, "height") * (1 - top - bottom)
        return np.minimum(height_N, _floats(table, "width") * (1 - left - right))
    if column == "other_language":
        return _other_language(table, config.languages)
    return _floats(table, column)


def _other_language(table: pa.Table, languages: Sequence[str]) -> np.ndarray:
    """Return 1 for text in none of `languages`, else 0; NaN if the language is unknown or any is allowed."""
    if not languages or "text_language" not in table.column_names:
        return np.full(len(table), np.nan)
    found = table["text_language"].to_pylist()
    return np.array([np.nan if language is None else language not in languages for language in found], float)


def violates(rule: Rule, value_N: np.ndarray, limit: float) -> np.ndarray:
    """Return a mask of the values beyond the limit. NaN never is."""
    return value_N < limit if rule.sign == "<" else value_N > limit


def format_violation(rule: Rule, value: float, limit: float) -> str:
    """Format a violation, such as `0.002 < 0.004 sharpness`."""
    return f"{value:.4g} {rule.sign} {limit:g} {rule.unit}"


@dataclass(frozen=True, kw_only=True, slots=True)
class RuleCheck:
    """The result of one rule for one clip."""

    rule: Rule
    value: float | None
    """None for a missing score."""
    limit: float
    broken: bool


def check_rules(clip: Mapping[str, Any], config: SelectConfig) -> list[RuleCheck]:
    """Check one clip against every rule."""
    table = pa.Table.from_pylist([dict(clip)])
    checks = []
    for rule in rules_of(config):
        value_1, rule_limit = value_N(table, rule.column, config), limit(config, rule.limit)
        value = None if np.isnan(value_1[0]) else float(value_1[0])
        broken = bool(violates(rule, value_1, rule_limit)[0])
        checks.append(RuleCheck(rule=rule, value=value, limit=rule_limit, broken=broken))
    return checks


def _floats(table: pa.Table, column: str) -> np.ndarray:
    if column not in table.column_names or pa.types.is_null(table.schema.field(column).type):
        return np.full(len(table), np.nan)  # an analysis older than this score
    return table[column].cast(pa.float64()).to_numpy(zero_copy_only=False)
