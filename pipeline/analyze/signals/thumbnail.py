"""The frame that stands for a clip: the sampled one nearest to its middle, as a small JPEG."""

from typing import Any, ClassVar

import cv2

from pipeline.analyze.signals.frame_view import Column, Kept, Look, Span


class Thumbnail:
    """Gives `thumbnail`: JPEG bytes at the analysis size."""

    COLUMNS: ClassVar = (Column("thumbnail", "binary", "the frame that stands for the clip, a JPEG"),)

    def __init__(self, quality: int) -> None:
        self._quality = quality
        self._jpegs = Kept[bytes]()

    def update(self, look: Look) -> None:
        if not look.sampled:
            return
        bgr_HWC = cv2.cvtColor(look.rgb_HWC, cv2.COLOR_RGB2BGR)
        _, jpeg = cv2.imencode(".jpg", bgr_HWC, [cv2.IMWRITE_JPEG_QUALITY, self._quality])
        self._jpegs.add(look.index, jpeg.tobytes())

    def columns(self, span: Span) -> dict[str, Any]:
        found = self._jpegs.nearest(span, [(span.start + span.end - 1) / 2])
        return {"thumbnail": found[0] if found else None}

    def forget(self, before: int) -> None:
        self._jpegs.forget(before)
