"""Write reproducible tars, and return the offset of each member."""

import tarfile
from types import TracebackType
from typing import Self

from manifests.storage import Storage

_BLOCK = tarfile.BLOCKSIZE


class TarWriter:
    """A context manager that writes a tar. It is stored under its key only if the `with` block succeeds."""

    def __init__(self, storage: Storage, key: str) -> None:
        self._writing = storage.open_writer(key)

    def __enter__(self) -> Self:
        self._out = self._writing.__enter__()
        return self

    def add(self, name: str, data: bytes) -> tuple[int, int]:
        """Append a member. Returns the offsets of its header and of its data, in bytes."""
        header = tarfile.TarInfo(name)
        header.size = len(data)
        header_offset = self._out.tell()
        self._out.write(header.tobuf(tarfile.USTAR_FORMAT))
        data_offset = self._out.tell()
        self._out.write(data)
        self._out.write(bytes(-len(data) % _BLOCK))
        return header_offset, data_offset

    def copy(self, members: bytes, length: int) -> None:
        """Append members of another tar, with their headers. Raises ValueError if they are cut short."""
        if len(members) != length:
            raise ValueError(f"members of {length} bytes are cut short to {len(members)}; pack again")
        self._out.write(members)

    @property
    def end(self) -> int:
        """Offset of the next member, in bytes."""
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
