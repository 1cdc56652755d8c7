"""An open stand-in for a learned taste: colour, contrast and sharpness. It knows nothing of what is shown."""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

_COLORFUL = 109.0
"""Colourfulness that people call extreme (Hasler and Süsstrunk, 2003, table 2)."""
_CONTRAST = 0.3
"""Contrast (standard deviation of luma, 0 to 0.5; Peli, 1990) that counts as full."""
_SHARP = 1000.0
"""Variance of the Laplacian (Pech-Pacheco et al., 2000) that counts as full; it goes in by its logarithm."""
_SIDE_PX = 512
"""Frames are brought to this long side first: sharpness depends on size."""


class HeuristicScorer:
    """Gives `aesthetic_heuristic`."""

    def score(self, frames: Sequence[np.ndarray]) -> dict[str, Any]:
        """Return the mean over frames, rgb_HWC."""
        return {"aesthetic_heuristic": float(np.mean([heuristic(frame) for frame in frames]))}


def heuristic(rgb_HWC: np.ndarray) -> float:
    """Return the mean of three shares, each 0 to 1: colourfulness, contrast, sharpness."""
    scale = _SIDE_PX / max(rgb_HWC.shape[:2])
    rgb_HWC = cv2.resize(rgb_HWC, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    gray_HW = cv2.cvtColor(rgb_HWC, cv2.COLOR_RGB2GRAY)
    sharp = np.log1p(float(cv2.Laplacian(gray_HW, cv2.CV_32F).var())) / np.log1p(_SHARP)
    parts = (colorfulness(rgb_HWC) / _COLORFUL, float(gray_HW.std()) / 255 / _CONTRAST, sharp)
    return float(np.mean([min(1.0, part) for part in parts]))


def colorfulness(rgb_HWC: np.ndarray) -> float:
    """Return M(3) of Hasler and Süsstrunk (2003): 0 is gray, 109 extremely colourful."""
    red_HW, green_HW, blue_HW = np.moveaxis(rgb_HWC.astype(np.float32), -1, 0)
    first_HW, second_HW = red_HW - green_HW, (red_HW + green_HW) / 2 - blue_HW
    spread = np.hypot(first_HW.std(), second_HW.std())
    return float(spread + 0.3 * np.hypot(first_HW.mean(), second_HW.mean()))
