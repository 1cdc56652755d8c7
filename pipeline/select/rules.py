"""The rules that a clip must not break, as one table: a new rule is one line here and its limit in the
configuration."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from pipeline.config import SelectConfig
from pipeline.select.presets import PRESETS


@dataclass(frozen=True, slots=True)
class Rule:
    """Drops a clip with `reason` where the value of `column` lies beyond the limit in field `limit`."""

    reason: str
    column: str
    """A column of the clips table, or one that `value_N` computes."""
    sign: Literal["<", ">"]
    """The side of the limit that breaks the rule."""
    limit: str
    """The field of `SelectConfig` that holds the limit."""
    unit: str
    review: str | None = None
    """A field with a milder limit: a clip between the two is kept, and its `detail` begins with `review: `
    and the reason, so that a person can be asked for a look at it."""


RULES = (
    Rule("too_small", "side_px", "<", "min_side_px", "px"),
    Rule("inside_too_small", "inside_px", "<", "min_side_px", "px inside its borders"),
    Rule("too_short", "duration_s", "<", "min_duration_s", "s"),
    Rule("too_long", "duration_s", ">", "max_duration_s", "s"),
    Rule("black", "black", ">", "max_black", "of frames"),
    Rule("blank", "blank", ">", "max_blank", "of frames"),
    Rule("blurred", "sharpness", "<", "min_sharpness", "sharpness"),
    Rule("static", "static", ">", "max_static", "of frames"),
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
"""In order: the first that a clip breaks is the reason that it is dropped."""


def limit(config: SelectConfig, field: str) -> float:
    """Return the limit in force: the field's own value where it was given, else the preset's."""
    own = getattr(config, field)
    return PRESETS[config.preset][field] if own is None else own


def value_N(table: pa.Table, column: str, config: SelectConfig) -> np.ndarray:
    """Return a rule's value for each of N clips as float64; NaN where there was nothing to measure."""
    if column == "duration_s":
        span_N = (_floats(table, "end_pts") - _floats(table, "start_pts")) * _floats(table, "time_base_num")
        video_N = table["kind"].to_numpy(zero_copy_only=False) == "video"
        return np.where(video_N, span_N / _floats(table, "time_base_den"), np.nan)
    if column == "side_px":
        return np.minimum(_floats(table, "height"), _floats(table, "width"))
    if column == "inside_px":
        top, bottom, left, right = (_floats(table, f"border_{side}") for side in SIDES)
        height_N = _floats(table, "height") * (1 - top - bottom)
        return np.minimum(height_N, _floats(table, "width") * (1 - left - right))
    if column == "other_language":
        return _other_language(table, config.languages)
    return _floats(table, column)


def _other_language(table: pa.Table, wanted: Sequence[str]) -> np.ndarray:
    """Return 1 for text in none of the wanted languages, else 0; NaN where no language is known or wanted."""
    if not wanted or "text_language" not in table.column_names:
        return np.full(len(table), np.nan)
    known = table["text_language"].to_pylist()
    return np.array([np.nan if language is None else language not in wanted for language in known], float)


SIDES = ("top", "bottom", "left", "right")


def breaks(rule: Rule, value_N: np.ndarray, limit: float) -> np.ndarray:
    """Return for each value whether it lies beyond the limit. NaN never does."""
    return value_N < limit if rule.sign == "<" else value_N > limit


def said(rule: Rule, value: float, limit: float) -> str:
    """Return a broken rule for a person to read."""
    return f"{value:.4g} {rule.sign} {limit:g} {rule.unit}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """One rule, looked at for one clip."""

    rule: Rule
    value: float | None
    """None where there was nothing to measure."""
    limit: float
    broken: bool


def verdicts(clip: Mapping[str, Any], config: SelectConfig) -> list[Verdict]:
    """Hold one clip against every rule."""
    table = pa.Table.from_pylist([dict(clip)])
    found = []
    for rule in RULES:
        value, most = value_N(table, rule.column, config), limit(config, rule.limit)
        known = None if np.isnan(value[0]) else float(value[0])
        broken = bool(breaks(rule, value, most)[0])
        found.append(Verdict(rule=rule, value=known, limit=most, broken=broken))
    return found


def _floats(table: pa.Table, column: str) -> np.ndarray:
    if column not in table.column_names or pa.types.is_null(table.schema.field(column).type):
        return np.full(len(table), np.nan)  # an analysis from before there was this score
    return table[column].cast(pa.float64()).to_numpy(zero_copy_only=False)
