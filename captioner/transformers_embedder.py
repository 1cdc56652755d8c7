"""Embeddings of a transformers model: of images and texts (CLIP, SigLIP and others), or of images alone.

Legend: N pictures, S texts, H x W pixels, C channels (RGB, uint8), L tokens, D embedding dimensions.
"""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers import AutoImageProcessor, AutoModel, AutoTokenizer

from captioner.weight_files import naming_broken_weights

_PADDED = ("siglip", "siglip2", "tipsv2")
"""Types whose texts were padded to the full length in training."""
_BATCH_TEXTS = 256
_TRIED_SIZE = (90, 160)
"""Height and width of the picture that a model is tried with."""


class TransformersEmbedder:
    """A model of transformers with its image processor, and its tokenizer, loaded with the first text."""

    def __init__(self, folder: str, device: str = "") -> None:
        """Load the model without remote code, and try it on one picture.

        Raises:
            ValueError: if weights are missing, or the model does not give one embedding for a picture.
        """
        self._folder, self.name = folder, f"transformers {Path(folder).name}"
        self._device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        with naming_broken_weights("clip_model", folder):
            try:
                self._processor: Any = AutoImageProcessor.from_pretrained(folder, local_files_only=True)
                loaded: Any = AutoModel.from_pretrained(
                    folder, local_files_only=True, dtype=torch.float32, output_loading_info=True
                )
            except (OSError, ValueError, RuntimeError) as error:
                raise ValueError(f"clip_model: {folder}: cannot be loaded: {_short(error)}") from error
        self._model, info = loaded[0].eval().to(self._device), loaded[1]
        missing = sorted(map(str, info["missing_keys"]))
        self._has_pooler = not any("pooler" in name for name in missing)
        if lost := [name for name in missing if "pooler" not in name]:
            raise ValueError(
                f"clip_model: {folder}: its weights lack {len(lost)} of {type(self._model).__name__}, such "
                f"as {lost[0]}; copy the model again"
            )
        try:
            self._dims = self.embed_images([np.full((*_TRIED_SIZE, 3), 128, np.uint8)]).shape[1]
        except Exception as error:
            raise ValueError(
                f"clip_model: {folder} ({type(self._model).__name__}) cannot embed a picture: "
                f"{_short(error)}; take a model of images (DINOv2), or of images and texts (CLIP, SigLIP)"
            ) from error

    @torch.inference_mode()
    def embed_images(self, frames: Sequence[np.ndarray]) -> np.ndarray:
        """Return unit embeddings_ND (float32) of frames rgb_HWC."""
        inputs = self._processor(images=[Image.fromarray(frame) for frame in frames], return_tensors="pt")
        inputs = inputs.to(self._device)
        if self._has_text:
            return _unit(_pooled(self._model.get_image_features(**inputs)), len(frames))
        output = self._model(**inputs)
        if not self._has_pooler:  # a class token takes its place, as in the head of a classifier
            return _unit(output.last_hidden_state[:, 0], len(frames))
        return _unit(_pooled(output), len(frames))

    @torch.inference_mode()
    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        """Return unit embeddings_SD (float32). Raises ValueError for a model without a text tower."""
        embedded: list[np.ndarray] = []
        for first in range(0, len(texts), _BATCH_TEXTS):
            chunk = list(texts[first : first + _BATCH_TEXTS])
            padding = "max_length" if self._model.config.model_type in _PADDED else "longest"
            tokens = self._tokenizer(
                chunk, padding=padding, truncation=True, max_length=self._max_tokens, return_tensors="pt"
            )
            output = self._model.get_text_features(**tokens.to(self._device))
            embedded.append(_unit(_pooled(output), len(chunk)))
        text_SD = np.concatenate(embedded)
        if text_SD.shape[1] != self._dims:
            raise ValueError(
                f"clip_model: {self._folder} ({type(self._model).__name__}) gives {self._dims} numbers for a "
                f"picture and {text_SD.shape[1]} for a text; take a model such as CLIP or SigLIP"
            )
        return text_SD

    def count_tokens(self, text: str) -> tuple[int, int]:
        """Return how many tokens of a text the model sees, and how many the text has."""
        count = len(self._tokenizer(text, truncation=False, verbose=False)["input_ids"])
        return min(count, self._max_tokens), count

    @property
    def _has_text(self) -> bool:
        return hasattr(self._model, "get_text_features") and hasattr(self._model, "get_image_features")

    @property
    def _max_tokens(self) -> int:
        positions = int(self._model.config.text_config.max_position_embeddings)
        return min(positions, int(self._tokenizer.model_max_length))

    @cached_property
    def _tokenizer(self) -> Any:
        if not self._has_text:
            raise ValueError(
                f"clip_model: {self._folder} ({type(self._model).__name__}) embeds pictures alone: it has no "
                "text tower. Search with --like CLIP_ID, or embed the clips with a model of images and texts "
                "such as CLIP or SigLIP"
            )
        try:
            return AutoTokenizer.from_pretrained(self._folder, local_files_only=True)
        except (OSError, ValueError) as error:
            raise ValueError(
                f"clip_model: the tokenizer of {self._folder} cannot be loaded: {_short(error)}; copy its "
                "files into the folder"
            ) from error


def _pooled(output: Any) -> torch.Tensor:
    """Return one vector for each picture or text: what the model pools, else the mean over its places."""
    if isinstance(output, torch.Tensor):
        return output
    pooled = getattr(output, "pooler_output", None)
    if pooled is not None:
        return pooled.flatten(1)
    states = output.last_hidden_state
    return states.flatten(2).mean(-1) if states.ndim == 4 else states.mean(1)


def _unit(vectors: torch.Tensor, count: int) -> np.ndarray:
    if vectors.ndim != 2 or len(vectors) != count:
        raise ValueError(f"it gave an array of {tuple(vectors.shape)} for {count} of them")
    return torch.nn.functional.normalize(vectors.float(), dim=-1).cpu().numpy()


def _short(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:400]
