"""Open a media file, and say clearly why when that fails. Used by everything here that reads."""

import io
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import av
import av.error
import av.logging
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from video.errors import VideoError, VideoErrorCode

Media = str | Path | bytes
"""Where media comes from: a path, or the bytes themselves."""

MAGIC = (
    b"RIFF",
    b"\x1aE\xdf\xa3",
    b"\x89PNG",
    b"\xff\xd8\xff",
    b"OggS",
    b"FLV",
    b"\x00\x00\x01\xba",
    b"\x00\x00\x01\xb3",
)
"""How files of common containers and still formats begin (MP4 is told by `ftyp` at byte 4)."""
STILL_FORMATS = ("image2", "_pipe")
"""How FFmpeg calls its readers of single pictures."""


def name_of(media: Media) -> str:
    """Return what errors call it."""
    return f"<{len(media)} bytes>" if isinstance(media, bytes) else str(media)


@contextmanager
def open_media(media: Media) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open `media` at its best video stream. Only that file is read, whatever a playlist in it may name.

    Raises:
        VideoError: also for errors that reading inside the block meets.
    """
    path = name_of(media)
    head = _head(media)
    if not head:
        raise VideoError(VideoErrorCode.EMPTY_FILE, path, "the file is empty (0 bytes)")
    try:
        with av.open(_source(media), "r", options={"protocol_whitelist": "file"}) as container:
            yield container, _video_stream(container, path)
    except av.error.FileNotFoundError as error:
        raise VideoError(VideoErrorCode.VANISHED, path, "the file has gone") from error
    except av.error.PermissionError as error:
        raise VideoError(VideoErrorCode.UNREADABLE, path, "this user may not read the file") from error
    except av.error.EOFError as error:
        raise VideoError(VideoErrorCode.TRUNCATED, path, "the file ends within its header") from error
    except av.error.FFmpegError as error:
        if not _looks_like_media(head):
            raise VideoError(VideoErrorCode.NOT_MEDIA, path, "no known video or image format") from error
        problem = f"the file begins like media but cannot be opened: {error.strerror}"
        raise VideoError(VideoErrorCode.TRUNCATED, path, problem) from error


def refused_size(path: str) -> str | None:
    """Return the size of picture, such as `100000x100000`, for which FFmpeg refuses the file at `path`.

    None where that is not why. Opens the file once more: only FFmpeg's log tells.
    """
    av.logging.set_level(av.logging.ERROR)
    try:
        with (
            av.logging.Capture() as lines,
            suppress(av.error.FFmpegError, IndexError),
            av.open(_source(path), "r", options={"protocol_whitelist": "file"}) as container,
        ):
            next(container.decode(video=0), None)
    finally:
        av.logging.set_level(None)
    found = (re.search(r"Picture size (\d+x\d+) is invalid", text) for _, _, text in lines)
    return next((match[1] for match in found if match), None)


def is_still(container: InputContainer) -> bool:
    """Return whether the file is a single picture."""
    return any(name in container.format.name for name in STILL_FORMATS)


def _source(media: Media) -> str | io.BytesIO:
    # a file name is never taken for another protocol (`concat:`, `http:`)
    return io.BytesIO(media) if isinstance(media, bytes) else f"file:{media}"


def _head(media: Media) -> bytes:
    """Return the first bytes, or raise as the operating system says."""
    if isinstance(media, bytes):
        return media[:16]
    try:
        if stat.S_ISFIFO(Path(media).stat().st_mode):  # opening one would wait for its writer
            raise VideoError(VideoErrorCode.UNREADABLE, media, "is a pipe, not a file", "copy it into a file")
        with Path(media).open("rb") as file:
            return file.read(16)
    except FileNotFoundError as error:
        raise VideoError(VideoErrorCode.VANISHED, media, "there is no such file") from error
    except PermissionError as error:
        raise VideoError(VideoErrorCode.UNREADABLE, media, "this user may not read the file") from error
    except OSError as error:
        raise VideoError(VideoErrorCode.UNREADABLE, media, f"cannot be read: {error.strerror}") from error


def _looks_like_media(head: bytes) -> bool:
    return head[4:8] in (b"ftyp", b"moov", b"mdat") or head.startswith(MAGIC)


def _video_stream(container: InputContainer, path: str) -> VideoStream:
    """Return the first video stream that is not the cover picture of a song."""
    for stream in container.streams.video:
        if not stream.disposition & Disposition.attached_pic:
            return stream
    if container.streams.audio:
        raise VideoError(VideoErrorCode.NO_VIDEO_STREAM, path, "the file holds sound only")
    raise VideoError(VideoErrorCode.NOT_MEDIA, path, "the file holds neither pictures nor sound")
