"""Load the scorers that a configuration turns on. Each is imported only then."""

from collections.abc import Sequence
from typing import Any, Protocol

import cv2
import numpy as np

from pipeline.config import ScorersConfig
from pipeline.score.corners import logo


class Scorer(Protocol):
    """Scores one clip by its frames."""

    def score(self, frames: Sequence[np.ndarray]) -> dict[str, Any]:
        """Return score columns from frames rgb_HWC in time order; None: nothing to measure."""
        ...


class LogoScorer:
    """Gives `corner_logo`; null where too little changes to tell."""

    def score(self, frames: Sequence[np.ndarray]) -> dict[str, Any]:
        grays = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames]
        return {"corner_logo": logo(grays)}


class ClipNsfwScorer:
    """Gives `nsfw`."""

    def __init__(self) -> None:
        from video.scorers.nsfw import NsfwScorer

        self._scorer = NsfwScorer()

    def score(self, frames: Sequence[np.ndarray]) -> dict[str, Any]:
        return {"nsfw": max(map(self._scorer.score, frames))}


def load_scorers(config: ScorersConfig) -> dict[str, Scorer]:
    """Return the scorers that are on, by name."""
    scorers: dict[str, Scorer] = {}
    if config.text:
        from pipeline.score.text import TextScorer

        scorers["text"] = TextScorer(config)
    if config.logo:
        scorers["logo"] = LogoScorer()
    if config.nsfw:
        scorers["nsfw"] = ClipNsfwScorer()
    if config.aesthetic == "heuristic":
        from pipeline.score.heuristic import HeuristicScorer

        scorers["aesthetic"] = HeuristicScorer()
    if config.encodes:
        scorers |= _of_encoder(config)
    return scorers


def _of_encoder(config: ScorersConfig) -> dict[str, Scorer]:
    """Return the scorers that share the image encoder, one after the other."""
    from pipeline.score.aesthetics import HeadScorer
    from pipeline.score.embedding import EmbeddingScorer, ImageEncoder

    encoder = ImageEncoder(config)
    found: dict[str, Scorer] = {}
    if config.aesthetic == "head":
        found["aesthetic"] = HeadScorer(encoder, config.aesthetic_head)
    if config.embedding:
        found["embedding"] = EmbeddingScorer(encoder)
    return found
