"""Open media files, and turn failures into `VideoError`."""

import io
import os
import re
import stat
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import cast
from urllib.parse import unquote_to_bytes

import av
import av.error
import av.logging
from av.container import InputContainer
from av.stream import Disposition
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from video.errors import VideoError, VideoErrorCode

Media = str | Path | bytes
"""A path, a percent-encoded `file://` URI, or the content of a file."""

MAGIC_BYTES = (
    b"RIFF",
    b"\x1aE\xdf\xa3",
    b"\x89PNG",
    b"\xff\xd8\xff",
    b"GIF8",
    b"OggS",
    b"FLV",
    b"\x00\x00\x01\xba",
    b"\x00\x00\x01\xb3",
)
"""First bytes of common container and image formats (MP4 has `ftyp` at byte 4)."""
STILL_FORMATS = ("image2", "_pipe")
"""Substrings of the names of FFmpeg's image demuxers."""
STILL_BRANDS = ("avif", "heic", "mif1")
"""Major brands of still images in an MP4 container."""
DECODE_ERRORS = (av.error.FFmpegError, ValueError, IndexError, OverflowError, MemoryError)
"""Errors that PyAV raises on broken files: FFmpeg's, and its own for impossible header values."""


def local_path(media: str | Path) -> Path:
    """Return the path of `media`, which may be a `file://` URI."""
    if isinstance(media, str) and media.startswith("file://"):
        return Path(os.fsdecode(unquote_to_bytes(media.removeprefix("file://"))))
    return Path(media)


def display_name(media: Media) -> str:
    """Return a name for error messages. It is valid UTF-8 even if the file name is not."""
    if isinstance(media, bytes):
        return f"<{len(media)} bytes>"
    return str(media).encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


@contextmanager
def open_media(media: Media) -> Generator[tuple[InputContainer, VideoStream], None, None]:
    """Open `media` and select its main video stream.

    FFmpeg may use no protocol, not even `file`, so a playlist cannot make it read other files.

    Raises:
        VideoError: also for errors raised while reading inside the block.
    """
    path = display_name(media)
    head = read_head(media)
    if not head:
        raise VideoError(VideoErrorCode.EMPTY_FILE, path, "the file is empty (0 bytes)")
    try:
        with (
            _open_source(media) as source,
            av.open(
                source, "r", options={"protocol_whitelist": "none"}, metadata_errors="replace"
            ) as container,
        ):
            yield container, _video_stream(container, path, head)
    except VideoError:
        raise
    except av.error.EOFError as error:
        raise VideoError(VideoErrorCode.TRUNCATED, path, "the file ends within its header") from error
    except DECODE_ERRORS as error:
        if not _looks_like_media(head):
            raise VideoError(VideoErrorCode.NOT_MEDIA, path, "no known video or image format") from error
        problem = f"the file begins like media but cannot be opened: {describe_error(error)}"
        raise VideoError(VideoErrorCode.TRUNCATED, path, problem) from error
    except FileNotFoundError as error:
        raise VideoError(VideoErrorCode.VANISHED, path, "the file has gone") from error
    except OSError as error:
        raise VideoError(
            VideoErrorCode.UNREADABLE, path, f"cannot be read: {describe_error(error)}"
        ) from error


def invalid_picture_size(path: str) -> str | None:
    """Return the frame size that FFmpeg rejects in the file at `path`, such as `100000x100000`, or None.

    Opens the file again, because FFmpeg reports this only in its log.
    """
    av.logging.set_level(av.logging.ERROR)
    try:
        with (
            _open_source(path) as source,
            av.logging.Capture() as lines,
            suppress(OSError, *DECODE_ERRORS),
            av.open(source, "r", options={"protocol_whitelist": "none"}) as container,
        ):
            next(container.decode(video=0), None)
    finally:
        av.logging.set_level(None)
    matches = (re.search(r"Picture size (\d+x\d+) is invalid", text) for _, _, text in lines)
    return next((match[1] for match in matches if match), None)


def describe_error(error: BaseException) -> str:
    """Return the message of one of `DECODE_ERRORS`."""
    return str(getattr(error, "strerror", None) or error or type(error).__name__)


def is_still(container: InputContainer, stream: VideoStream) -> bool:
    """Return whether the file is a single image: an image format, a one-frame GIF, or AVIF."""
    if any(name in container.format.name for name in STILL_FORMATS):
        return True
    if container.format.name == "gif":
        return stream.frames == 1
    return container.metadata.get("major_brand") in STILL_BRANDS and stream.frames <= 1


def _open_source(media: Media) -> io.BytesIO | io.BufferedReader:
    """Open `media` for PyAV. Passing a file object keeps FFmpeg from parsing the name as a URL."""
    return io.BytesIO(media) if isinstance(media, bytes) else local_path(media).open("rb")


def read_head(media: Media, num_bytes: int = 64) -> bytes:
    """Return the first bytes.

    Raises:
        VideoError: for operating system errors, and for anything but a regular file (opening a named pipe
            would block).
    """
    if isinstance(media, bytes):
        return media[:num_bytes]
    path, name = local_path(media), display_name(media)
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise VideoError(VideoErrorCode.UNREADABLE, name, "this is a folder, a pipe or a device, no file")
        with path.open("rb") as file:
            return file.read(num_bytes)
    except VideoError:
        raise
    except FileNotFoundError as error:
        raise VideoError(VideoErrorCode.VANISHED, name, "there is no such file") from error
    except PermissionError as error:
        raise VideoError(VideoErrorCode.UNREADABLE, name, "this user may not read the file") from error
    except OSError as error:
        raise VideoError(VideoErrorCode.UNREADABLE, name, f"cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise VideoError(VideoErrorCode.UNREADABLE, name, f"no file can have this name: {error}") from error


def _looks_like_media(head: bytes) -> bool:
    return head[4:8] in (b"ftyp", b"moov", b"mdat") or head.startswith(MAGIC_BYTES)


def _video_stream(container: InputContainer, path: str, head: bytes) -> VideoStream:
    """Return the first video stream that is not cover art; of an animated AVIF, the animation."""
    streams = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    if container.metadata.get("major_brand") == "avis":
        streams.sort(key=lambda stream: -stream.frames)
    if not streams and container.streams.audio:
        raise VideoError(VideoErrorCode.NO_VIDEO_STREAM, path, "the file holds sound only")
    if not len(container.streams) and _looks_like_media(head):
        raise VideoError(VideoErrorCode.TRUNCATED, path, "the file ends before it says what it holds")
    if not streams:
        raise VideoError(VideoErrorCode.NOT_MEDIA, path, "the file holds neither pictures nor sound")
    context = cast(VideoCodecContext | None, streams[0].codec_context)  # the stubs lack None
    if context is None:
        raise VideoError(VideoErrorCode.UNSUPPORTED, path, "its video is of a codec that is not known here")
    return streams[0]
