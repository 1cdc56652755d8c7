"""Find the header of another file that was joined to one, behind which FFmpeg reads nothing.

MPEG streams, Matroska, AVI and GIF are read on over a join; the formats here are not.
"""

import io
import mmap
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from video.boxes import Element, file_size, iso_boxes, read_at
from video.truncation import ASF_HEADER

_NUT = b"nut/multimedia container\0"
_WTV = bytes.fromhex("b7d800203749da11a64e0007e95ead8d")


def is_left_unread(media: Path | bytes, format_name: str, position: int) -> bool:
    """Return whether another file's header follows, at which FFmpeg stops reading.

    Args:
        format_name: FFmpeg's name of the container.
        position: byte at which the last packet that was read begins.
    """
    check = next((check for prefix, check in _CHECKS.items() if format_name.startswith(prefix)), None)
    if check is None:
        return False
    with io.BytesIO(media) if isinstance(media, bytes) else media.open("rb") as file:
        return check(file, position)


def _flv(file: BinaryIO, position: int) -> bool:
    while len(tag := read_at(file, position, 11)) == 11:
        if tag.startswith(b"FLV\1"):
            return True
        if tag[0] & 0x1F not in (8, 9, 18):
            return False
        position += 15 + int.from_bytes(tag[1:4])
    return False


def _iso(file: BinaryIO, position: int) -> bool:
    """Look for a second `ftyp`, or in files of QuickTime without any, a second `moov`.

    Fragments behind a second header are read; then `position` is behind it.
    """
    boxes = list(iso_boxes(file, 0, file_size(file)))
    headers = _of_kind(boxes, b"ftyp") or _of_kind(boxes, b"moov")
    return any(header.start > position for header in headers[1:])


def _of_kind(boxes: list[Element], kind: bytes) -> list[Element]:
    return [box for box in boxes if box.kind == kind]


def _asf(file: BinaryIO, position: int) -> bool:
    """Look for a second header object; live recordings, whose data has no size, do not tell."""
    start = 0
    while len(head := read_at(file, start, 24)) == 24:
        if start > position and head[:16] == ASF_HEADER:
            return True
        object_size = int.from_bytes(head[16:], "little")
        if object_size < 24:
            return False
        start += object_size
    return False


def _has_again(magic: bytes) -> Callable[[BinaryIO, int], bool]:
    """Return a check that looks for the first bytes of a file: FFmpeg takes what follows them for a frame."""

    def check(file: BinaryIO, position: int) -> bool:
        if isinstance(file, io.BytesIO):
            return file.getvalue().find(magic, 1) > 0
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return content.find(magic, 1) > 0

    return check


_CHECKS = {"flv": _flv, "mov,mp4": _iso, "asf": _asf, "nut": _has_again(_NUT), "wtv": _has_again(_WTV)}
"""By the beginning of FFmpeg's name of the container."""
