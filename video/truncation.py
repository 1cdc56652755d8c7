"""Notice that a file ends early where FFmpeg would not say so, from how its format marks its end.

JPEG ends with a marker after its last scan, GIF with a byte after its last block, and a Matroska segment
mostly states its size. Bytes behind the end are no fault.
"""

from pathlib import Path

JPEG_END, JPEG_SCAN = 0xD9, 0xDA
GIF_END, GIF_IMAGE, GIF_EXTENSION = 0x3B, 0x2C, 0x21
EBML, SEGMENT = b"\x1aE\xdf\xa3", b"\x18S\x80g"


def is_truncated(media: Path | bytes) -> bool:
    """Return whether the end is missing; False for formats that are not looked at here."""
    head = _read(media, 64)
    if head.startswith(b"\xff\xd8\xff"):
        return not _jpeg_is_whole(_read(media))
    if head.startswith(b"GIF8"):
        return not _gif_is_whole(_read(media))
    if head.startswith(EBML):
        return _segment_end(head) > (len(media) if isinstance(media, bytes) else media.stat().st_size)
    return False


def _read(media: Path | bytes, num_bytes: int = -1) -> bytes:
    if isinstance(media, bytes):
        return media[:num_bytes] if num_bytes >= 0 else media
    with media.open("rb") as file:
        return file.read(num_bytes)


def _jpeg_is_whole(jpeg: bytes) -> bool:
    """Walk over the segments, in which a thumbnail may have an end of its own, to the first scan."""
    place = 2
    while place + 4 <= len(jpeg):
        if jpeg[place] != 0xFF:
            return True  # damaged, which decoding tells
        if jpeg[place + 1] == 0xFF:  # a fill byte
            place += 1
            continue
        if jpeg[place + 1] == JPEG_SCAN:
            return jpeg.find(bytes([0xFF, JPEG_END]), place) >= 0
        place += 2 + int.from_bytes(jpeg[place + 2 : place + 4], "big")
    return False


def _gif_is_whole(gif: bytes) -> bool:
    place = 13 + _palette_size(gif[10]) if len(gif) > 10 else len(gif)
    while place < len(gif):
        if gif[place] == GIF_IMAGE and place + 9 < len(gif):
            place += 11 + _palette_size(gif[place + 9])
        elif gif[place] == GIF_EXTENSION:
            place += 2
        else:  # the end, or damage, which decoding tells
            return True
        while place < len(gif) and gif[place]:
            place += gif[place] + 1
        place += 1
    return False


def _palette_size(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _segment_end(head: bytes) -> int:
    """Return where the Matroska segment ends as it states; 0 where it does not."""
    start = head.find(SEGMENT)
    if start < 0 or start + 12 > len(head):
        return 0
    first = head[start + 4]
    length = 9 - first.bit_length()
    content = int.from_bytes(head[start + 4 : start + 4 + length], "big") & (1 << 7 * length) - 1
    unknown = content == (1 << 7 * length) - 1
    return 0 if unknown or not first else start + 4 + length + content
