"""Embeddings of clips by a model of images, or of images and texts.

Legend: T frames, H height, W width, C channels (RGB), D embedding dimensions.
"""

from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

import numpy as np

from captioner.embedding import load_embedder
from pipeline.config import ScorersConfig


class ImageEncoder:
    """Holds the model, and caches the embedding of the last frames for the next scorer."""

    def __init__(self, config: ScorersConfig) -> None:
        self._embedder = load_embedder(config.clip_model, config.clip_weights)
        self._cached: tuple[bytes, np.ndarray] = (b"", np.empty(0, np.float32))

    def encode(self, frames: Sequence[np.ndarray]) -> np.ndarray:
        """Return the unit embedding of each frame, rgb_HWC, as float32 TD."""
        key = _digest(frames)
        if key != self._cached[0]:
            self._cached = key, self._embedder.embed_images(frames)
        return self._cached[1]


class EmbeddingScorer:
    """Computes `embedding`."""

    def __init__(self, encoder: ImageEncoder) -> None:
        self._encoder = encoder

    def score(self, frames: Sequence[np.ndarray]) -> dict[str, Any]:
        """Return the normalised mean embedding over frames, rgb_HWC, as bytes of float16."""
        mean_D = self._encoder.encode(frames).mean(axis=0)
        unit_D = mean_D / np.linalg.norm(mean_D)
        if not np.isfinite(unit_D).all():
            raise ValueError("the model gives no direction for this clip: are these the model's weights?")
        return {"embedding": unit_D.astype("<f2").tobytes()}


def _digest(frames: Sequence[np.ndarray]) -> bytes:
    content = blake2b(digest_size=16)
    for frame in frames:
        content.update(repr(frame.shape).encode())
        content.update(np.ascontiguousarray(frame).tobytes())
    return content.digest()
