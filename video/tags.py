"""Tags of media files: texts by name, written with the pictures and read back from any container.

MP4 and MOV keep free names with `use_metadata_tags`; Matroska and WebM write them in capitals; PNG has a text
chunk for each; GIF and JPEG have comments alone, which hold all tags as JSON. Names are read in lower case.
"""

import json
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import av

from video.container import DECODE_ERRORS, display_name, local_path, read_head
from video.errors import VideoError, VideoErrorCode

PNG_SIGNATURE, JPEG_SIGNATURE, GIF_SIGNATURE = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF8"
_SEGMENT_BYTES = 65_533
"""Most bytes of one JPEG comment."""
_APPLICATION_SEGMENTS = range(0xE0, 0xF0)
_COMMENT, _START_OF_SCAN = 0xFE, 0xDA


def container_options(container: str, tags: Mapping[str, str]) -> dict[str, str]:
    """Return the muxer's options with which `container` stores `tags`."""
    return {"movflags": "use_metadata_tags"} if tags and container in ("mp4", "mov") else {}


def with_png_tags(content: bytes, tags: Mapping[str, str]) -> bytes:
    """Return a PNG file with an international text chunk (iTXt) for each tag, before its pixels."""
    first = len(PNG_SIGNATURE) + 25  # IHDR is the first chunk and has 13 bytes
    chunks = b"".join(_png_text(name, text) for name, text in tags.items())
    return content[:first] + chunks + content[first:]


def with_jpeg_tags(content: bytes, tags: Mapping[str, str]) -> bytes:
    """Return a JPEG file with all tags as JSON in its comment; a long one goes on in further comments."""
    comment = to_comment(tags)
    at = next(start for marker, start, _ in _jpeg_segments(content) if marker not in _APPLICATION_SEGMENTS)
    parts = [comment[i : i + _SEGMENT_BYTES] for i in range(0, len(comment), _SEGMENT_BYTES)]
    segments = b"".join(b"\xff\xfe" + struct.pack(">H", len(part) + 2) + part for part in parts)
    return content[:at] + segments + content[at:]


def with_gif_tags(content: bytes, tags: Mapping[str, str]) -> bytes:
    """Return a GIF file with all tags as JSON in a comment, before its first frame."""
    comment = to_comment(tags)
    at = _gif_header_bytes(content)
    blocks = [comment[i : i + 255] for i in range(0, len(comment), 255)]
    extension = b"\x21\xfe" + b"".join(bytes([len(block)]) + block for block in blocks) + b"\0"
    return content[:at] + extension + content[at:]


def to_comment(tags: Mapping[str, str]) -> bytes:
    """Return all tags as one line of JSON in ASCII, which every reader of comments shows."""
    return json.dumps(dict(tags)).encode()


def read_tags(path: str | Path) -> dict[str, str]:
    """Return the tags of a video, GIF, PNG or JPEG file by name; other metadata of the file is included.

    Raises VideoError for a file that is no such thing.
    """
    head = read_head(path)
    if head.startswith(PNG_SIGNATURE):
        return _png_texts(local_path(path).read_bytes())
    if head.startswith(JPEG_SIGNATURE):
        content = local_path(path).read_bytes()
        parts = [
            content[start + 4 : end] for marker, start, end in _jpeg_segments(content) if marker == _COMMENT
        ]
        return _from_comment(b"".join(parts).decode("utf-8", "replace"))
    return _container_tags(path, is_gif=head.startswith(GIF_SIGNATURE))


def _container_tags(path: str | Path, *, is_gif: bool) -> dict[str, str]:
    try:
        with (
            local_path(path).open("rb") as file,
            av.open(
                file, "r", options={"protocol_whitelist": "none"}, metadata_errors="replace"
            ) as container,
        ):
            found = dict(container.metadata)
            if is_gif:  # FFmpeg reads the comment with the first frame
                for stream in container.streams.video:
                    found |= stream.metadata
                next(container.decode(video=0), None)
                found |= container.metadata
    except DECODE_ERRORS as error:
        raise VideoError(VideoErrorCode.NOT_MEDIA, display_name(path), "no known video or image") from error
    tags = {name.lower(): text for name, text in found.items()}
    return _from_comment(tags.pop("comment", "")) | tags if is_gif else tags


def _from_comment(comment: str) -> dict[str, str]:
    """Return the tags of a comment; one that is no JSON object is the tag `comment`."""
    try:
        tags = json.loads(comment)
    except ValueError:
        return {"comment": comment} if comment else {}
    if not isinstance(tags, dict):
        return {"comment": comment}
    return {str(name).lower(): str(text) for name, text in cast(dict[Any, Any], tags).items()}


def _png_text(name: str, text: str) -> bytes:
    data = name.encode("latin-1") + b"\0\0\0\0\0" + text.encode()
    body = b"iTXt" + data
    return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))


def _png_texts(content: bytes) -> dict[str, str]:
    tags: dict[str, str] = {}
    at = len(PNG_SIGNATURE)
    while at + 8 <= len(content):
        size, kind = struct.unpack_from(">I4s", content, at)
        data = content[at + 8 : at + 8 + size]
        name, _, rest = data.partition(b"\0")
        if kind == b"tEXt":
            tags[name.decode("latin-1").lower()] = rest.decode("latin-1")
        elif kind == b"iTXt" and rest[:1] == b"\0":  # not compressed
            tags[name.decode("latin-1").lower()] = rest[2:].split(b"\0", 2)[-1].decode("utf-8", "replace")
        at += 12 + size
    return tags


def _jpeg_segments(content: bytes) -> list[tuple[int, int, int]]:
    """Return (marker, start, end) of each segment between the start of the image and its pixels."""
    found: list[tuple[int, int, int]] = []
    at = 2
    while at + 4 <= len(content) and content[at] == 0xFF:
        marker, size = content[at + 1], struct.unpack_from(">H", content, at + 2)[0]
        found.append((marker, at, at + 2 + size))
        if marker == _START_OF_SCAN:
            break
        at += 2 + size
    return found


def _gif_header_bytes(content: bytes) -> int:
    """Return the length of the screen descriptor with its palette."""
    flags = content[10]
    return 13 + (3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0)
