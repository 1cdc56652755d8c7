"""Text in frames, by rapidocr (PP-OCR small models that come inside the package). 0.2 to 0.4 s a frame."""

from importlib.metadata import version
from typing import Any

import numpy as np
from rapidocr import RapidOCR

LONG_SIDE_PX = 736
"""Frames are scaled down to this first; the default of the package scales small ones up."""


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
        found: Any = self.engine(frame_HWC[..., ::-1])
        lines = zip(found.txts or (), found.scores or (), strict=True)
        return [text for text, score in lines if score > min_score and len(text.strip()) >= min_length]
