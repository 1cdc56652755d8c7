"""Aesthetic heuristic without a model: colourfulness, contrast and sharpness.

Legend: H height, W width, C channels (RGB).
"""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

_MAX_COLORFULNESS = 109.0
"""Colourfulness rated "extremely colourful" (Hasler and Süsstrunk, 2003, table 2)."""
_MAX_CONTRAST = 0.3
"""Contrast that scores 1: standard deviation of luma, 0 to 0.5 (Peli, 1990)."""
_MAX_SHARPNESS = 1000.0
"""Variance of the Laplacian that scores 1, on a logarithmic scale (Pech-Pacheco et al., 2000)."""
_SIDE_PX = 512
"""Long side to which frames are scaled: sharpness depends on size."""


class HeuristicScorer:
    """Computes `aesthetic_heuristic`."""

    def score(self, frames: Sequence[np.ndarray]) -> dict[str, Any]:
        """Return the mean over frames, rgb_HWC."""
        return {"aesthetic_heuristic": float(np.mean([heuristic(frame) for frame in frames]))}


def heuristic(rgb_HWC: np.ndarray) -> float:
    """Return the mean of colourfulness, contrast and sharpness, each 0 to 1."""
    scale = _SIDE_PX / max(rgb_HWC.shape[:2])
    rgb_HWC = cv2.resize(rgb_HWC, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    gray_HW = cv2.cvtColor(rgb_HWC, cv2.COLOR_RGB2GRAY)
    terms = (
        colorfulness(rgb_HWC) / _MAX_COLORFULNESS,
        float(gray_HW.std()) / 255 / _MAX_CONTRAST,
        np.log1p(float(cv2.Laplacian(gray_HW, cv2.CV_32F).var())) / np.log1p(_MAX_SHARPNESS),
    )
    return float(np.mean([min(1.0, term) for term in terms]))


def colorfulness(rgb_HWC: np.ndarray) -> float:
    """Return the colourfulness M(3) of Hasler and Süsstrunk (2003): 0 is gray, 109 extremely colourful."""
    red_HW, green_HW, blue_HW = np.moveaxis(rgb_HWC.astype(np.float32), -1, 0)
    rg_HW, yb_HW = red_HW - green_HW, (red_HW + green_HW) / 2 - blue_HW
    std = np.hypot(rg_HW.std(), yb_HW.std())
    return float(std + 0.3 * np.hypot(rg_HW.mean(), yb_HW.mean()))
