"""The embedded scorer: a small open_clip model for simulated worlds, measurements for all other clips.

The model sees a clip as one picture of four frames, beside and below each other, so that it sees motion. It
was trained on simulated worlds alone (`kinora train captioner scorer`), and compares clips that are drawn as
these are with each other.

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
from captioner.domain import PROBE_FRAMES, is_simulated_world
from captioner.embedding import LOCAL, load_embedder
from captioner.frames import sample_uniform
from captioner.measured_scorer import MeasuredScorer

WEIGHTS = Path(__file__).parent / "weights" / "scorer"
TILES, TILE_PX = 2, 64
"""Tiles along each side of the picture of a clip, and their side."""
MIN_KNOWN = 0.9
"""Fraction of the words of a text that the model must know to compare it."""
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
    """Compares texts about worlds with worlds by the model, all others with all clips by measurements."""

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
        probe = frames_THWC[list(sample_uniform(len(frames_THWC), PROBE_FRAMES))]
        is_world, _ = is_simulated_world(probe)
        strength_M = self._measured.encode_clip(frames_THWC, times_s, measures).astype(np.float32)
        return np.concatenate([[np.float32(is_world)], mosaic(frames_THWC).ravel(), strength_M])

    def similarities(
        self, texts: Sequence[str], clips: Sequence[np.ndarray], own_S: np.ndarray
    ) -> np.ndarray:
        """Return similarities_SN: cosines for texts about worlds, with NaN for other clips; else as measured.

        A text that holds words which the model does not know is measured too.
        """
        is_world_N = np.array([clip[0] == 1 for clip in clips])
        similarity_SN = self._measured.similarities(texts, [clip[1 + _MOSAIC :] for clip in clips], own_S)
        rows = [row for row, text in enumerate(texts) if is_world_N[own_S[row]] and self._knows(text)]
        if rows:
            shape = (TILES * TILE_PX, TILES * TILE_PX, 3)
            pictures = [
                clips[place][1 : 1 + _MOSAIC].astype(np.uint8).reshape(shape)
                for place in np.flatnonzero(is_world_N).tolist()
            ]
            cosine_SN = np.full((len(rows), len(clips)), np.nan)
            text_SD = self.embed_texts([texts[row] for row in rows])
            cosine_SN[:, is_world_N] = text_SD @ self._model.embed_images(pictures).T
            similarity_SN[rows] = cosine_SN
        return similarity_SN

    def embed_clip(self, frames_THWC: np.ndarray) -> np.ndarray:
        """Return the unit embedding_D of a clip by the model."""
        return self._model.embed_images([mosaic(frames_THWC)])[0]

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        """Return the unit embeddings_SD of texts by the model."""
        place = {text: number for number, text in enumerate(dict.fromkeys(texts))}
        embedded = self._model.embed_texts(list(place))
        return embedded[[place[text] for text in texts]]

    def count_tokens(self, text: str) -> tuple[int, int]:
        """Return the number of words twice: it sees them all."""
        return self._measured.count_tokens(text)

    def _knows(self, text: str) -> bool:
        words = _WORD.findall(text.lower())
        return sum(word in self._words for word in words) >= MIN_KNOWN * max(1, len(words))

    @cached_property
    def _model(self) -> Any:
        return load_embedder(f"{LOCAL}{self._weights}", device="cpu")

    @cached_property
    def _words(self) -> frozenset[str]:
        vocabulary = json.loads((self._weights / "tokenizer.json").read_text())["model"]["vocab"]
        return frozenset(word for token in vocabulary for word in _WORD.findall(token))
