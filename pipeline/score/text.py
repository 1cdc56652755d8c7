"""Burned-in text: share of the frame, number of lines, language, and corner marks."""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from captioner.language import TextLanguage
from pipeline.config import ScorersConfig
from pipeline.score.corners import has_corner_mark, scene_changed
from video.scorers.text import TextLine, TextReader

_GRID = 200
"""Cells per side of the grid on which overlapping boxes are counted once."""


class TextScorer:
    """Computes `TEXT_COLUMNS`."""

    def __init__(self, config: ScorersConfig) -> None:
        self._config, self._reader, self._language = config, TextReader(), TextLanguage()

    def score(self, frames: Sequence[np.ndarray]) -> dict[str, Any]:
        """Return the columns of a clip from its frames rgb_HWC in time order."""
        limits = {"min_score": self._config.min_text_score, "min_length": self._config.min_text_length}
        lines = [self._reader.read_lines(frame, **limits) for frame in frames]
        texts = dict.fromkeys(line.text.strip() for found in lines for line in found)
        boxes = [[(line.box, line.text.strip()) for line in found] for found in lines]
        grays = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames]
        return {
            "text_area": float(np.median([covered_area(found) for found in lines])),
            "text_lines": float(np.median([len(found) for found in lines])),
            "text_language": self._language(" ".join(texts)),
            "corner_mark": has_corner_mark(boxes) if scene_changed(grays) else None,
        }


def covered_area(lines: Sequence[TextLine]) -> float:
    """Return the share of a frame that the boxes of all lines cover."""
    covered = np.zeros((_GRID, _GRID), bool)
    for line in lines:
        left, top, right, bottom = (round(v * _GRID) for v in line.box)
        covered[top:bottom, left:right] = True
    return float(covered.mean())
