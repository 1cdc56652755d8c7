"""Agreement of texts and clips by a model of images and texts.

Legend: S texts, N clips, V frames of a clip, T frames, H x W pixels, C channels, D embedding dimensions.
"""

from collections.abc import Sequence

import numpy as np

from captioner.claims.measures import ClipMeasures
from captioner.embedding import load_embedder
from captioner.frames import sample_uniform

FRAMES = 4
"""Frames of a clip; a text is compared with the one that it fits best."""


class ClipScorer:
    """Compares texts with clips by the cosine of their embeddings."""

    def __init__(self, model: str, device: str = "") -> None:
        """Load a model.

        Args:
            model: `local-dir:FOLDER` of open_clip, or the folder of a transformers model.

        Raises:
            ValueError: as `load_embedder`, and for a model without a text tower.
        """
        self._embedder = load_embedder(model, device=device)
        self._embedder.count_tokens("")
        self.name = self._embedder.name

    def encode_clip(
        self, frames_THWC: np.ndarray, times_s: Sequence[float], measures: ClipMeasures | None = None
    ) -> np.ndarray:
        """Return unit embeddings_VD of up to `FRAMES` frames, evenly spaced."""
        chosen = np.resize(sample_uniform(len(frames_THWC), FRAMES), FRAMES)
        return self._embedder.embed_images([frames_THWC[index] for index in chosen])

    def similarities(
        self, texts: Sequence[str], clips: Sequence[np.ndarray], own_S: np.ndarray
    ) -> np.ndarray:
        """Return the cosine of each text and the frame of each clip that it fits best, as SN."""
        text_SD = self._embedder.embed_texts(texts)
        return np.einsum("sd,nvd->snv", text_SD, np.stack(clips)).max(axis=-1)

    def count_tokens(self, text: str) -> tuple[int, int]:
        """Return how many tokens of a text the model sees, and how many the text has."""
        return self._embedder.count_tokens(text)
