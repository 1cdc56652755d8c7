"""Larger frames for the scorers: JPEGs of a few frames a second, in bounded memory, until shots are known."""

from collections.abc import Callable

import numpy as np

from pipeline.analysis import encode_jpeg
from pipeline.analyze.signals.frame_view import FrameBuffer, FrameSampler, Span
from pipeline.config import ScorersConfig

_QUALITY = 90
"""JPEG quality: text must stay readable."""


class ScorerFrames:
    """Fed with every frame before it is let go, and asked like an analyzer; but what it keeps of a clip is no
    column: it goes to the scorers.

    A shot over the budget is seen less often the longer it lasts, and so may be the beginning of the next.
    """

    def __init__(self, config: ScorersConfig) -> None:
        self._config = config
        self._per_s = config.frames_per_s
        self._beat = FrameSampler(self._per_s)
        self._jpegs = FrameBuffer[bytes]()

    def update(self, index: int, time_s: float, within: Callable[[int], np.ndarray]) -> None:
        """Take a frame; `within` converts it at a larger size: `video.frames.Frame.resized`."""
        if not self._config.any or not self._beat(time_s):
            return
        self._jpegs.add(index, encode_jpeg(within(self._config.side_px), _QUALITY))
        while self._jpegs.total(len) > self._config.budget_mb * 2**20 and self._jpegs.decimate():
            self._per_s /= 2
            self._beat = FrameSampler(self._per_s)

    def of(self, span: Span) -> tuple[bytes, ...]:
        """Return the JPEGs of one clip: at most `frames`, those nearest to the middles of equal parts."""
        parts = self._config.frames
        middles = [span.start + (2 * k + 1) * (span.end - span.start) / (2 * parts) for k in range(parts)]
        return tuple(self._jpegs.nearest(span, middles))

    def evict(self, before: int) -> None:
        """Let go of the frames before that one; see the next ones as often as at first."""
        self._jpegs.evict(before)
        if self._per_s != self._config.frames_per_s:
            self._per_s = self._config.frames_per_s
            self._beat = FrameSampler(self._per_s)
