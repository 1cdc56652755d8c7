"""Presets: named sets of limits for the selection rules. A field of `SelectConfig` overrides its preset."""

from collections.abc import Mapping

from pipeline.config import Preset

NO_LIMIT = 1e9
"""Larger than any score. JSON has no infinity."""

_PERMISSIVE: Mapping[str, float] = {
    "min_side_px": 32,
    "min_duration_s": 0.5,
    "max_duration_s": 60.0,
    "max_black": 0.5,
    "max_blank": 0.5,
    "min_sharpness": 0.004,
    "max_static": 1.0,
    "max_frozen_s": NO_LIMIT,
    "max_flashes": NO_LIMIT,
    "max_underexposed": 1.0,
    "max_overexposed": 1.0,
    "min_motion": 0.0,
    "max_shake": NO_LIMIT,
    "max_text_area": 1.0,
    "max_corner_marks": 1,
    "max_other_language": 0,
    "max_nsfw": 0.95,
    "nsfw_review": 0.5,
    "min_aesthetic": -NO_LIMIT,
    "min_aesthetic_heuristic": 0.0,
}

PRESETS: Mapping[Preset, Mapping[str, float]] = {
    "permissive": _PERMISSIVE,
    "standard": {
        **_PERMISSIVE,
        "min_side_px": 256,
        "min_duration_s": 1.0,
        "max_black": 0.2,
        "max_blank": 0.2,
        "min_sharpness": 0.04,
        "max_static": 0.9,
        "max_frozen_s": 2.0,
        "max_flashes": 2,
        "max_underexposed": 0.8,
        "max_overexposed": 0.5,
        "min_motion": 0.002,
        "max_shake": 1.0,
        "max_text_area": 0.05,
    },
    "strict": {
        **_PERMISSIVE,
        "min_side_px": 480,
        "min_duration_s": 2.0,
        "max_black": 0.0,
        "max_blank": 0.0,
        "min_sharpness": 0.08,
        "max_static": 0.5,
        "max_frozen_s": 0.5,
        "max_flashes": 0,
        "max_underexposed": 0.6,
        "max_overexposed": 0.3,
        "min_motion": 0.01,
        "max_shake": 0.5,
        "max_text_area": 0.02,
        "max_corner_marks": 0,
        "max_nsfw": 0.9,
        "nsfw_review": 0.3,
    },
}
"""`permissive`, the default, keeps static shots."""
