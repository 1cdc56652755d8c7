"""Which part of the upright picture is cut out: what lies inside the borders."""

from collections.abc import Mapping
from math import ceil
from typing import Any

from manifests.records import digest
from pipeline.columns import BORDER_NAMES
from pipeline.config import CutConfig, config_digest
from video.cut import Crop

_EXACT = 1e-6


def crop_of(clip: Mapping[str, Any], config: CutConfig) -> Crop | None:
    """Return the crop of a row of the clips table; None where there is no border.

    A border that ends inside a pixel takes the whole pixel.
    """
    shares = [clip.get(name) or 0.0 for name in BORDER_NAMES]
    if not config.crop_borders or not any(shares):
        return None
    height, width = clip["height"], clip["width"]
    top, bottom = (ceil(share * height - _EXACT) for share in shares[:2])
    left, right = (ceil(share * width - _EXACT) for share in shares[2:])
    inside = (width - left - right) // 2 * 2, (height - top - bottom) // 2 * 2
    return (left, top, *inside) if min(inside) >= 2 else None


def encoding_of(crop: Crop | None, config: CutConfig) -> str:
    """Name the crop and the encoding settings."""
    name = config_digest(config)
    return name if crop is None else digest("crop", name, *crop)
