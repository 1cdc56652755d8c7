"""Byte ranges of HTTP (RFC 9110, section 14)."""

import re
from dataclasses import dataclass

_SINGLE = re.compile(r"\s*bytes\s*=\s*(\d{0,18})\s*-\s*(\d{0,18})\s*", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True, slots=True)
class ByteRange:
    """Bytes `start` to `stop`, exclusive, of a file."""

    start: int
    stop: int

    @property
    def length(self) -> int:
        return self.stop - self.start


class UnsatisfiableRange(ValueError):
    """The range begins past the end of the file, or is empty."""


def parse_range(header: str | None, size: int) -> ByteRange | None:
    """Return the range that a `Range` header asks for in a file of `size` bytes.

    Returns None, which means the whole file, without a header, and for several ranges or another syntax,
    which a server may ignore. Raises UnsatisfiableRange if no byte of the file is in the range.
    """
    match = _SINGLE.fullmatch(header or "")
    if match is None or not any(match.groups()):
        return None
    first, last = match.groups()
    if not first:
        start, stop = max(0, size - int(last)), size
    else:
        start, stop = int(first), min(size, int(last) + 1 if last else size)
        if last and int(last) < start:
            return None
    if start >= stop:
        raise UnsatisfiableRange(f"bytes */{size}")
    return ByteRange(start=start, stop=stop)
