"""Decide from the bytes of a file alone whether its end is missing.

A stated duration or number of frames proves nothing: subtitles may last longer than the pictures, the last
picture may stand until the end, and many writers state what they planned. Trailing bytes are allowed.
"""

import io
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from video.boxes import (
    EBML_SEGMENT,
    PNG_SIGNATURE,
    ebml_elements,
    file_size,
    is_animated_png,
    iso_boxes,
    png_chunks,
    read_at,
)

JPEG_END, JPEG_SCAN = 0xD9, 0xDA
GIF_END, GIF_IMAGE, GIF_EXTENSION = 0x3B, 0x2C, 0x21
EBML = b"\x1aE\xdf\xa3"
ASF_HEADER = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
ASF_DATA = bytes.fromhex("3626b2758e66cf11a6d900aa0062ce6c")
MXF_PARTITION = bytes.fromhex("060e2b34020501010d010201")
MXF_INDEX_PACK = bytes.fromhex("060e2b34020501010d01020101110100")
_UNKNOWN_SIZES = (0, 0xFFFFFFFF)
"""Sizes that a recorder leaves behind when it is stopped."""


def is_truncated(media: Path | bytes) -> bool | None:
    """Return whether bytes are missing at the end of a file; None where the format does not tell.

    JPEG has a marker after its last scan, GIF a byte after its last block, animated PNG a last chunk. MP4,
    Matroska, AVI and ASF state the sizes of what holds the pictures. FLV and MXF end with a back reference.
    """
    with io.BytesIO(media) if isinstance(media, bytes) else media.open("rb") as file:
        head = file.read(16)
        check = next((check for magic, check in _CHECKS if magic(head)), None)
        return None if check is None else check(file, file_size(file))


def _jpeg(file: BinaryIO, size: int) -> bool:
    """Skip the segments before the first scan: a thumbnail in them has an end marker of its own."""
    jpeg = read_at(file, 0, size)
    offset = 2
    while offset + 4 <= len(jpeg):
        if jpeg[offset] != 0xFF:
            return False  # damaged: decoding reports it
        if jpeg[offset + 1] == 0xFF:  # a fill byte
            offset += 1
            continue
        if jpeg[offset + 1] == JPEG_SCAN:
            return jpeg.find(bytes([0xFF, JPEG_END]), offset) < 0
        offset += 2 + int.from_bytes(jpeg[offset + 2 : offset + 4])
    return True


def _gif(file: BinaryIO, size: int) -> bool:
    gif = read_at(file, 0, size)
    offset = 13 + _palette_size(gif[10]) if len(gif) > 10 else len(gif)
    while offset < len(gif):
        if gif[offset] == GIF_IMAGE and offset + 9 < len(gif):
            offset += 11 + _palette_size(gif[offset + 9])
        elif gif[offset] == GIF_EXTENSION:
            offset += 2
        else:  # the end, or damage that decoding reports
            return False
        while offset < len(gif) and gif[offset]:
            offset += gif[offset] + 1
        offset += 1
    return True


def _palette_size(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _png(file: BinaryIO, size: int) -> bool | None:
    """Look for the last chunk of an animation; the decoder reports the missing end of a still."""
    if not is_animated_png(file):
        return None
    return not any(chunk.kind == b"IEND" for chunk in png_chunks(file))


def _matroska(file: BinaryIO, size: int) -> bool | None:
    """Compare the sizes of the segments, which live recordings leave open."""
    ends = [each.end for each in ebml_elements(file, 0, 1 << 62) if each.kind == EBML_SEGMENT]
    if not ends or ends[-1] == 1 << 62:
        return None
    return ends[-1] > size


def _iso(file: BinaryIO, size: int) -> bool | None:
    """Look for a fragment that is cut short. Of files without, the sample table decides."""
    has_fragments = False
    for box in iso_boxes(file, 0, size):
        has_fragments = has_fragments or box.kind == b"moof"
        if box.end > size:
            return True if has_fragments else None
    return None


def _avi(file: BinaryIO, size: int) -> bool | None:
    """Look for the lists of pictures; an index that is missing after them is no loss."""
    found, start = False, 0
    while (head := read_at(file, start, 12))[:4] == b"RIFF" and len(head) == 12:
        riff_size, at = int.from_bytes(head[4:8], "little"), start + 12
        end = size if riff_size in _UNKNOWN_SIZES else min(size, start + 8 + riff_size)
        while at + 12 <= end:
            chunk = read_at(file, at, 12)
            chunk_size = int.from_bytes(chunk[4:8], "little")
            if chunk[:4] == b"LIST" and chunk[8:] == b"movi":
                if chunk_size in _UNKNOWN_SIZES:
                    return None
                found = True
                if at + 8 + chunk_size > size:
                    return True
            at += 8 + chunk_size + chunk_size % 2
        if riff_size in _UNKNOWN_SIZES:
            break
        start += 8 + riff_size + riff_size % 2
    return False if found else None


def _asf(file: BinaryIO, size: int) -> bool | None:
    """Compare the size of the data object, which live recordings leave at 0."""
    start = 0
    while len(head := read_at(file, start, 24)) == 24:
        object_size = int.from_bytes(head[16:], "little")
        if head[:16] == ASF_DATA:
            return None if object_size <= 50 else start + object_size > size
        if object_size < 24:
            return None
        start += object_size
    return True if start > size else None


def _flv(file: BinaryIO, size: int) -> bool | None:
    """Return False if the last tag is followed by its own size."""
    tag_size = int.from_bytes(read_at(file, max(0, size - 4), 4))
    if not 11 <= tag_size <= size - 13:
        return None
    tag = read_at(file, size - 4 - tag_size, 4)
    return False if tag[0] & 0x1F in (8, 9, 18) and int.from_bytes(tag[1:]) == tag_size - 11 else None


def _mxf(file: BinaryIO, size: int) -> bool | None:
    """Return False if the file ends with its random index pack."""
    pack_size = int.from_bytes(read_at(file, max(0, size - 4), 4))
    return False if read_at(file, max(0, size - pack_size), 16) == MXF_INDEX_PACK else None


_Check = Callable[[BinaryIO, int], bool | None]
_CHECKS: tuple[tuple[Callable[[bytes], bool], _Check], ...] = (
    (lambda head: head.startswith(b"\xff\xd8\xff"), _jpeg),
    (lambda head: head.startswith(b"GIF8"), _gif),
    (lambda head: head.startswith(PNG_SIGNATURE), _png),
    (lambda head: head.startswith(EBML), _matroska),
    (lambda head: head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"), _iso),
    (lambda head: head[:4] == b"RIFF" and head[8:12] == b"AVI ", _avi),
    (lambda head: head.startswith(ASF_HEADER), _asf),
    (lambda head: head.startswith(b"FLV"), _flv),
    (lambda head: head.startswith(MXF_PARTITION), _mxf),
)
