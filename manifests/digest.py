"""Content digests: BLAKE2b in hexadecimal, so that equal content has an equal name.

Digests are stored in datasets, shard sets and checkpoints: no function here may change its result.
"""

from collections.abc import Iterable
from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO

UNIT_SEPARATOR = "\x1f"
DIGEST_BYTES = 16
"""Bytes of a digest of 128 bits."""
_BLOCK_BYTES = 1 << 20


def digest_parts(*parts: object) -> str:
    """Return the 128-bit digest of the string forms of `parts`, joined by the unit separator."""
    return digest_bytes(UNIT_SEPARATOR.join(map(str, parts)).encode())


def raw_digest(data: bytes | memoryview) -> bytes:
    """Return the 128-bit digest of `data` as bytes."""
    return blake2b(data, digest_size=DIGEST_BYTES).digest()


def digest_bytes(data: bytes | memoryview, *, size: int = DIGEST_BYTES) -> str:
    """Return the digest of `data`, `size` bytes long."""
    return blake2b(data, digest_size=size).hexdigest()


def digest_stream(file: BinaryIO) -> str:
    """Return the 128-bit digest of the rest of `file`, opened in binary mode."""
    state = blake2b(digest_size=DIGEST_BYTES)
    while block := file.read(_BLOCK_BYTES):
        state.update(block)
    return state.hexdigest()


def digest_file(path: Path | str) -> str:
    """Return the 128-bit digest of the bytes of a file."""
    return digest_files([path])


def digest_files(paths: Iterable[Path | str], *, size: int = DIGEST_BYTES) -> str:
    """Return the digest, `size` bytes long, of the concatenated bytes of several files."""
    state = blake2b(digest_size=size)
    for path in paths:
        with Path(path).open("rb") as file:
            while block := file.read(_BLOCK_BYTES):
                state.update(block)
    return state.hexdigest()
