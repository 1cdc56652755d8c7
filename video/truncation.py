"""Detect truncated files that FFmpeg decodes without an error, from the end marker of their format.

JPEG has a marker after its last scan, GIF a byte after its last block, and a Matroska segment usually states
its size. Trailing bytes are allowed.
"""

from pathlib import Path

JPEG_END, JPEG_SCAN = 0xD9, 0xDA
GIF_END, GIF_IMAGE, GIF_EXTENSION = 0x3B, 0x2C, 0x21
EBML, SEGMENT = b"\x1aE\xdf\xa3", b"\x18S\x80g"


def is_truncated(media: Path | bytes) -> bool:
    """Return whether the end of a JPEG, GIF or Matroska file is missing; False for other formats."""
    head = _read(media, 64)
    if head.startswith(b"\xff\xd8\xff"):
        return not _is_complete_jpeg(_read(media))
    if head.startswith(b"GIF8"):
        return not _is_complete_gif(_read(media))
    if head.startswith(EBML):
        return _segment_end(head) > (len(media) if isinstance(media, bytes) else media.stat().st_size)
    return False


def _read(media: Path | bytes, num_bytes: int = -1) -> bytes:
    if isinstance(media, bytes):
        return media[:num_bytes] if num_bytes >= 0 else media
    with media.open("rb") as file:
        return file.read(num_bytes)


def _is_complete_jpeg(jpeg: bytes) -> bool:
    """Skip the segments before the first scan: a thumbnail in them has an end marker of its own."""
    offset = 2
    while offset + 4 <= len(jpeg):
        if jpeg[offset] != 0xFF:
            return True  # damaged: decoding reports it
        if jpeg[offset + 1] == 0xFF:  # a fill byte
            offset += 1
            continue
        if jpeg[offset + 1] == JPEG_SCAN:
            return jpeg.find(bytes([0xFF, JPEG_END]), offset) >= 0
        offset += 2 + int.from_bytes(jpeg[offset + 2 : offset + 4], "big")
    return False


def _is_complete_gif(gif: bytes) -> bool:
    offset = 13 + _palette_size(gif[10]) if len(gif) > 10 else len(gif)
    while offset < len(gif):
        if gif[offset] == GIF_IMAGE and offset + 9 < len(gif):
            offset += 11 + _palette_size(gif[offset + 9])
        elif gif[offset] == GIF_EXTENSION:
            offset += 2
        else:  # the end, or damage that decoding reports
            return True
        while offset < len(gif) and gif[offset]:
            offset += gif[offset] + 1
        offset += 1
    return False


def _palette_size(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _segment_end(head: bytes) -> int:
    """Return the end of the Matroska segment in bytes, or 0 if its size is not stated."""
    start = head.find(SEGMENT)
    if start < 0 or start + 12 > len(head):
        return 0
    first = head[start + 4]
    length = 9 - first.bit_length()
    content = int.from_bytes(head[start + 4 : start + 4 + length], "big") & (1 << 7 * length) - 1
    unknown = content == (1 << 7 * length) - 1
    return 0 if unknown or not first else start + 4 + length + content
