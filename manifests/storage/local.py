"""Storage in a local folder."""

import errno
import os
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

from manifests.storage.base import (
    STREAM_CHUNK_BYTES,
    DatasetError,
    IncompleteUpload,
    ObjectInfo,
    describe_disk_full,
)

_PARTIAL = ".partial"


class LocalStorage:
    """A folder on a file system with hard links, as the common ones of Linux and macOS have."""

    def __init__(self, root: Path) -> None:
        self.max_concurrency = os.cpu_count() or 1
        self.root = root.absolute()
        self.uri = str(self.root)

    def read(self, key: str) -> bytes:
        return (self.root / key).read_bytes()

    def read_range(self, key: str, offset: int, length: int) -> bytes:
        with self.open_reader(key) as file:
            file.seek(offset)
            return file.read(length)

    def stream_range(self, key: str, offset: int, length: int) -> Generator[bytes, None, None]:
        with self.open_reader(key) as file:
            file.seek(offset)
            while length > 0 and (chunk := file.read(min(length, STREAM_CHUNK_BYTES))):
                length -= len(chunk)
                yield chunk

    def open_reader(self, key: str) -> BinaryIO:
        return (self.root / key).open("rb")

    def list(self, folder: str = "") -> Iterator[ObjectInfo]:
        for path, stat in self._files(folder):
            if not _is_partial(path):
                key = path.relative_to(self.root).as_posix()
                yield ObjectInfo(key=key, size=stat.st_size, modified_s=stat.st_mtime)

    def list_root(self) -> set[str]:
        if self.root.exists() and not self.root.is_dir():
            raise DatasetError(f"{self.root}: is a file; name a folder for the dataset")
        return {path.name for path in self.root.iterdir()} if self.root.is_dir() else set()

    def put_if_absent(self, key: str, data: bytes) -> bool:
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
        with self.open_writer(key) as out:
            out.write(data)

    @contextmanager
    def open_writer(self, key: str) -> Generator[BinaryIO, None, None]:
        path = self.root / key
        with self._partial(path) as (out, partial):
            yield out
            _sync(out)
            partial.replace(path)
            _sync_folder(path.parent)

    def delete(self, key: str) -> None:
        (self.root / key).unlink(missing_ok=True)

    def incomplete_uploads(self) -> Iterator[IncompleteUpload]:
        for path, stat in self._files(""):
            if _is_partial(path):
                yield IncompleteUpload(key=path.relative_to(self.root).as_posix(), started_s=stat.st_mtime)

    def abort(self, upload: IncompleteUpload) -> None:
        self.delete(upload.key)

    @contextmanager
    def _partial(self, path: Path) -> Generator[tuple[BinaryIO, Path], None, None]:
        """Open a hidden temporary file beside `path`, deleted when the block exits."""
        partial = path.with_name(f".{path.name}.{uuid4().hex[:12]}{_PARTIAL}")
        with describe_disk_full(path, self.root):
            _make_folder(path.parent)
            try:
                with partial.open("xb") as out:
                    yield out, partial
            finally:
                partial.unlink(missing_ok=True)

    def _files(self, folder: str) -> Iterator[tuple[Path, os.stat_result]]:
        """Yield every file below a folder, except those deleted meanwhile."""
        for parent, _, names in os.walk(self.root / folder):
            for name in names:
                path = Path(parent) / name
                with suppress(FileNotFoundError):
                    yield path, path.stat()


def _is_partial(path: Path) -> bool:
    return path.name.startswith(".") and path.name.endswith(_PARTIAL)


def _sync(out: BinaryIO) -> None:
    out.flush()
    os.fsync(out.fileno())


def _sync_folder(folder: Path) -> None:
    """Flush the directory entries of `folder`, which flushing a file does not."""
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
