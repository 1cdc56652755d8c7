"""The shot detection network: a multilayer perceptron.

`python -m kinora.training.shot_training` trains it on spliced videos with known transitions. numpy runs it,
because the decoding process imports no torch.

Legend: T frames, F features.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

WEIGHTS = Path(__file__).with_name("shots.safetensors")


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ShotModel:
    """A perceptron with two hidden layers, and the normalisation of its input."""

    mean_F: np.ndarray
    scale_F: np.ndarray
    layers: tuple[tuple[np.ndarray, np.ndarray], ...]
    """(weight, bias) of each layer."""

    def __call__(self, features_TF: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return cut_T and gradual_T: probabilities of a hard cut before, and a transition at, a frame."""
        values = (features_TF - self.mean_F) * self.scale_F
        for weight, bias in self.layers[:-1]:
            values = np.maximum(values @ weight + bias, 0)
        weight, bias = self.layers[-1]
        logits = values @ weight + bias
        logits -= logits.max(axis=1, keepdims=True)
        probs = np.exp(logits)
        probs /= probs.sum(axis=1, keepdims=True)
        return probs[:, 1], probs[:, 2]


@cache
def load_shot_model(path: Path = WEIGHTS) -> ShotModel:
    """Load the network once per process; by default the weights in this package."""
    tensors = load_file(path)
    num_layers = sum(name.startswith("weight") for name in tensors)
    return ShotModel(
        mean_F=tensors["mean"],
        scale_F=tensors["scale"],
        layers=tuple((tensors[f"weight{n}"], tensors[f"bias{n}"]) for n in range(num_layers)),
    )
