"""Decide which clips are kept: rows in, one decision a clip out. Nothing is read, decoded or thrown away."""

from collections.abc import Mapping, Sequence
from typing import Any

from manifests.records import Selection, digest
from pipeline.config import SelectConfig, config_digest

KEPT = "kept"


def rules_digest(config: SelectConfig, analysis: str) -> str:
    """Name the rules together with the measurements that they look at: new scores need a new decision."""
    return digest("rules", config_digest(config), analysis)


def select(clips: Sequence[Mapping[str, Any]], config: SelectConfig) -> list[Selection]:
    """Decide on each row of the clips table (a record's fields and its score columns)."""
    return [decide(clip, config) for clip in clips]


def decide(clip: Mapping[str, Any], config: SelectConfig) -> Selection:
    """Return the decision on one clip: dropped by the first rule that it breaks, else kept.

    A score that is missing (None: the analyzer had nothing to measure) breaks no rule.
    """
    duration_s = (clip["end_pts"] - clip["start_pts"]) * clip["time_base_num"] / clip["time_base_den"]
    video = clip["kind"] == "video"
    rules = [
        ("too_small", min(clip["height"], clip["width"]), "<", config.min_side_px, "px"),
        ("too_short", duration_s if video else None, "<", config.min_duration_s, "s"),
        ("too_long", duration_s if video else None, ">", config.max_duration_s, "s"),
        ("black", clip["black"], ">", config.max_black, "of frames"),
        ("blurred", clip["sharpness"], "<", config.min_sharpness, "sharpness"),
        ("static", clip["static"], ">", config.max_static, "of frames"),
        ("too_little_motion", clip["motion"], "<", config.min_motion, "short sides/s"),
    ]
    broken = [rule for rule in rules if rule[1] is not None and _breaks(*rule[1:4])]
    reason, detail = KEPT, ""
    if broken:
        reason, value, sign, limit, unit = broken[0]
        detail = f"{value:.4g} {sign} {limit:g} {unit}"
    return Selection(
        clip_id=clip["clip_id"],
        kept=not broken,
        reason=reason,
        detail=detail,
        rules=rules_digest(config, clip["analysis"]),
    )


def _breaks(value: float, sign: str, limit: float) -> bool:
    return value < limit if sign == "<" else value > limit
