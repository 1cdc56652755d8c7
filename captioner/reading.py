"""Text in frames, by rapidocr (PP-OCR small models that come inside the package). 0.2 to 0.4 s a frame."""

from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
from rapidocr import RapidOCR

LONG_SIDE_PX = 736
"""Frames are scaled down to this first; the default of the package scales small ones up."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """One line of text in a frame."""

    text: str
    score: float
    """How sure the reader is, 0 to 1."""
    box: tuple[float, float, float, float]
    """Left, top, right, bottom, in shares of the frame's width and height: the upright box
    around it."""


class TextReader:
    """Holds the models."""

    def __init__(self) -> None:
        self.engine = RapidOCR(
            params={
                "Global.log_level": "error",
                "Global.use_cls": False,
                "EngineConfig.onnxruntime.intra_op_num_threads": 1,
                "EngineConfig.onnxruntime.inter_op_num_threads": 1,
                "Det.limit_type": "max",
                "Det.limit_side_len": LONG_SIDE_PX,
            }
        )
        self.name = f"PP-OCR small (rapidocr {version('rapidocr')})"

    def read(self, frame_HWC: np.ndarray, *, min_score: float, min_length: int) -> list[str]:
        """Return the lines surely read and long enough to mean something, top to bottom (RGB frame)."""
        return [line.text for line in self.find(frame_HWC, min_score=min_score, min_length=min_length)]

    def find(self, frame_HWC: np.ndarray, *, min_score: float, min_length: int) -> list[Line]:
        """Return the same lines with where they stand."""
        found: Any = self.engine(frame_HWC[..., ::-1])
        if found.boxes is None:
            return []
        height, width = frame_HWC.shape[:2]
        lines = []
        for corners_42, text, score in zip(found.boxes, found.txts or (), found.scores or (), strict=True):
            if score > min_score and len(text.strip()) >= min_length:
                (left, top), (right, bottom) = np.min(corners_42, axis=0), np.max(corners_42, axis=0)
                box = (_share(left, width), _share(top, height), _share(right, width), _share(bottom, height))
                lines.append(Line(text=text, score=float(score), box=box))
        return lines


def _share(at_px: float, size_px: int) -> float:
    return min(1.0, max(0.0, float(at_px) / size_px))
