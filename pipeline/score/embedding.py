"""Image embeddings by open_clip, from a model and weights on disk.

Legend: T frames, H height, W width, C channels (RGB), D embedding dimensions.
"""

from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
from PIL import Image

from pipeline.config import ScorersConfig


class ImageEncoder:
    """Holds the model, and caches the embedding of the last frames for the next scorer."""

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
        self._cached: tuple[bytes, torch.Tensor] = (b"", torch.empty(0))

    @torch.inference_mode()
    def encode(self, frames: Sequence[np.ndarray]) -> torch.Tensor:
        """Return the unit embedding of each frame, rgb_HWC, as float32 TD."""
        key = _digest(frames)
        if key != self._cached[0]:
            images_TCHW = torch.stack([self._transform(Image.fromarray(frame)) for frame in frames])
            embedding: Any = self._model.encode_image(images_TCHW.to(self._device), normalize=True)  # type: ignore[operator]
            self._cached = key, embedding.float().cpu()
        return self._cached[1]


class EmbeddingScorer:
    """Computes `embedding`."""

    def __init__(self, encoder: ImageEncoder) -> None:
        self._encoder = encoder

    def score(self, frames: Sequence[np.ndarray]) -> dict[str, Any]:
        """Return the normalised mean embedding over frames, rgb_HWC, as bytes of float16."""
        mean_D = self._encoder.encode(frames).mean(dim=0).numpy()
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
