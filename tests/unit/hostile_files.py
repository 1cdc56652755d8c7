"""Small files that lie: loaded with `runpy` by the tests that need them."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np

from video.encode import encode_mp4


def huge_png(path: Path) -> None:
    """Claims 100,000 x 100,000 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    data = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + data)


def memory_eater(path: Path) -> None:
    """A GIF of 35 bytes whose one frame takes 512 MB: 16,000 x 8,000 pixels of four bytes."""
    screen = b"GIF89a" + struct.pack("<HHBBB", 16_000, 8_000, 0x80, 0, 0) + bytes(6)
    picture = b"," + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\x00"
    path.write_bytes(screen + picture + b";")


def many_frames(path: Path) -> None:
    """An MP4 whose sample table claims 10^9 frames."""
    data = bytearray(_mp4())
    at = data.index(b"stts")
    data[at + 12 : at + 16] = struct.pack(">I", 10**9)
    at = data.index(b"stsz")
    data[at + 8 : at + 16] = struct.pack(">II", 8, 10**9)  # all of 8 bytes
    path.write_bytes(data)


def many_streams(path: Path, count: int = 10_000) -> None:
    """An MP4 of that many tracks."""
    data = _mp4()
    start, end = _box(data, b"moov")
    track = slice(*_box(data, b"trak"))
    moov = data[start + 8 : end] + data[track] * (count - 1)
    path.write_bytes(data[:start] + struct.pack(">I4s", 8 + len(moov), b"moov") + moov + data[end:])


def deep_atoms(path: Path, depth: int = 100_000) -> None:
    """An MP4 of boxes within boxes within boxes."""
    boxes = [struct.pack(">I4s", 8 * (depth - level), b"moov") for level in range(depth)]
    path.write_bytes(struct.pack(">I4s4sI", 16, b"ftyp", b"isom", 0) + b"".join(boxes))


def long_video(path: Path, num_frames: int = 600) -> None:
    """Sound, but long."""
    encode_mp4((_frame(index) for index in range(num_frames)), 25, path)


HOSTILE = {
    "huge.png": huge_png,
    "eater.mp4": memory_eater,
    "frames.mp4": many_frames,
    "streams.mp4": many_streams,
    "deep.mp4": deep_atoms,
}
"""By the names under which to write them."""


def _frame(index: int) -> np.ndarray:
    return np.full((48, 64, 3), index % 251, np.uint8)


def _mp4() -> bytes:
    out = io.BytesIO()
    encode_mp4((_frame(index) for index in range(10)), 10, out)
    return out.getvalue()


def _box(data: bytes, kind: bytes) -> tuple[int, int]:
    start = data.index(kind) - 4
    return start, start + struct.unpack_from(">I", data, start)[0]
