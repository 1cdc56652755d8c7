"""Encode videos and images as small `data:` URIs.

Shapes: H height, W width, C channels (RGB, uint8).
"""

import base64
from dataclasses import dataclass
from io import BytesIO
from itertools import takewhile

import cv2
import numpy as np

from video.encode import encode_mp4
from video.frames import read_frames
from video.probe import Probe, probe

MAX_WIDTH_PX = 320
MAX_SECONDS = 8.0
MAX_BYTES = 200_000
"""An H.264 video within all three limits is embedded unchanged."""
CRF = 26


@dataclass(frozen=True, kw_only=True, slots=True)
class Embedded:
    """An embedded video or image."""

    kind: str
    """`video` or `image`."""
    uri: str
    poster: str
    """Data URI of a video's first frame; empty for an image."""
    width: int
    """Width of the original, in pixels."""
    height: int
    changed: str
    """Description of visible changes to the original; empty for none."""

    @property
    def size(self) -> int:
        """Size in the page, in characters."""
        return len(self.uri) + len(self.poster)


def embed(data: bytes) -> Embedded:
    """Embed a video or image file. Raises ValueError if it cannot be decoded."""
    info = probe(data)
    changes = []
    if info.width > MAX_WIDTH_PX:
        changes.append(f"shown {MAX_WIDTH_PX} px wide")
    first_HWC = next(read_frames(data, size_px=_size(info), interpolation="AREA")).rgb_HWC
    picture = data_uri("image/jpeg", _jpeg(first_HWC))
    if info.kind == "image":
        return _embedded(info, uri=picture, poster="", changes=changes)
    if (info.duration_s or 0.0) > MAX_SECONDS:
        changes.append(f"first {MAX_SECONDS:g} s of {info.duration_s:.1f} s")
    if changes or len(data) > MAX_BYTES or info.codec != "h264":
        data = _reencode(data, info)
    return _embedded(info, uri=data_uri("video/mp4", data), poster=picture, changes=changes)


def data_uri(kind: str, data: bytes) -> str:
    """Return a `data:` URI of media type `kind`."""
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"


def _embedded(info: Probe, *, uri: str, poster: str, changes: list[str]) -> Embedded:
    size = {"width": info.width, "height": info.height}
    return Embedded(kind=info.kind, uri=uri, poster=poster, **size, changed=", ".join(changes))


def _size(info: Probe) -> tuple[int, int]:
    """Return the even (height, width) of the embedded version, at most MAX_WIDTH_PX wide."""
    scale = min(1.0, MAX_WIDTH_PX / info.width)
    return max(2, round(info.height * scale / 2) * 2), max(2, round(info.width * scale / 2) * 2)


def _reencode(data: bytes, info: Probe) -> bytes:
    """Re-encode the first MAX_SECONDS at the embedded size, without audio; keep frame times."""
    start_s = float(info.start_pts * info.time_base)
    frames = read_frames(data, size_px=_size(info), interpolation="AREA")
    kept = list(takewhile(lambda frame: frame.time_s - start_s < MAX_SECONDS, frames))
    out = BytesIO()
    encode_mp4(
        (frame.rgb_HWC for frame in kept),
        info.fps or 25,
        out,
        crf=CRF,
        pts=[frame.pts - info.start_pts for frame in kept],
        time_base=info.time_base,
    )
    return out.getvalue()


def _jpeg(rgb_HWC: np.ndarray) -> bytes:
    bgr_HWC = cv2.cvtColor(rgb_HWC, cv2.COLOR_RGB2BGR)
    return cv2.imencode(".jpg", bgr_HWC, [cv2.IMWRITE_JPEG_QUALITY, 85])[1].tobytes()
