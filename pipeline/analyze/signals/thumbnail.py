"""The frame that stands for a clip: the sampled one nearest to its middle, as a small JPEG."""

from typing import Any, ClassVar

from pipeline.analysis import encode_jpeg
from pipeline.analyze.signals.frame_view import FrameBuffer, FrameView, Span
from pipeline.columns import Column


class Thumbnail:
    """Gives `thumbnail`: JPEG bytes at the analysis size."""

    COLUMNS: ClassVar = (Column("thumbnail", "binary", "the frame that stands for the clip, a JPEG"),)

    def __init__(self, quality: int) -> None:
        self._quality = quality
        self._jpegs = FrameBuffer[bytes]()

    def update(self, look: FrameView) -> None:
        if not look.sampled:
            return
        self._jpegs.add(look.index, encode_jpeg(look.rgb_HWC, self._quality))

    def columns(self, span: Span) -> dict[str, Any]:
        found = self._jpegs.nearest(span, [(span.start + span.end - 1) / 2])
        return {"thumbnail": found[0] if found else None}

    def evict(self, before: int) -> None:
        self._jpegs.evict(before)
