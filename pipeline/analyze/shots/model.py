"""The small network that tells cuts and gradual transitions from motion: three matrices, run by numpy alone.

It was trained by `python -m kinora.training.shot_training` on spliced videos whose every transition is known.
Numpy, because the process that decodes foreign files loads no torch.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

WEIGHTS = Path(__file__).with_name("shots.safetensors")


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ShotModel:
    """Weights of a perceptron with two hidden layers, and how its input is scaled."""

    mean_F: np.ndarray
    scale_F: np.ndarray
    layers: tuple[tuple[np.ndarray, np.ndarray], ...]
    """(weight, bias) of each layer."""

    def __call__(self, features_TF: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return, for each frame, how likely it begins a shot after a hard cut, and lies in a transition."""
        values = (features_TF - self.mean_F) * self.scale_F
        for weight, bias in self.layers[:-1]:
            values = np.maximum(values @ weight + bias, 0)
        weight, bias = self.layers[-1]
        logits = values @ weight + bias
        logits -= logits.max(axis=1, keepdims=True)
        share = np.exp(logits)
        share /= share.sum(axis=1, keepdims=True)
        return share[:, 1], share[:, 2]


@cache
def load(path: Path = WEIGHTS) -> ShotModel:
    """Load the weights that ship here. Read once a process."""
    held = load_file(path)
    numbers = range(sum(name.startswith("weight") for name in held))
    return ShotModel(
        mean_F=held["mean"],
        scale_F=held["scale"],
        layers=tuple((held[f"weight{n}"], held[f"bias{n}"]) for n in numbers),
    )
