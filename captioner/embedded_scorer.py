"""The embedded scorer: a small open_clip model for simulated worlds, measurements for all other clips.

The model sees a clip as one picture of four frames, beside and below each other, so that it sees motion. It
was trained on simulated worlds alone (`kinora train captioner scorer`) and judges where nearly all of the
clips that are compared are drawn as these are.

Legend: S texts, N clips, T frames, H x W pixels, C channels (RGB, uint8), D embedding dimensions, M terms.
"""

import json
import re
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from captioner.claims.measures import ClipMeasures
from captioner.domain import is_simulated_world
from captioner.embedding import LOCAL, load_embedder
from captioner.frames import sample_uniform
from captioner.measured_scorer import MeasuredScorer

WEIGHTS = Path(__file__).parent / "weights" / "scorer"
TILES, TILE_PX = 2, 64
"""Tiles along each side of the picture of a clip, and their side."""
MIN_WORLDS = 0.9
"""Fraction of the clips of a comparison that must be drawn as worlds are for the model to judge it."""
MIN_KNOWN = 0.9
"""Fraction of the words of a text that the model must know to judge it."""
_MOSAIC = (TILES * TILE_PX) ** 2 * 3
_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")


def mosaic(frames_THWC: np.ndarray) -> np.ndarray:
    """Return four evenly spaced frames as one picture, in reading order, each of TILE_PX x TILE_PX."""
    tiles = [
        cv2.resize(frames_THWC[index], (TILE_PX, TILE_PX), interpolation=cv2.INTER_AREA)
        for index in np.resize(sample_uniform(len(frames_THWC), TILES**2), TILES**2)
    ]
    return np.concatenate(
        [np.concatenate(tiles[row : row + TILES], axis=1) for row in range(0, TILES**2, TILES)]
    )


class EmbeddedScorer:
    """Compares texts with clips by the model where nearly all are of worlds, else by measurements."""

    name = "embedded-1"

    def __init__(self, weights: Path = WEIGHTS) -> None:
        """Load nothing yet; the model is loaded for the first comparison of worlds.

        Args:
            weights: folder that `kinora train captioner scorer` exported.
        """
        self._weights, self._measured = weights, MeasuredScorer()

    def encode_clip(
        self, frames_THWC: np.ndarray, times_s: Sequence[float], measures: ClipMeasures | None = None
    ) -> np.ndarray:
        """Return, as one vector, whether it is drawn as a world, its mosaic and the strengths of terms."""
        is_world, _ = is_simulated_world(frames_THWC)
        strength_M = self._measured.encode_clip(frames_THWC, times_s, measures).astype(np.float32)
        return np.concatenate([[np.float32(is_world)], mosaic(frames_THWC).ravel(), strength_M])

    def similarities(self, texts: Sequence[str], clips: Sequence[np.ndarray]) -> np.ndarray:
        """Return the cosine of each text and clip, as SN; or what `MeasuredScorer` returns."""
        is_world_N = np.array([clip[0] for clip in clips])
        if is_world_N.mean() < MIN_WORLDS:
            return self._measured.similarities(texts, [clip[1 + _MOSAIC :] for clip in clips])
        shape = (TILES * TILE_PX, TILES * TILE_PX, 3)
        pictures = [clip[1 : 1 + _MOSAIC].astype(np.uint8).reshape(shape) for clip in clips]
        similarity_SN = self.embed_texts(texts) @ self._model.embed_images(pictures).T
        known_S = np.array([self._known_share(text) >= MIN_KNOWN for text in texts])
        return np.where(known_S[:, None], similarity_SN, np.nan)

    def embed_clip(self, frames_THWC: np.ndarray) -> np.ndarray:
        """Return the unit embedding_D of a clip by the model."""
        return self._model.embed_images([mosaic(frames_THWC)])[0]

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        """Return the unit embeddings_SD of texts by the model."""
        return self._model.embed_texts(texts)

    def count_tokens(self, text: str) -> tuple[int, int]:
        """Return the number of words twice: it sees them all."""
        return self._measured.count_tokens(text)

    def _known_share(self, text: str) -> float:
        words = _WORD.findall(text.lower())
        return sum(word in self._words for word in words) / max(1, len(words))

    @cached_property
    def _model(self) -> Any:
        return load_embedder(f"{LOCAL}{self._weights}", device="cpu")

    @cached_property
    def _words(self) -> frozenset[str]:
        vocabulary = json.loads((self._weights / "tokenizer.json").read_text())["model"]["vocab"]
        return frozenset(word for token in vocabulary for word in _WORD.findall(token))
