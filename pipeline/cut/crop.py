"""The crop of a clip: the frame inside its borders."""

from collections.abc import Mapping
from math import ceil
from typing import Any

from manifests.digest import digest_parts
from pipeline.columns import BORDER_NAMES
from pipeline.config import CutConfig, config_digest
from video.cut import Crop

_EXACT = 1e-6


def crop_of(clip: Mapping[str, Any], config: CutConfig) -> Crop | None:
    """Return the crop of a row of the clips table; None if it has no border. Borders are rounded up."""
    fractions = [clip.get(name) or 0.0 for name in BORDER_NAMES]
    if not config.crop_borders or not any(fractions):
        return None
    height, width = clip["height"], clip["width"]
    top, bottom = (ceil(fraction * height - _EXACT) for fraction in fractions[:2])
    left, right = (ceil(fraction * width - _EXACT) for fraction in fractions[2:])
    inside = (width - left - right) // 2 * 2, (height - top - bottom) // 2 * 2
    return (left, top, *inside) if min(inside) >= 2 else None


def encoding_of(crop: Crop | None, config: CutConfig) -> str:
    """Return the digest of the crop and the encoding settings."""
    return encoding_under(crop, config_digest(config))


def encoding_under(crop: Crop | None, config: str) -> str:
    """Return `encoding_of` a crop under the settings of which `config` is the digest."""
    return config if crop is None else digest_parts("crop", config, *crop)
