"""Write tars whose bytes depend on their members alone, and say where each member lies."""

import tarfile
from types import TracebackType
from typing import Self

from manifests.storage import Storage

_BLOCK = tarfile.BLOCKSIZE


class TarWriter:
    """A new tar, which gets its key only when the `with` block ends well."""

    def __init__(self, storage: Storage, key: str) -> None:
        self._writing = storage.open_writer(key)

    def __enter__(self) -> Self:
        self._out = self._writing.__enter__()
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

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            try:
                self._out.write(bytes(2 * _BLOCK))
            except BaseException as failed:
                self._writing.__exit__(type(failed), failed, failed.__traceback__)
                raise
        self._writing.__exit__(kind, error, trace)
