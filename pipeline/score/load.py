"""Create the scorers that a configuration enables. Each is imported on demand."""

from collections.abc import Sequence
from typing import Any, Protocol

import cv2
import numpy as np

from pipeline.config import ScorersConfig
from pipeline.score.corners import has_logo
from pipeline.score.own import OwnScorer


class Scorer(Protocol):
    """Scores a clip."""

    def score(self, frames: Sequence[np.ndarray]) -> dict[str, Any]:
        """Return score columns from frames rgb_HWC in time order; None where nothing could be measured."""
        ...


class LogoScorer:
    """Computes `corner_logo`; None where the scene changes too little."""

    def score(self, frames: Sequence[np.ndarray]) -> dict[str, Any]:
        grays = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames]
        return {"corner_logo": has_logo(grays)}


class ClipNsfwScorer:
    """Computes `nsfw`, the maximum over frames."""

    def __init__(self) -> None:
        from video.scorers.nsfw import NsfwScorer

        self._scorer = NsfwScorer()

    def score(self, frames: Sequence[np.ndarray]) -> dict[str, Any]:
        return {"nsfw": max(map(self._scorer.score, frames))}


def load_scorers(config: ScorersConfig) -> dict[str, Scorer]:
    """Create the enabled scorers, by name."""
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
        scorers |= _encoder_scorers(config)
    return scorers | {name: OwnScorer(name) for name in config.own}


def _encoder_scorers(config: ScorersConfig) -> dict[str, Scorer]:
    """Create the scorers that share the image encoder, adjacent so that its cache serves them all."""
    from pipeline.score.aesthetics import HeadScorer
    from pipeline.score.embedding import EmbeddingScorer, ImageEncoder

    encoder = ImageEncoder(config)
    scorers: dict[str, Scorer] = {}
    if config.aesthetic == "head":
        scorers["aesthetic"] = HeadScorer(encoder, config.aesthetic_head)
    if config.embedding:
        scorers["embedding"] = EmbeddingScorer(encoder)
    return scorers
