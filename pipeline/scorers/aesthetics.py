"""How pleasing frames are: by a learned linear head over an open_clip embedding, or by an open formula."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
from PIL import Image
from safetensors.torch import load_file

from pipeline.config import ScorersConfig


class HeadScorer:
    """Gives `aesthetic`: an image encoder of CLIP and a linear layer over its normalised embedding, as in
    LAION's predictor (https://github.com/LAION-AI/aesthetic-predictor)."""

    def __init__(self, config: ScorersConfig) -> None:
        name = config.clip_model
        if name.endswith(".json"):
            open_clip.add_model_config(name)
            name = Path(name).stem
        model, _, transform = open_clip.create_model_and_transforms(
            name, pretrained=config.clip_weights, weights_only=True
        )
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        self._model = model.eval().to(self._device)
        self._transform: Any = transform
        self._weight_D, self._bias = load_head(config.aesthetic_head)

    @torch.inference_mode()
    def score(self, frames: Sequence[np.ndarray]) -> dict[str, Any]:
        """Return the mean over frames, rgb_HWC."""
        images_TCHW = torch.stack([self._transform(Image.fromarray(frame)) for frame in frames])
        embedded: Any = self._model.encode_image(images_TCHW.to(self._device), normalize=True)  # type: ignore[operator]
        embedded_TD = embedded.float().cpu()
        if embedded_TD.shape[1] != self._weight_D.shape[0]:
            raise ValueError(
                f"the aesthetic head takes {self._weight_D.shape[0]} numbers, the model gives "
                f"{embedded_TD.shape[1]}: take the head that was trained on this model"
            )
        return {"aesthetic": float((embedded_TD @ self._weight_D + self._bias).mean())}


def load_head(path: str) -> tuple[torch.Tensor, float]:
    """Return weight_D and bias of a head. Raises ValueError for a file that is no single linear layer."""
    state = load_file(path) if path.endswith(".safetensors") else torch.load(path, "cpu", weights_only=True)
    if not isinstance(state, dict) or set(state) != {"weight", "bias"} or state["weight"].ndim != 2:
        held = ", ".join(map(str, state)) if isinstance(state, dict) else type(state).__name__
        raise ValueError(f"{path}: holds {held}; an aesthetic head is one linear layer, `weight` and `bias`")
    if state["weight"].shape[0] != 1:
        raise ValueError(f"{path}: gives {state['weight'].shape[0]} numbers; an aesthetic head gives one")
    return state["weight"][0].float(), float(state["bias"])
