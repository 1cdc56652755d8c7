"""Frames for the scorers: JPEGs of a few frames a second at a larger size, in bounded memory."""

from collections.abc import Callable

import numpy as np

from pipeline.analysis import encode_jpeg
from pipeline.analyze.signals.frame_view import FrameBuffer, FrameSampler, Span
from pipeline.config import ScorersConfig

_QUALITY = 90
"""JPEG quality at which text stays readable."""


class ScorerFrames:
    """Collects JPEGs until the shots are known.

    While a shot exceeds the memory budget, its sampling rate is halved.
    """

    def __init__(self, config: ScorersConfig) -> None:
        self._config = config
        self._per_s = config.frames_per_s
        self._sampler = FrameSampler(self._per_s)
        self._jpegs = FrameBuffer[bytes]()

    def update(self, index: int, time_s: float, resized: Callable[[int], np.ndarray]) -> None:
        """Add a frame; `resized` is `video.frames.Frame.resized`."""
        if not self._config.any or not self._sampler(time_s):
            return
        self._jpegs.add(index, encode_jpeg(resized(self._config.side_px), _QUALITY))
        while self._jpegs.total(len) > self._config.budget_mb * 2**20 and self._jpegs.decimate():
            self._per_s /= 2
            self._sampler = FrameSampler(self._per_s)

    def skip(self, time_s: float) -> None:
        """Pass over a frame of no clip: it counts for the sampling of later ones."""
        self._sampler(time_s)

    def in_span(self, span: Span) -> tuple[bytes, ...]:
        """Return at most `frames` JPEGs of a clip, nearest to the middles of equal parts."""
        count = self._config.frames
        middles = [span.start + (2 * k + 1) * (span.end - span.start) / (2 * count) for k in range(count)]
        return tuple(self._jpegs.nearest(span, middles))

    def evict(self, before: int) -> None:
        """Drop the frames before `before`, and restore the sampling rate."""
        self._jpegs.evict(before)
        if self._per_s != self._config.frames_per_s:
            self._per_s = self._config.frames_per_s
            self._sampler = FrameSampler(self._per_s)
