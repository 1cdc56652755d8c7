"""Score the frames of a video while they are written, with the model that curation uses.

Legend: T frames, H height, W width, C channels (RGB, uint8).
"""

from collections.abc import Iterator

import numpy as np

from kinora.safety.config import Mode, SafetyConfig

MAX_FRAMES = 8
"""Most frames of a video that are scored, evenly spaced; about 30 ms each."""


class FramesBlocked(ValueError):
    """Frames score above the limit, and the configuration blocks such videos."""


class FrameCheck:
    """Scores videos, one after the other. The model is loaded once."""

    def __init__(self, config: SafetyConfig | None = None) -> None:
        """Load the model, unless nothing is checked. Raises ValueError where its package is missing."""
        config = config or SafetyConfig()
        self._mode: Mode = config.frames
        self._limit = config.max_nsfw
        self._kept: list[np.ndarray] = []
        if self._mode == "off":
            return
        try:
            from video.scorers.nsfw import NsfwScorer
        except ImportError as error:
            raise ValueError(
                f"safety.frames={self._mode} needs a scorer ({error}); `pip install 'kinora[score]'`"
            ) from error
        self._scorer = NsfwScorer()

    def watch(self, chunks: Iterator[np.ndarray], num_frames: int) -> Iterator[np.ndarray]:
        """Yield chunks of frames_THWC as they are, and keep some of `num_frames` frames to be scored."""
        if self._mode == "off":
            return chunks
        self._kept = []
        return self._watched(chunks, -(-num_frames // MAX_FRAMES))

    def verdict(self) -> str:
        """Return what the frames that were watched score, for the record. Raises FramesBlocked."""
        if self._mode == "off":
            return "frames not checked"
        score = max(map(self._scorer.score, self._kept), default=0.0)
        self._kept = []
        over = score > self._limit
        text = f"frames checked ({self._mode}): nsfw {score:.2f}, limit {self._limit:g}"
        if over and self._mode == "block":
            raise FramesBlocked(
                f"the frames score {score:.2f} as not safe for work, over {self._limit:g} "
                "(safety.max_nsfw); another seed or prompt may not"
            )
        return f"{text}: above it" if over else text

    def _watched(self, chunks: Iterator[np.ndarray], stride: int) -> Iterator[np.ndarray]:
        start = 0
        for chunk_THWC in chunks:
            self._kept += [frame.copy() for frame in chunk_THWC[-start % stride :: stride]]
            start += len(chunk_THWC)
            yield chunk_THWC
