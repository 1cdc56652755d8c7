"""Begin to decode in the middle of a file, at a key frame, where that gives the very frames that decoding
from the first one gives."""

import contextlib

from av.container import InputContainer
from av.video.stream import VideoStream

from video.container import DECODE_ERRORS

SEEKABLE_CONTAINERS = ("mov,mp4", "matroska")
"""Beginnings of FFmpeg's names of those that say truly where key frames are. AVI and MPEG-TS do not."""
SEEKABLE_CODECS = ("h264", "hevc", "vp8", "vp9", "libdav1d", "av1", "mpeg4")
"""PyAV's names of the codecs that were tried."""
PREROLL_S = 1.0
"""A key frame is looked for at least so long before the frame that is wanted: a file may need some frames
until its pictures are whole (gradual refresh, deinterlacing)."""


def is_seekable(container: str, codec: str) -> bool:
    """Return whether files of this kind keep true times and whole pictures when they are entered.

    Args:
        container: FFmpeg's name of it.
        codec: PyAV's name.
    """
    return container.startswith(SEEKABLE_CONTAINERS) and codec in SEEKABLE_CODECS


def seek_before(container: InputContainer, stream: VideoStream, pts: int) -> None:
    """Go to a key frame well before `pts`, in a file of the right kind that has one; else stay."""
    if stream.time_base is None or not is_seekable(container.format.name, stream.codec_context.name):
        return
    before = pts - round(PREROLL_S / stream.time_base)
    if before <= (stream.start_time or 0):
        return
    with contextlib.suppress(*DECODE_ERRORS):  # it stays where it was
        container.seek(before, stream=stream, backward=True)
