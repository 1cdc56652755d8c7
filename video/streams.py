"""Choose the video stream that a player would show."""

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import cast

from av.container import InputContainer
from av.stream import Disposition
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from video.errors import VideoError, VideoErrorCode

_PICTURES = Disposition.attached_pic | Disposition.timed_thumbnails
_SUBORDINATE = Disposition.still_image | Disposition.dependent
_ENOUGH_PACKETS = 250
"""A stream with one packet where another has as many is a picture."""


def main_stream(
    container: InputContainer,
    path: str,
    *,
    reopen: Callable[[], AbstractContextManager[InputContainer]],
    photo_item: int | None,
) -> VideoStream | None:
    """Return the stream to show: no cover art, no thumbnail of one frame, the default one, the first.

    Of an animated AVIF, the animation. None if there is no video.

    Args:
        reopen: opens the file once more, to count packets.
        photo_item: id of the primary item of a HEIF or AVIF photo.

    Raises:
        VideoError: the codec is not known.
    """
    streams = shown_streams(container)
    if container.metadata.get("major_brand") == "avis":
        streams.sort(key=lambda stream: -stream.frames)
    elif photo_item is not None:
        streams.sort(key=lambda stream: stream.id != photo_item)
    elif len(streams) > 1:
        streams = [s for s in streams if not s.disposition & _SUBORDINATE] or streams
        streams = _moving(streams, reopen)
        streams.sort(key=lambda stream: not stream.disposition & Disposition.default)
    if not streams:
        return None
    context = cast(VideoCodecContext | None, streams[0].codec_context)  # the stubs lack None
    if context is None:
        raise VideoError(VideoErrorCode.UNSUPPORTED, path, "its video is of a codec that is not known here")
    return streams[0]


def shown_streams(container: InputContainer) -> list[VideoStream]:
    """Return the video streams that are no cover art, in the order of the file."""
    return [s for s in container.streams.video if not s.disposition & _PICTURES]


def _moving(
    streams: list[VideoStream], reopen: Callable[[], AbstractContextManager[InputContainer]]
) -> list[VideoStream]:
    """Return the streams of more than one frame; all if there is no such stream."""
    counts = Counter({stream.index: stream.frames for stream in streams})
    if not all(counts.values()):
        with reopen() as container:
            counts = _count_packets(container, [stream.index for stream in streams])
    return [stream for stream in streams if counts[stream.index] > 1] or streams


def _count_packets(container: InputContainer, indices: Sequence[int]) -> Counter[int]:
    """Count the packets of some streams, until each has two or one has many."""
    counts = Counter[int]()
    for packet in container.demux([container.streams[index] for index in indices]):
        counts[packet.stream_index] += packet.size > 0
        if min(counts[index] for index in indices) > 1 or counts[packet.stream_index] >= _ENOUGH_PACKETS:
            break
    return counts
