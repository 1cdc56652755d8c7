"""Embeddings of an open_clip model, with the pixels and the activation that its weights want.

Legend: N pictures, S texts, H x W pixels, C channels (RGB, uint8), D embedding dimensions.
"""

import pickle
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
from PIL import Image
from safetensors import SafetensorError

_PIXELS = ("mean", "std", "interpolation", "resize_mode")
_BATCH_TEXTS = 256


class OpenClipEmbedder:
    """An open_clip model and its tokenizer, which is loaded with the first text."""

    def __init__(self, model: str, weights: str = "", device: str = "") -> None:
        """Load the model.

        Args:
            model: `local-dir:FOLDER`, or `NAME/TAG` with a file of `weights`.

        Raises:
            ValueError: for weights that are not those of the architecture, or that hold more than tensors.
        """
        self._device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        self._id, self.name = model, f"open_clip {Path(model.removeprefix('local-dir:')).name}"
        options: dict[str, Any] = {}
        if weights:
            pretrained = pretrained_config(model)
            self._id, self.name = model.split("/")[0], f"open_clip {model}"
            options = {f"image_{name}": pretrained[name] for name in _PIXELS if pretrained.get(name)}
            options |= {"pretrained": str(Path(weights).absolute())}
            options |= {"quick_gelu": bool(pretrained.get("quick_gelu"))}
        try:
            loaded: Any = open_clip.create_model_from_pretrained(self._id, weights_only=True, **options)
        except (RuntimeError, pickle.UnpicklingError, SafetensorError) as error:
            reason = " ".join(str(error).split())[:400]
            raise ValueError(
                f"clip_model: {weights or model}: cannot be loaded as {self._id}: {reason}; give the "
                "weights of this architecture, as .safetensors"
            ) from error
        self._model, self._transform = loaded[0].eval().to(self._device), loaded[1]

    @torch.inference_mode()
    def embed_images(self, frames: Sequence[np.ndarray]) -> np.ndarray:
        """Return unit embeddings_ND (float32) of frames rgb_HWC."""
        pixels_NCHW = torch.stack([self._transform(Image.fromarray(frame)) for frame in frames])
        embedding_ND = self._model.encode_image(pixels_NCHW.to(self._device), normalize=True)
        return embedding_ND.float().cpu().numpy()

    @torch.inference_mode()
    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        """Return unit embeddings_SD (float32). Raises ValueError if the tokenizer cannot be loaded."""
        embedded: list[np.ndarray] = []
        for first in range(0, len(texts), _BATCH_TEXTS):
            tokens_SL = self._tokenizer(list(texts[first : first + _BATCH_TEXTS])).to(self._device)
            embedded.append(self._model.encode_text(tokens_SL, normalize=True).float().cpu().numpy())
        return np.concatenate(embedded)

    def count_tokens(self, text: str) -> tuple[int, int]:
        """Return how many tokens of a text the model sees, and how many the text has."""
        tokenizer = self._tokenizer
        if hasattr(tokenizer, "encode"):
            count = len(tokenizer.encode(text)) + 2  # begin and end
        else:
            count = len(tokenizer.tokenizer(text)["input_ids"])
        return min(count, int(tokenizer.context_length)), count

    @cached_property
    def _tokenizer(self) -> Any:
        try:
            return open_clip.get_tokenizer(self._id)
        except (OSError, ValueError) as error:
            raise ValueError(
                f"clip_model: the tokenizer of {self.name} cannot be loaded; put its files into a folder "
                f"with the model, and name it local-dir:FOLDER ({' '.join(str(error).split())[:300]})"
            ) from error


def pretrained_config(model: str) -> dict[str, Any]:
    """Return what open_clip knows of a `NAME/TAG`: mean, std, interpolation, resize_mode, quick_gelu.

    Raises ValueError, with the tags that there are, if it knows no such tag.
    """
    name, _, tag = model.partition("/")
    tags = open_clip.list_pretrained_tags_by_model(name)
    if not tags:
        raise ValueError(
            f"clip_model {model!r}: open_clip knows no weights of an architecture {name!r}; put the model "
            "into a folder with an open_clip_config.json, and name it local-dir:FOLDER"
        )
    if tag not in tags:
        problem = (
            f"has no tag {tag!r}" if tag else "does not say which pixels and activation its weights want"
        )
        raise ValueError(
            f"clip_model {model!r}: {problem}; write {name}/TAG with the tag of the weights, one of "
            f"{', '.join(tags)}, or name a folder as local-dir:FOLDER"
        )
    return dict(open_clip.get_pretrained_cfg(name, tag))
