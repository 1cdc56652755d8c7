"""Write tars whose bytes depend on their members alone, and say where each member lies."""

import os
import tarfile
from pathlib import Path
from types import TracebackType
from typing import Self

_BLOCK = tarfile.BLOCKSIZE


class TarWriter:
    """A new tar, which gets its name only when the `with` block ends well."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._partial = path.with_name(f".{path.name}.partial")

    def __enter__(self) -> Self:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._out = self._partial.open("wb")
        return self

    def add(self, name: str, data: bytes) -> tuple[int, int]:
        """Append a member; return where its header and where its data start, in bytes."""
        header = tarfile.TarInfo(name)
        header.size = len(data)
        start = self._out.tell()
        self._out.write(header.tobuf(tarfile.USTAR_FORMAT))
        at = self._out.tell()
        self._out.write(data)
        self._out.write(bytes(-len(data) % _BLOCK))
        return start, at

    @property
    def end(self) -> int:
        """Where the next member would start."""
        return self._out.tell()

    def __exit__(self, kind: type[BaseException] | None, _: object, __: TracebackType | None) -> None:
        if kind is not None:
            self._out.close()
            self._partial.unlink(missing_ok=True)
            return
        self._out.write(bytes(2 * _BLOCK))
        self._out.flush()
        os.fsync(self._out.fileno())
        self._out.close()
        self._partial.replace(self._path)
