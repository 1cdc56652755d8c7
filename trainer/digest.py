"""Content digests."""

from hashlib import blake2b
from pathlib import Path


def file_digest(path: Path | str) -> str:
    """Return the BLAKE2b digest of a file's bytes, as 32 hex digits."""
    state = blake2b(digest_size=16)
    with Path(path).open("rb") as file:
        while chunk := file.read(1 << 20):
            state.update(chunk)
    return state.hexdigest()


def text_digest(*parts: object) -> str:
    """Return the BLAKE2b digest of `parts`, as 32 hex digits."""
    return blake2b("\x1f".join(map(str, parts)).encode(), digest_size=16).hexdigest()
