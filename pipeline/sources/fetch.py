"""Provide a source as a local file: itself, or a temporary copy."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import BinaryIO

from manifests.redact import redact
from manifests.storage import DatasetError
from pipeline.errors import SourceChanged
from pipeline.sources.uri import TarMember, storage_and_key
from video.config import SandboxConfig
from video.container import local_path
from video.errors import VideoError, VideoErrorCode

_CHUNK_BYTES = 2**20


@contextmanager
def local_copy(uri: str, size_bytes: int, etag: str, limits: SandboxConfig) -> Iterator[str]:
    """Yield a local path of the source, which must have the listed size and etag.

    A local file is not copied. S3 objects and members of tars are copied to TMPDIR, and removed afterwards.

    Raises:
        VideoError: the source is missing or unreadable, or exceeds `limits` or the free disk space.
        SourceChanged: its size or etag changed.
    """
    member = TarMember.parse(uri)
    if is_local(uri):
        yield uri
        return
    if member is None and not uri.startswith("s3://"):
        problem = "only files, s3:// objects and members of tars can be read"
        raise VideoError(VideoErrorCode.UNREADABLE, uri, problem, "download it, and list the copy")
    if size_bytes > limits.max_fetch_mb * 2**20:
        problem = f"has {size_bytes} bytes, over --sandbox.max-fetch-mb {limits.max_fetch_mb}"
        raise VideoError(VideoErrorCode.TOO_LARGE, uri, problem)
    with TemporaryDirectory(prefix="kinora-") as folder:
        name = member.name if member else uri
        copy = Path(folder) / f"source{PurePosixPath(name).suffix[:16]}"
        with _translated_errors(uri):
            _check_free_space(folder, size_bytes)
            with copy.open("wb") as out:
                span = member or TarMember(tar=uri, offset=0, length=size_bytes, name="")
                _copy(span, etag, out)
            if copy.stat().st_size != size_bytes:
                raise SourceChanged(f"has {copy.stat().st_size} bytes now, {size_bytes} when it was listed")
        yield str(copy)


def is_local(uri: str) -> bool:
    """Return whether a source is a local file, which needs no copy."""
    return TarMember.parse(uri) is None and "://" not in uri.removeprefix("file://")


def _copy(span: TarMember, etag: str, out: BinaryIO) -> None:
    """Copy a byte range of a file or object. Raises SourceChanged unless its etag is `etag`."""
    changed = SourceChanged("the object or tar changed after it was listed")
    if span.tar.startswith("s3://"):
        storage, key = storage_and_key(span.tar)
        if not etag:
            storage.head(key)  # raises the error that the listing met
            raise changed
        if not storage.download(key, out, offset=span.offset, length=span.length, etag=etag):
            raise changed
        if not span.length and storage.head(key).etag != etag:
            raise changed
        return
    with local_path(span.tar).open("rb") as tar:
        if str(os.fstat(tar.fileno()).st_mtime_ns) != etag:
            raise changed
        tar.seek(span.offset)
        remaining = span.length
        while remaining and (chunk := tar.read(min(remaining, _CHUNK_BYTES))):
            remaining -= out.write(chunk)


def _check_free_space(folder: str, size_bytes: int) -> None:
    if size_bytes > shutil.disk_usage(folder).free:
        raise OSError(errno.ENOSPC, f"no room for its {size_bytes} bytes in {Path(folder).parent}")


@contextmanager
def _translated_errors(uri: str) -> Iterator[None]:
    """Raise errors of copying as VideoError with the source's URI and a code."""
    try:
        yield
    except FileNotFoundError as error:
        raise VideoError(VideoErrorCode.VANISHED, uri, "the object or tar is not there") from error
    except DatasetError as error:
        problem, _, remedy = redact(str(error)).rpartition("; ")
        raise VideoError(VideoErrorCode.UNREADABLE, uri, problem, f"{remedy}; then `kinora retry`") from error
    except OSError as error:
        remedy = None
        if error.errno == errno.ENOSPC:
            remedy = "free some, or set TMPDIR to a larger disk; then `kinora retry`"
        problem = f"cannot be copied to this machine: {error.strerror or error}"
        raise VideoError(VideoErrorCode.UNREADABLE, uri, problem, remedy) from error
