"""Larger frames for the scorers: JPEGs of a few frames a second, in bounded memory, until shots are known."""

from collections.abc import Callable

import cv2
import numpy as np

from pipeline.analyze.signals.frame_view import Beat, Kept, Span
from pipeline.config import ScorersConfig

_QUALITY = 90
"""JPEG quality: text must stay readable."""


class LargerFrames:
    """Fed with every frame before it is let go, and asked like an analyzer; but what it keeps of a clip is no
    column: it goes to the scorers.

    A shot over the budget is seen less often the longer it lasts, and so may be the beginning of the next.
    """

    def __init__(self, config: ScorersConfig) -> None:
        self._config = config
        self._per_s = config.frames_per_s
        self._beat = Beat(self._per_s)
        self._jpegs = Kept[bytes]()

    def update(self, index: int, time_s: float, within: Callable[[int], np.ndarray]) -> None:
        """Take a frame; `within` converts it at a larger size: `video.frames.Frame.resized`."""
        if not self._config.any or not self._beat(time_s):
            return
        self._jpegs.add(index, encode(within(self._config.side_px)))
        while self._jpegs.total(len) > self._config.budget_mb * 2**20 and self._jpegs.thin():
            self._per_s /= 2
            self._beat = Beat(self._per_s)

    def of(self, span: Span) -> tuple[bytes, ...]:
        """Return the JPEGs of one clip: at most `frames`, those nearest to the middles of equal parts."""
        parts = self._config.frames
        middles = [span.start + (2 * k + 1) * (span.end - span.start) / (2 * parts) for k in range(parts)]
        return tuple(self._jpegs.nearest(span, middles))

    def forget(self, before: int) -> None:
        """Let go of the frames before that one; see the next ones as often as at first."""
        self._jpegs.forget(before)
        if self._per_s != self._config.frames_per_s:
            self._per_s = self._config.frames_per_s
            self._beat = Beat(self._per_s)


def encode(rgb_HWC: np.ndarray) -> bytes:
    """Return a frame as a JPEG."""
    _, jpeg = cv2.imencode(
        ".jpg", cv2.cvtColor(rgb_HWC, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _QUALITY]
    )
    return jpeg.tobytes()


def decode(jpeg: bytes) -> np.ndarray:
    """Return rgb_HWC of a JPEG made here."""
    bgr_HWC = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    if bgr_HWC is None:
        raise ValueError("a larger frame is no JPEG any more")
    return cv2.cvtColor(bgr_HWC, cv2.COLOR_BGR2RGB)
