"""Agreement of texts and clips by an open_clip model.

Legend: S texts, N clips, V frames of a clip, D embedding dimensions, L tokens.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
from PIL import Image

from captioner.frames import sample_uniform

LOCAL = "local-dir:"
FRAMES = 4
"""Frames of a clip; a text is compared with the one that it fits best."""
CLIP_SCORE_WEIGHT = 2.5
"""Hessel et al. 2021, "CLIPScore: a reference-free evaluation metric for image captioning"."""


class ClipScorer:
    """Compares texts with clips by the cosine of their embeddings."""

    def __init__(self, model: str, device: str = "") -> None:
        """Load a model with the pixels and the activation that its own configuration names.

        Args:
            model: `local-dir:FOLDER`, a folder as `open_clip` writes it: open_clip_config.json and weights.

        Raises:
            ValueError: for another spelling, which would leave preprocessing to a guess, or a folder without
                a configuration.
        """
        if not model.startswith(LOCAL):
            raise ValueError(
                f"clip_model {model!r}: give local-dir:FOLDER; a name with a file of weights "
                "does not say which pixels and activation the weights want"
            )
        folder = Path(model.removeprefix(LOCAL))
        if not (folder / "open_clip_config.json").is_file():
            raise ValueError(f"clip_model: {folder} has no open_clip_config.json; export the model with it")
        self._device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        loaded: Any = open_clip.create_model_from_pretrained(model, weights_only=True)
        self._model, self._transform = loaded[0].eval().to(self._device), loaded[1]
        self._tokenizer: Any = open_clip.get_tokenizer(model)
        self.name = f"open_clip {folder.name}"

    @torch.inference_mode()
    def encode_clip(self, frames_THWC: np.ndarray, times_s: Sequence[float]) -> np.ndarray:
        """Return unit embeddings_VD of up to `FRAMES` frames, evenly spaced."""
        chosen = np.resize(sample_uniform(len(frames_THWC), FRAMES), FRAMES)
        pixels = torch.stack([self._transform(Image.fromarray(frames_THWC[k])) for k in chosen])
        embedding_VD = self._model.encode_image(pixels.to(self._device), normalize=True)
        return embedding_VD.float().cpu().numpy()

    @torch.inference_mode()
    def similarities(self, texts: Sequence[str], clips: Sequence[np.ndarray]) -> np.ndarray:
        """Return the cosine of each text and the frame of each clip that it fits best, as SN."""
        clips_NVD = np.stack(clips)
        embedded: list[np.ndarray] = []
        for first in range(0, len(texts), 256):
            tokens_SL = self._tokenizer(list(texts[first : first + 256])).to(self._device)
            embedded.append(self._model.encode_text(tokens_SL, normalize=True).float().cpu().numpy())
        text_SD = np.concatenate(embedded)
        return np.einsum("sd,nvd->snv", text_SD, clips_NVD).max(axis=-1)

    def tokens_seen(self, text: str) -> tuple[int, int]:
        """Return how many tokens of a text the model sees, and how many it has."""
        length = int(self._tokenizer.context_length)
        whole = len(self._tokenizer.encode(text)) + 2 if hasattr(self._tokenizer, "encode") else length
        return min(whole, length), whole
