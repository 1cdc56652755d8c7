"""Larger frames for the scorers: JPEGs of a few frames a second, in bounded memory, until shots are known."""

import cv2
import numpy as np

from pipeline.analyzers.look import Look, Span
from pipeline.config import ScorersConfig

_QUALITY = 90
"""JPEG quality: text must stay readable."""


class LargerFrames:
    """Fed like an analyzer, but what it keeps of a clip is no column: it goes to the scorers."""

    def __init__(self, config: ScorersConfig) -> None:
        self._config = config
        self._every_s = 1 / config.frames_per_s
        self._next_s = 0.0
        self._bytes = 0
        self._jpegs: dict[int, bytes] = {}

    def update(self, look: Look) -> None:
        if not self._config.any or look.time_s < self._next_s - 1e-6:
            return
        self._next_s = look.time_s + self._every_s
        jpeg = encode(look.within(self._config.side_px))
        self._jpegs[look.index] = jpeg
        self._bytes += len(jpeg)
        while self._bytes > self._config.budget_mb * 2**20 and len(self._jpegs) > 1:
            self._jpegs = {index: self._jpegs[index] for index in list(self._jpegs)[::2]}
            self._bytes = sum(map(len, self._jpegs.values()))
            self._every_s *= 2

    def of(self, span: Span) -> tuple[bytes, ...]:
        """Return the JPEGs of one clip: at most `frames`, those nearest to the middles of equal parts."""
        inside = [index for index in self._jpegs if span.start <= index < span.end]
        if not inside:
            return ()
        parts = self._config.frames
        middles = [span.start + (2 * k + 1) * (span.end - span.start) / (2 * parts) for k in range(parts)]
        chosen = {min(inside, key=lambda index, at=at: abs(index - at)) for at in middles}
        return tuple(self._jpegs[index] for index in sorted(chosen))


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
