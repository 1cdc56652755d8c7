"""Where the bytes of a dataset lie: a folder or an S3 prefix, behind one small interface.

A key is a path below the place, with slashes: `captions/part-0a.parquet`. Nothing ever has half of its bytes
under its key, and nothing is changed once it has one. `put_new` is what commits rest on.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol
from uuid import uuid4

from manifests.redact import has_userinfo, redact

_PARTIAL = ".partial"


class DatasetError(ValueError):
    """The place is no dataset, holds something else, cannot be reached, or was changed by another writer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Stored:
    """One whole file or object."""

    key: str
    size: int
    modified_s: float
    """When it was written, in seconds since 1970, by the clock of the place."""
    etag: str = ""
    """The store's entity tag; empty on a disk."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Unfinished:
    """A write that has not ended, or never will: no reader can see it."""

    key: str
    """A temporary file; on S3 the key that the upload was meant for."""
    begun_s: float
    upload: str = ""
    """Id of the multipart upload, on S3."""


def is_full(error: BaseException) -> bool:
    """Whether there is no room left where something was to be written: no fault of what it was."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def explained_if_full(what: str | Path, place: str | Path) -> Iterator[None]:
    """Have an error for want of room tell what cannot be written, where room is missing, and what to do."""
    try:
        yield
    except OSError as error:
        if not is_full(error):
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
    parallel: int
    """How many requests at once are worth while."""

    def read(self, key: str) -> bytes:
        """Return all bytes of `key`."""
        ...

    def read_range(self, key: str, offset: int, length: int) -> bytes:
        """Return `length` bytes from `offset`; fewer where the end comes first."""
        ...

    def reader(self, key: str) -> BinaryIO:
        """Return `key` as a seekable file, which fetches only what is read of it."""
        ...

    def walk(self, below: str = "") -> Iterator[Stored]:
        """List what is whole below the folder `below`; unfinished writes are not among it."""
        ...

    def top(self) -> set[str]:
        """Return the names at the top, of files and folders."""
        ...

    def put_new(self, key: str, data: bytes) -> bool:
        """Create `key` with `data`, durably, unless it is there: of several that try, exactly one succeeds.

        True also when `key` holds these very bytes: an earlier try of the same call, whose answer was lost,
        may have put them there. So `data` must be unique to the caller.
        """
        ...

    def put(self, key: str, data: bytes | memoryview) -> None:
        """Write an immutable file, durably and whole; the caller chooses a key that nobody else uses."""
        ...

    def writing(self, key: str) -> AbstractContextManager[BinaryIO]:
        """Give a file to write to. It becomes `key` when the block ends well, and nothing on an exception."""
        ...

    def delete(self, key: str) -> None:
        """Remove `key`, if it is there."""
        ...

    def unfinished(self) -> Iterator[Unfinished]:
        """List writes that have not ended."""
        ...

    def abandon(self, write: Unfinished) -> None:
        """Throw an unfinished write away; should its writer still live, it fails with an error."""
        ...


def storage_at(uri: str | Path) -> Storage:
    """Return the place that `uri` names: a path, `file://…` or `s3://bucket/prefix`.

    Raises DatasetError for another scheme, and for a URI that carries credentials.
    """
    text = str(uri)
    if has_userinfo(text):
        raise DatasetError(
            f"{redact(text)}: a URI must not carry credentials; name s3://bucket/prefix and give them by "
            "AWS_PROFILE, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or ~/.aws"
        )
    if text.startswith("s3://"):
        try:
            from manifests.s3 import S3Storage
        except ImportError as error:
            raise DatasetError(f"{text}: S3 needs boto3 ({error}); `pip install 'kinora[s3]'`") from None
        return S3Storage(text)
    if "://" in text and not text.startswith("file://"):
        raise DatasetError(f"{redact(text)}: a dataset lies in a folder or at s3://bucket/prefix; name one")
    return LocalStorage(Path(text.removeprefix("file://")))


class LocalStorage:
    """A folder on a disk that has hard links (every usual one for Linux and macOS)."""

    def __init__(self, root: Path) -> None:
        self.parallel = os.cpu_count() or 1
        self.root = root.absolute()
        self.uri = str(self.root)

    def read(self, key: str) -> bytes:
        return (self.root / key).read_bytes()

    def read_range(self, key: str, offset: int, length: int) -> bytes:
        with self.reader(key) as file:
            file.seek(offset)
            return file.read(length)

    def reader(self, key: str) -> BinaryIO:
        return (self.root / key).open("rb")

    def walk(self, below: str = "") -> Iterator[Stored]:
        for path, stat in self._files(below):
            if not _is_partial(path):
                key = path.relative_to(self.root).as_posix()
                yield Stored(key=key, size=stat.st_size, modified_s=stat.st_mtime)

    def top(self) -> set[str]:
        if self.root.exists() and not self.root.is_dir():
            raise DatasetError(f"{self.root}: is a file; name a folder for the dataset")
        return {path.name for path in self.root.iterdir()} if self.root.is_dir() else set()

    def put_new(self, key: str, data: bytes) -> bool:
        path = self.root / key
        with self._partial(path) as (out, partial):
            out.write(data)
            _sync(out)
            try:
                os.link(partial, path)
            except FileExistsError:
                return path.read_bytes() == data
            except OSError as error:
                if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK):
                    raise
                raise DatasetError(
                    f"{self.root}: this file system has no hard links ({error.strerror}), which commits "
                    "need; put the dataset on another disk, or on S3"
                ) from error
            _sync_folder(path.parent)
        return True

    def put(self, key: str, data: bytes | memoryview) -> None:
        with self.writing(key) as out:
            out.write(data)

    @contextmanager
    def writing(self, key: str) -> Iterator[BinaryIO]:
        path = self.root / key
        with self._partial(path) as (out, partial):
            yield out
            _sync(out)
            partial.replace(path)
            _sync_folder(path.parent)

    def delete(self, key: str) -> None:
        (self.root / key).unlink(missing_ok=True)

    def unfinished(self) -> Iterator[Unfinished]:
        for path, stat in self._files(""):
            if _is_partial(path):
                yield Unfinished(key=path.relative_to(self.root).as_posix(), begun_s=stat.st_mtime)

    def abandon(self, write: Unfinished) -> None:
        self.delete(write.key)

    @contextmanager
    def _partial(self, path: Path) -> Iterator[tuple[BinaryIO, Path]]:
        """Give a new file beside `path` under a hidden name, which is gone afterwards."""
        partial = path.with_name(f".{path.name}.{uuid4().hex[:12]}{_PARTIAL}")
        with explained_if_full(path, self.root):
            _make_folder(path.parent)
            try:
                with partial.open("xb") as out:
                    yield out, partial
            finally:
                partial.unlink(missing_ok=True)

    def _files(self, below: str) -> Iterator[tuple[Path, os.stat_result]]:
        """Yield every file below a folder; what goes away meanwhile is passed over."""
        for folder, _, names in os.walk(self.root / below):
            for name in names:
                path = Path(folder) / name
                with suppress(FileNotFoundError):
                    yield path, path.stat()


def _is_partial(path: Path) -> bool:
    return path.name.startswith(".") and path.name.endswith(_PARTIAL)


def _sync(out: BinaryIO) -> None:
    out.flush()
    os.fsync(out.fileno())


def _sync_folder(folder: Path) -> None:
    """Make the names in `folder` durable: without it, a power cut may lose a file that was flushed."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _make_folder(folder: Path) -> None:
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    _sync_folder(folder.parent)
