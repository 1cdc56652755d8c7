"""Change bytes of media files: boxes of MP4 and HEIF, chunks of AVI, elements of Matroska."""

import struct


def box(kind: bytes, *bodies: bytes) -> bytes:
    """Return an ISO box."""
    body = b"".join(bodies)
    return struct.pack(">I", 8 + len(body)) + kind + body


def full_box(kind: bytes, version: int, flags: int, *bodies: bytes) -> bytes:
    """Return an ISO box with a version and flags."""
    return box(kind, struct.pack(">I", version << 24 | flags), *bodies)


def find_box(media: bytes, kind: bytes) -> bytes:
    """Return the first box of a kind, wherever it is."""
    at = media.index(kind) - 4
    return media[at : at + struct.unpack_from(">I", media, at)[0]]


def with_sample_entry_box(mp4: bytes, entry: bytes, new: bytes) -> bytes:
    """Append a box to the first sample entry, such as `avc1`, of a file whose index is at its end."""
    media, places, at = bytearray(mp4), list[int](), 0
    for kind in (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", entry):
        while media[at + 4 : at + 8] != kind:
            at += struct.unpack_from(">I", media, at)[0]
        places.append(at)
        end = at + struct.unpack_from(">I", media, at)[0]
        at += 16 if kind == b"stsd" else 8
    media[end:end] = new
    for place in places:
        struct.pack_into(">I", media, place, struct.unpack_from(">I", media, place)[0] + len(new))
    return bytes(media)


def clap(width: int, height: int, left_of_middle: int = 0) -> bytes:
    """Return a clean aperture around the middle of the frame, or that many pixels to the left of it."""
    return box(b"clap", struct.pack(">8i", width, 1, height, 1, -left_of_middle, 1, 0, 1))


def riff(kind: bytes, body: bytes) -> bytes:
    """Return a RIFF chunk."""
    return kind + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)


def mjpeg_avi(jpegs: list[bytes], *, size: tuple[int, int], rate: int, stated: int) -> bytes:
    """Return an AVI of JPEGs (an empty one repeats the picture before) whose header states a count."""
    height, width = size
    main = struct.pack("<14I", 1_000_000 // rate, 0, 0, 0x10, stated, 0, 1, 0, width, height, 0, 0, 0, 0)
    numbers = (0, 0, 0, 0, 1, rate, 0, stated, 0, 0xFFFFFFFF, 0, 0, 0, width, height)
    header = b"vidsMJPG" + struct.pack("<IHHIIIIIIIi4H", *numbers)
    picture = struct.pack("<IiiHH4sIiiII", 40, width, height, 1, 24, b"MJPG", 0, 0, 0, 0, 0)
    movie, index = b"movi", b""
    for jpeg in jpegs:
        index += b"00dc" + struct.pack("<III", 0x10, len(movie), len(jpeg))
        movie += riff(b"00dc", jpeg)
    stream = riff(b"LIST", b"strl" + riff(b"strh", header) + riff(b"strf", picture))
    headers = riff(b"LIST", b"hdrl" + riff(b"avih", main) + stream)
    return riff(b"RIFF", b"AVI " + headers + riff(b"LIST", movie) + riff(b"idx1", index))


def with_matroska_crop(mkv: bytes, top: int, bottom: int) -> bytes:
    """Put PixelCropTop and PixelCropBottom in the place of the Colour element."""
    media = bytearray(mkv)
    at = media.index(b"\x55\xb0")
    size = 3 + (media[at + 2] & 0x7F)
    crop = b"\x54\xbb\x81" + bytes([top]) + b"\x54\xaa\x81" + bytes([bottom])
    rest = size - len(crop) - 2
    media[at : at + size] = crop + b"\xec" + bytes([0x80 | rest]) + bytes(rest)
    return bytes(media)


def with_matroska_duration(mkv: bytes, milliseconds: float) -> bytes:
    """State another duration."""
    media = bytearray(mkv)
    at = media.index(b"\x44\x89\x88") + 3
    media[at : at + 8] = struct.pack(">d", milliseconds)
    return bytes(media)


def grid_photo(tiles: list[bytes], rows: int, columns: int, tile_px: int, *, rotation: int = 0) -> bytes:
    """Return an AVIF photo of a grid of tiles, each the content of an AVIF file of its own.

    Args:
        rotation: quarter turns, counter-clockwise.
    """
    coded = [find_box(tile, b"mdat")[8:] for tile in tiles]
    count, (height, width) = len(tiles), (rows * tile_px, columns * tile_px)
    ftyp = box(b"ftyp", b"avif", struct.pack(">I", 0), b"avifmif1miaf")

    def meta(at: int) -> bytes:
        places = struct.pack(">HHHHII", 1, 1, 0, 1, 0, 8)
        for number, each in enumerate(coded):
            places += struct.pack(">HHHHII", 2 + number, 0, 0, 1, at, len(each))
            at += len(each)
        entries = full_box(b"infe", 2, 0, struct.pack(">HH", 1, 0), b"grid\0")
        for number in range(count):
            entries += full_box(b"infe", 2, 1, struct.pack(">HH", 2 + number, 0), b"av01\0")
        properties = box(
            b"ipco",
            full_box(b"ispe", 0, 0, struct.pack(">II", tile_px, tile_px)),
            find_box(tiles[0], b"av1C"),
            find_box(tiles[0], b"pixi"),
            full_box(b"ispe", 0, 0, struct.pack(">II", width, height)),
            box(b"irot", bytes([rotation])),
        )
        links = struct.pack(">I", 1 + count) + struct.pack(">HB3B", 1, 3, 4, 3, 0x85)
        links += b"".join(struct.pack(">HB3B", 2 + n, 3, 1, 0x82, 3) for n in range(count))
        parts = struct.pack(f">HH{count}H", 1, count, *range(2, 2 + count))
        return full_box(
            b"meta",
            0,
            0,
            full_box(b"hdlr", 0, 0, bytes(4), b"pict", bytes(13)),
            full_box(b"pitm", 0, 0, struct.pack(">H", 1)),
            full_box(b"iloc", 1, 0, b"\x44\0", struct.pack(">H", 1 + count), places),
            full_box(b"iinf", 0, 0, struct.pack(">H", 1 + count), entries),
            full_box(b"iref", 0, 0, box(b"dimg", parts)),
            box(b"iprp", properties, full_box(b"ipma", 0, 0, links)),
            box(b"idat", bytes([0, 0, rows - 1, columns - 1]), struct.pack(">HH", width, height)),
        )

    return ftyp + meta(len(ftyp) + len(meta(0)) + 8) + box(b"mdat", *coded)
