"""Classify the shape of a coverage mask with blurred templates of the palette's shapes.

Legend: H height, W width.
"""

import math
from collections.abc import Sequence
from functools import cache
from typing import TypeVar

import cv2
import numpy as np

from worlds.palette import SHAPES
from worlds.rasterize import coverage

BLURS = (0.4, 0.8, 1.3, 1.9, 2.6)
"""Blurs of the templates (sigma in pixels at a 64-pixel short side)."""
MAX_SHAPE_ERROR = 0.05
"""Maximum of one minus the squared correlation with the best template."""
SHAPE_FRAMES = 8
"""Number of evenly spaced frames over which a mask is averaged."""
Region = TypeVar("Region")


def sampled(regions: Sequence[Region]) -> list[Region]:
    """Return the evenly spaced regions of a track over which its mask is averaged."""
    return [regions[i] for i in np.unique(np.linspace(0, len(regions) - 1, SHAPE_FRAMES).round().astype(int))]


def fit_shape(outline_HW: np.ndarray, scale: float) -> tuple[str | None, float]:
    """Return the shape of the best blurred template and its error; None instead of a shape if none fits.

    Args:
        outline_HW: coverage of each pixel (0 to 1), centred.
        scale: short side of the frame in units of 64 pixels.
    """
    errors = {shape: min(_misfit(outline_HW, shape, sigma * scale) for sigma in BLURS) for shape in SHAPES}
    best = min(errors, key=errors.__getitem__)
    return (best if errors[best] < MAX_SHAPE_ERROR else None), errors[best]


def centered(alpha_HW: np.ndarray, reach: int) -> np.ndarray:
    """Shift a mask to the centre of a square of 2 * reach + 1 pixels."""
    side = 2 * reach + 1
    row, column = _center_of_mass(alpha_HW)
    shift = np.array([[1, 0, reach - column], [0, 1, reach - row]], np.float64)
    return cv2.warpAffine(alpha_HW, shift, (side, side), flags=cv2.INTER_LINEAR)


def _misfit(outline_HW: np.ndarray, shape: str, sigma: float) -> float:
    """Return 1 minus the squared correlation of a mask with a template blurred by `sigma`.

    The template has the spread of the mask, of which blur contributes 2 sigma^2. The amplitude of the mask
    does not matter, since a blurred thing never reaches its full colour.
    """
    side = outline_HW.shape[0]
    size_px = math.sqrt(max(_spread(outline_HW) - 2 * sigma**2, 1.0) / _unit_spread(shape))
    template_HW = cv2.GaussianBlur(
        coverage(shape, size_px, (side / 2, side / 2), (side, side)), (0, 0), sigma
    )
    return 1 - float((outline_HW * template_HW).sum() ** 2 / ((outline_HW**2).sum() * (template_HW**2).sum()))


def _spread(mask_HW: np.ndarray) -> float:
    """Return the mean squared distance from the centre of mass, in squared pixels."""
    rows, columns = np.indices(mask_HW.shape)
    row, column = _center_of_mass(mask_HW)
    return float((((rows - row) ** 2 + (columns - column) ** 2) * mask_HW).sum() / mask_HW.sum())


def _center_of_mass(mask_HW: np.ndarray) -> tuple[float, float]:
    """Return the centre of mass (row, column)."""
    rows, columns = np.indices(mask_HW.shape)
    return (rows * mask_HW).sum() / mask_HW.sum(), (columns * mask_HW).sum() / mask_HW.sum()


@cache
def _unit_spread(shape: str) -> float:
    """Return the spread of a shape of size 1."""
    return _spread(coverage(shape, 96, (50, 50), (100, 100))) / 96**2
