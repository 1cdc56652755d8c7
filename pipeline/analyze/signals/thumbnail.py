"""Thumbnail of a clip: the sampled frame nearest to its middle."""

from typing import Any, ClassVar

from pipeline.analysis import encode_jpeg
from pipeline.analyze.signals.frame_view import FrameBuffer, FrameView, Span
from pipeline.columns import Column


class Thumbnail:
    """Encodes `thumbnail`: a JPEG at the analysis size."""

    COLUMNS: ClassVar = (Column("thumbnail", "binary", "the frame that stands for the clip, a JPEG"),)

    def __init__(self, quality: int) -> None:
        self._quality = quality
        self._jpegs = FrameBuffer[bytes]()

    def update(self, view: FrameView) -> None:
        if view.sampled:
            self._jpegs.add(view.index, encode_jpeg(view.rgb_HWC, self._quality))

    def columns(self, span: Span) -> dict[str, Any]:
        jpegs = self._jpegs.nearest(span, [(span.start + span.end - 1) / 2])
        return {"thumbnail": jpegs[0] if jpegs else None}

    def evict(self, before: int) -> None:
        self._jpegs.evict(before)
