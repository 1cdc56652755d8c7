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
        ("too_much_text", clip.get("text_area"), ">", config.max_text_area, "of the frame"),
        ("corner_mark", clip.get("corner_mark"), ">", float(config.corner_marks), "marks"),
        ("corner_logo", clip.get("corner_logo"), ">", float(config.corner_marks), "logos"),
        ("wrong_language", _foreign(clip, config), ">", 0.0, f"in {clip.get('text_language')}"),
        ("nsfw", clip.get("nsfw"), ">", config.max_nsfw, "nsfw"),
        ("unaesthetic", clip.get("aesthetic"), "<", config.min_aesthetic, "aesthetic"),
        ("plain", clip.get("aesthetic_heuristic"), "<", config.min_aesthetic_heuristic, "heuristic"),
    ]
    broken = [rule for rule in rules if rule[1] is not None and _breaks(*rule[1:4])]
    reason, detail = KEPT, _review(clip, config)
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


REVIEW = "review: "
"""How the detail of a clip begins that is kept, and that a person should look at."""


def _review(clip: Mapping[str, Any], config: SelectConfig) -> str:
    nsfw = clip.get("nsfw")
    doubtful = nsfw is not None and nsfw > config.nsfw_review
    return f"{REVIEW}{nsfw:.4g} > {config.nsfw_review:g} nsfw" if doubtful else ""


def _foreign(clip: Mapping[str, Any], config: SelectConfig) -> bool | None:
    language = clip.get("text_language")
    return language not in config.languages if language and config.languages else None


def _breaks(value: float, sign: str, limit: float) -> bool:
    return value < limit if sign == "<" else value > limit
