"""Seek to a key frame in files where that yields the same frames as decoding from the start."""

import contextlib

from av.container import InputContainer
from av.video.stream import VideoStream

from video.container import DECODE_ERRORS

SEEKABLE_CONTAINERS = ("mov,mp4", "matroska")
"""Prefixes of FFmpeg's names of containers with reliable key frame positions. AVI and MPEG-TS lack them."""
SEEKABLE_CODECS = ("h264", "hevc", "vp8", "vp9", "libdav1d", "av1", "mpeg4")
"""PyAV's names of the codecs for which this was tested."""
PREROLL_S = 1.0
"""Minimum distance from the key frame to the requested frame: gradual refresh and deinterlacing need several
frames until the output is complete."""


def is_seekable(container: str, codec: str) -> bool:
    """Return whether decoding may start at a key frame in the middle of the file.

    Args:
        container: FFmpeg's name of the container.
        codec: PyAV's name of the codec.
    """
    return container.startswith(SEEKABLE_CONTAINERS) and codec in SEEKABLE_CODECS


def seek_before(container: InputContainer, stream: VideoStream, pts: int) -> None:
    """Seek to a key frame at least `PREROLL_S` before `pts`; do nothing if the file does not allow it."""
    if stream.time_base is None or not is_seekable(container.format.name, stream.codec_context.name):
        return
    target_pts = pts - round(PREROLL_S / stream.time_base)
    if target_pts <= (stream.start_time or 0):
        return
    with contextlib.suppress(*DECODE_ERRORS):  # the position is unchanged
        container.seek(target_pts, stream=stream, backward=True)
