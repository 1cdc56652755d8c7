"""Thumbnail of a clip: the sampled frame nearest to its middle."""

from collections import deque
from typing import Any, ClassVar

import numpy as np

from pipeline.analysis import encode_jpeg
from pipeline.analyze.signals.frame_view import FrameBuffer, FrameView, Span
from pipeline.columns import Column

_MAX_PLAIN = 64
"""Frames that wait as they are; earlier ones are compressed, which bounds memory. Most are never needed."""


class _Picture:
    """A frame that is compressed at most once, when its JPEG is asked for."""

    def __init__(self, rgb_HWC: np.ndarray, quality: int) -> None:
        self._rgb_HWC: np.ndarray | None = rgb_HWC
        self._quality = quality
        self._jpeg = b""

    def jpeg(self) -> bytes:
        if self._rgb_HWC is not None:
            self._jpeg, self._rgb_HWC = encode_jpeg(self._rgb_HWC, self._quality), None
        return self._jpeg


class Thumbnail:
    """Encodes `thumbnail`: a JPEG at the analysis size."""

    COLUMNS: ClassVar = (Column("thumbnail", "binary", "the frame that stands for the clip, a JPEG"),)

    def __init__(self, quality: int) -> None:
        self._quality = quality
        self._pictures = FrameBuffer[_Picture]()
        self._plain = deque[_Picture]()

    def update(self, view: FrameView) -> None:
        if not view.sampled:
            return
        picture = _Picture(view.rgb_HWC, self._quality)
        self._pictures.add(view.index, picture)
        self._plain.append(picture)
        if len(self._plain) > _MAX_PLAIN:
            self._plain.popleft().jpeg()

    def columns(self, span: Span) -> dict[str, Any]:
        pictures = self._pictures.nearest(span, [(span.start + span.end - 1) / 2])
        return {"thumbnail": pictures[0].jpeg() if pictures else None}

    def evict(self, before: int) -> None:
        self._pictures.evict(before)
