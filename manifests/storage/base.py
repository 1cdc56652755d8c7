"""Where the bytes of a dataset lie: a folder or an S3 prefix, behind one small interface.

A key is a path below the place, with slashes: `captions/part-0a.parquet`. Nothing ever has half of its bytes
under its key, and nothing is changed once it has one. `put_if_absent` is what commits rest on.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol


class DatasetError(ValueError):
    """The place is no dataset, holds something else, cannot be reached, or was changed by another writer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ObjectInfo:
    """One whole file or object."""

    key: str
    size: int
    modified_s: float
    """When it was written, in seconds since 1970, by the clock of the place."""
    etag: str = ""
    """The store's entity tag; empty on a disk."""


@dataclass(frozen=True, kw_only=True, slots=True)
class IncompleteUpload:
    """A write that has not ended, or never will: no reader can see it."""

    key: str
    """A temporary file; on S3 the key that the upload was meant for."""
    started_s: float
    upload_id: str = ""
    """Id of the multipart upload, on S3."""


def is_disk_full(error: BaseException) -> bool:
    """Whether there is no room left where something was to be written: no fault of what it was."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def describe_disk_full(what: str | Path, place: str | Path) -> Iterator[None]:
    """Have an error for want of room tell what cannot be written, where room is missing, and what to do."""
    try:
        yield
    except OSError as error:
        if not is_disk_full(error):
            raise
        raise OSError(
            error.errno,
            f"{what}: cannot be written, {place} is full ({os.strerror(error.errno or 0)}); make room there "
            "and run the same command again: what was committed stands",
        ) from error


class Storage(Protocol):
    """A place with files. Errors are OSError or DatasetError; FileNotFoundError where a key is not there."""

    uri: str
    """Opens the same place from another process; holds no credentials."""
    max_concurrency: int
    """How many requests at once are worth while."""

    def read(self, key: str) -> bytes:
        """Return all bytes of `key`."""
        ...

    def read_range(self, key: str, offset: int, length: int) -> bytes:
        """Return `length` bytes from `offset`; fewer where the end comes first."""
        ...

    def open_reader(self, key: str) -> BinaryIO:
        """Return `key` as a seekable file, which fetches only what is read of it."""
        ...

    def list(self, below: str = "") -> Iterator[ObjectInfo]:
        """List what is whole below the folder `below`; unfinished writes are not among it."""
        ...

    def list_root(self) -> set[str]:
        """Return the names at the top, of files and folders."""
        ...

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """Create `key` with `data`, durably, unless it is there: of several that try, exactly one succeeds.

        True also when `key` holds these very bytes: an earlier try of the same call, whose answer was lost,
        may have put them there. So `data` must be unique to the caller.
        """
        ...

    def put(self, key: str, data: bytes | memoryview) -> None:
        """Write an immutable file, durably and whole; the caller chooses a key that nobody else uses."""
        ...

    def open_writer(self, key: str) -> AbstractContextManager[BinaryIO]:
        """Give a file to write to. It becomes `key` when the block ends well, and nothing on an exception."""
        ...

    def delete(self, key: str) -> None:
        """Remove `key`, if it is there."""
        ...

    def incomplete_uploads(self) -> Iterator[IncompleteUpload]:
        """List writes that have not ended."""
        ...

    def abort(self, upload: IncompleteUpload) -> None:
        """Throw an unfinished write away; should its writer still live, it fails with an error."""
        ...
