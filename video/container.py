"""Open media files, choose what to show of them, and turn failures into `VideoError`."""

import io
import os
import re
import stat
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, NamedTuple
from urllib.parse import unquote_to_bytes

import av
import av.error
import av.logging
from av.codec.context import Flags
from av.container import InputContainer
from av.video.stream import VideoStream

from video.boxes import is_animated_png, is_joined_matroska
from video.errors import VideoError, VideoErrorCode
from video.heif import Photo, read_photo
from video.streams import main_stream, shown_streams
from video.track_header import TrackHeader, clean_aperture, read_track_header

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
STILL_BRANDS = ("avif", "heic", "heix", "mif1")
"""Major brands of still images in an MP4 container."""
DECODE_ERRORS = (av.error.FFmpegError, ValueError, IndexError, OverflowError, MemoryError)
"""Errors that PyAV raises on broken files: FFmpeg's, and its own for impossible header values."""

_OPTIONS = {"protocol_whitelist": "none", "min_delay": "0"}
"""No protocol, not even `file`, so that a playlist cannot name other files; the delays of a GIF as stated."""


class Opened(NamedTuple):
    """An open file, and the stream of it to show."""

    media: Media
    container: InputContainer
    stream: VideoStream
    header: TrackHeader
    photo: Photo | None
    """A photo that the container keeps in several items; None for all others."""
    is_joined: bool
    """Whether several Matroska files were joined, so that the index is that of the first alone."""

    @property
    def name(self) -> str:
        """The name for error messages."""
        return display_name(self.media)

    @property
    def path_or_bytes(self) -> Path | bytes:
        """The media as a path, or its content."""
        return self.media if isinstance(self.media, bytes) else local_path(self.media)

    @property
    def stream_index(self) -> int:
        """Which of the video streams is shown, counted without cover art; 0 for photos and animated AVIF."""
        if self.container.metadata.get("major_brand") in (*STILL_BRANDS, "avis"):
            return 0
        return shown_streams(self.container).index(self.stream)

    @property
    def may_change_aspect(self) -> bool:
        """Whether the shape of a pixel is the codec's to state: MP4 and Matroska state one for all frames."""
        return not self.container.format.name.startswith(("mov,mp4", "matroska"))

    @property
    def is_still(self) -> bool:
        """Whether the file is a single image: an image format, a one-frame GIF, HEIF or AVIF."""
        if self.photo is not None or any(name in self.container.format.name for name in STILL_FORMATS):
            return True
        if self.container.format.name == "gif":
            return self.stream.frames == 1
        return self.container.metadata.get("major_brand") in STILL_BRANDS and self.stream.frames <= 1


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
def open_media(media: Media) -> Generator[Opened, None, None]:
    """Open `media` and select its main video stream.

    Raises:
        VideoError: also for errors raised while reading inside the block.
    """
    path = display_name(media)
    head = read_head(media)
    if not head:
        raise VideoError(VideoErrorCode.EMPTY_FILE, path, "the file is empty (0 bytes)")
    try:
        with _open_source(media) as source, _open_container(source) as container:
            yield _opened(media, source, container, head)
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


@contextmanager
def reopen(media: Media) -> Generator[InputContainer, None, None]:
    """Open `media` once more, to read it from its start."""
    with _open_source(media) as source, _open_container(source) as container:
        yield container


def _open_container(source: BinaryIO) -> InputContainer:
    format = "apng" if is_animated_png(source) else None
    source.seek(0)
    return av.open(source, "r", format=format, options=_OPTIONS, metadata_errors="replace")


def _opened(media: Media, source: BinaryIO, container: InputContainer, head: bytes) -> Opened:
    """Choose the stream, and read what the header says of it. Leaves the position of `source` as it was."""
    path = display_name(media)
    position = source.tell()
    photo = read_photo(source) if container.metadata.get("major_brand") in STILL_BRANDS else None
    stream = main_stream(
        container,
        path,
        reopen=lambda: reopen(media),
        photo_item=None if photo is None else photo.item,
    )
    if stream is None:
        raise _no_video(container, path, head)
    header = read_track_header(source, container, stream) if photo is None else _photo_header(photo, stream)
    is_joined = "matroska" in container.format.name and is_joined_matroska(source)
    source.seek(position)
    if not header.has_base_layer:
        problem = "its Dolby Vision frames are in a color space of their own, without a base layer to show"
        raise VideoError(VideoErrorCode.UNSUPPORTED, path, problem)
    stream.codec_context.flags |= Flags.unaligned  # crop the left side to the pixel
    return Opened(
        media=media,
        container=container,
        stream=stream,
        header=header,
        photo=photo if photo and photo.is_composed else None,
        is_joined=is_joined,
    )


def _photo_header(photo: Photo, stream: VideoStream) -> TrackHeader:
    context, aperture = stream.codec_context, dict(photo.properties).get(b"clap", b"")
    return TrackHeader(margins=clean_aperture(aperture, context.width, context.height))


def _no_video(container: InputContainer, path: str, head: bytes) -> VideoError:
    if container.streams.audio:
        return VideoError(VideoErrorCode.NO_VIDEO_STREAM, path, "the file holds sound only")
    if not len(container.streams) and _looks_like_media(head):
        return VideoError(VideoErrorCode.TRUNCATED, path, "the file ends before it says what it holds")
    return VideoError(VideoErrorCode.NOT_MEDIA, path, "the file holds neither pictures nor sound")


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
            av.open(source, "r", options=_OPTIONS) as container,
        ):
            next(container.decode(video=0), None)
    finally:
        av.logging.set_level(None)
    matches = (re.search(r"Picture size (\d+x\d+) is invalid", text) for _, _, text in lines)
    return next((match[1] for match in matches if match), None)


def describe_error(error: BaseException) -> str:
    """Return the message of one of `DECODE_ERRORS`."""
    return str(getattr(error, "strerror", None) or error or type(error).__name__)


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
