"""Burned-in text: share of the frame, number of lines, language, and whether some is a corner mark."""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from pipeline.config import ScorersConfig
from pipeline.score.corners import changed, stays
from pipeline.score.language import LanguageOf
from video.scorers.text import TextLine, TextReader

_GRID = 200
"""Overlapping boxes are counted once, on a grid of so many cells a side."""


class TextScorer:
    """Gives the columns `TEXT`."""

    def __init__(self, config: ScorersConfig) -> None:
        self._config, self._reader, self._language = config, TextReader(), LanguageOf()

    def score(self, frames: Sequence[np.ndarray]) -> dict[str, Any]:
        """Return the columns of one clip, from its frames rgb_HWC in time order."""
        limits = {"min_score": self._config.min_text_score, "min_length": self._config.min_text_length}
        lines = [self._reader.read_lines(frame, **limits) for frame in frames]
        texts = dict.fromkeys(line.text.strip() for found in lines for line in found)
        placed = [[(line.box, line.text.strip()) for line in found] for found in lines]
        grays = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames]
        return {
            "text_area": float(np.median([area(found) for found in lines])),
            "text_lines": float(np.median([len(found) for found in lines])),
            "text_language": self._language(" ".join(texts)),
            "corner_mark": stays(placed) if changed(grays) else None,
        }


def area(lines: Sequence[TextLine]) -> float:
    """Return the share of a frame that boxes of lines cover together."""
    covered = np.zeros((_GRID, _GRID), bool)
    for line in lines:
        left, top, right, bottom = (round(v * _GRID) for v in line.box)
        covered[top:bottom, left:right] = True
    return float(covered.mean())
