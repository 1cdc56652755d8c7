"""Walk the elements of container files: ISO boxes (MP4, MOV, HEIF, AVIF) and EBML elements (Matroska, WebM).

Only headers are read. A damaged size ends the walk.
"""

import os
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

EBML_SEGMENT = b"\x18S\x80g"
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_MAX_ELEMENTS = 1 << 20
"""Most elements of one level that are visited, so that a damaged file cannot take forever."""


class Element(NamedTuple):
    """One box or element. Its content is [start, end) in bytes of the file; `end` may exceed the file."""

    kind: bytes
    start: int
    end: int


def file_size(file: BinaryIO) -> int:
    """Return the number of bytes of an open file."""
    return file.seek(0, os.SEEK_END)


def read_at(file: BinaryIO, start: int, num_bytes: int) -> bytes:
    """Return up to `num_bytes` from `start`."""
    file.seek(start)
    return file.read(num_bytes)


def content(file: BinaryIO, element: Element, max_bytes: int = 1 << 20) -> bytes:
    """Return the content of an element, at most `max_bytes`."""
    return read_at(file, element.start, min(max_bytes, element.end - element.start))


def iso_boxes(file: BinaryIO, start: int, end: int) -> Iterator[Element]:
    """Yield the ISO boxes (ISO/IEC 14496-12, 4.2) in [start, end)."""
    for _ in range(_MAX_ELEMENTS):
        head = read_at(file, start, 16)
        if start + 8 > end or len(head) < 8:
            return
        size, header = int.from_bytes(head[:4]), 8
        if size == 1 and len(head) == 16:
            size, header = int.from_bytes(head[8:]), 16
        elif size == 0:  # up to the end of the file
            size = end - start
        if size < header:
            return
        yield Element(head[4:8], start + header, start + size)
        start += size


def iso_box(file: BinaryIO, path: tuple[bytes, ...], start: int, end: int) -> Element | None:
    """Return the first box at a path of kinds, such as `(b"moov", b"trak")`."""
    for box in iso_boxes(file, start, end):
        if box.kind == path[0]:
            return iso_box(file, path[1:], box.start, box.end) if len(path) > 1 else box
    return None


def ebml_elements(file: BinaryIO, start: int, end: int) -> Iterator[Element]:
    """Yield the EBML elements (RFC 8794) in [start, end). One of unknown size is the last, up to `end`."""
    for _ in range(_MAX_ELEMENTS):
        head = read_at(file, start, 12)
        id_length = 9 - head[0].bit_length() if head else 9
        if start >= end or id_length > 4 or len(head) <= id_length:
            return
        size_length = 9 - head[id_length].bit_length()
        header = id_length + size_length
        if size_length > 8 or len(head) < header:
            return
        size = int.from_bytes(head[id_length:header]) & (1 << 7 * size_length) - 1
        unknown = size == (1 << 7 * size_length) - 1
        yield Element(head[:id_length], start + header, end if unknown else start + header + size)
        if unknown:
            return
        start += header + size


def png_chunks(file: BinaryIO) -> Iterator[Element]:
    """Yield the chunks of a PNG file; none of another file."""
    if read_at(file, 0, 8) != PNG_SIGNATURE:
        return
    start = 8
    for _ in range(_MAX_ELEMENTS):
        head = read_at(file, start, 8)
        if len(head) < 8:
            return
        size = int.from_bytes(head[:4])
        yield Element(head[4:], start + 8, start + 8 + size)
        start += 12 + size


def is_animated_png(file: BinaryIO) -> bool:
    """Return whether a file is an animated PNG, however long the texts before its frames are."""
    for chunk in png_chunks(file):
        if chunk.kind in (b"acTL", b"IDAT"):
            return chunk.kind == b"acTL"
    return False


def is_joined_matroska(file: BinaryIO) -> bool:
    """Return whether a Matroska file has more than one segment."""
    kinds = [element.kind for element in ebml_elements(file, 0, file_size(file))]
    return kinds.count(EBML_SEGMENT) > 1
