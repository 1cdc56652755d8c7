"""The storage interface, and what its implementations share.

A key is a path relative to the root, with slashes: `captions/part-0a.parquet`. Files are immutable and appear
under their key only when complete. Commits rely on `put_if_absent`.
"""

import errno
import os
from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

STREAM_CHUNK_BYTES = 256 * 2**10
"""Size of the chunks of `Storage.stream_range`."""


class DatasetError(ValueError):
    """The location is not a dataset, cannot be reached, or was changed by another writer."""


class DamagedError(DatasetError):
    """A file of the dataset is missing or unreadable."""

    is_damage = True
    """Tells the command line to exit with the code for integrity."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ObjectInfo:
    """Metadata of a complete file or object."""

    key: str
    size: int
    modified_s: float
    """Modification time in seconds since the epoch, by the clock of the storage."""
    etag: str = ""
    """Entity tag of the object; empty for a local file."""


@dataclass(frozen=True, kw_only=True, slots=True)
class IncompleteUpload:
    """A write that is in progress or was abandoned; invisible to readers."""

    key: str
    """Key of the temporary file; on S3, the key of the object being uploaded."""
    started_s: float
    upload_id: str = ""
    """Id of the multipart upload; empty for a local file."""


def is_disk_full(error: BaseException) -> bool:
    """Return whether `error` reports a full disk or an exhausted quota."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def describe_disk_full(target: str | Path, location: str | Path) -> Generator[None, None, None]:
    """Re-raise a disk-full error with the file, the location that is full and the remedy."""
    try:
        yield
    except OSError as error:
        if not is_disk_full(error):
            raise
        raise OSError(
            error.errno,
            f"{target}: cannot be written, {location} is full ({os.strerror(error.errno or 0)}); "
            "make room there and run the same command again: what was committed stands",
        ) from error


class Storage(Protocol):
    """Immutable files under one root. Raises OSError or DatasetError; FileNotFoundError for a missing key."""

    uri: str
    """Opens the same storage from another process; contains no credentials."""
    max_concurrency: int
    """Number of concurrent requests that still gains throughput."""

    def read(self, key: str) -> bytes:
        """Return all bytes of `key`."""
        ...

    def read_range(self, key: str, offset: int, length: int) -> bytes:
        """Return `length` bytes from `offset`, or fewer at the end of the file."""
        ...

    def stream_range(self, key: str, offset: int, length: int) -> Generator[bytes, None, None]:
        """Yield `length` bytes from `offset` in chunks, or fewer at the end of the file.

        On S3, one GET serves the whole range. Closing the generator closes the file or the response.
        """
        ...

    def open_reader(self, key: str) -> BinaryIO:
        """Open `key` as a seekable file that fetches only the ranges read."""
        ...

    def list(self, folder: str = "") -> Iterator[ObjectInfo]:
        """List the complete files below `folder`, recursively."""
        ...

    def list_root(self) -> set[str]:
        """Return the names of the files and folders at the root."""
        ...

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """Create `key` durably if it does not exist; exactly one of several concurrent calls succeeds.

        Returns True also if `key` already holds `data`, since a retry may follow a request whose response was
        lost. `data` must therefore be unique to the caller.
        """
        ...

    def put(self, key: str, data: bytes | memoryview) -> None:
        """Write a file durably and atomically, under a key that no other writer uses."""
        ...

    def open_writer(self, key: str) -> AbstractContextManager[BinaryIO]:
        """Open a file for writing that becomes `key` when the block exits; an exception discards it."""
        ...

    def delete(self, key: str) -> None:
        """Delete `key` if it exists."""
        ...

    def incomplete_uploads(self) -> Iterator[IncompleteUpload]:
        """List the incomplete uploads."""
        ...

    def abort(self, upload: IncompleteUpload) -> None:
        """Discard an incomplete upload; its writer, if still running, fails."""
        ...
