"""Aesthetic score by a linear head over the embedding of a frame.

Legend: T frames, D embedding dimensions.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from pipeline.score.embedding import ImageEncoder


class HeadScorer:
    """Computes `aesthetic`: a linear layer over the normalised CLIP embedding, as LAION's predictor does
    (https://github.com/LAION-AI/aesthetic-predictor)."""

    def __init__(self, encoder: ImageEncoder, head: str) -> None:
        """Args:
        head: path of the linear layer.
        """
        self._encoder = encoder
        weight_D, self._bias = load_head(head)
        self._weight_D = weight_D.numpy()

    def score(self, frames: Sequence[np.ndarray]) -> dict[str, Any]:
        """Return the mean over frames, rgb_HWC."""
        embedding_TD = self._encoder.encode(frames)
        if embedding_TD.shape[1] != self._weight_D.shape[0]:
            raise ValueError(
                f"the aesthetic head takes {self._weight_D.shape[0]} numbers, the model gives "
                f"{embedding_TD.shape[1]}: take the head that was trained on this model"
            )
        return {"aesthetic": float((embedding_TD @ self._weight_D + self._bias).mean())}


def load_head(path: str) -> tuple[torch.Tensor, float]:
    """Load weight_D and bias of a head. Raises ValueError unless it is one linear layer with one output."""
    try:
        state = (
            load_file(path) if path.endswith(".safetensors") else torch.load(path, "cpu", weights_only=True)
        )
    except SafetensorError as error:
        raise ValueError(
            f"{path}: its weights cannot be read ({error}); copy the head again, whole"
        ) from error
    if not isinstance(state, dict) or set(state) != {"weight", "bias"} or state["weight"].ndim != 2:
        held = ", ".join(map(str, state)) if isinstance(state, dict) else type(state).__name__
        raise ValueError(f"{path}: holds {held}; an aesthetic head is one linear layer, `weight` and `bias`")
    if state["weight"].shape[0] != 1:
        raise ValueError(f"{path}: gives {state['weight'].shape[0]} numbers; an aesthetic head gives one")
    return state["weight"][0].float(), float(state["bias"])
