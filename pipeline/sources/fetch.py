"""Have a source as a file on this machine: itself, or a copy of it that is removed afterwards."""

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
def fetched(uri: str, size_bytes: int, etag: str, limits: SandboxConfig) -> Iterator[str]:
    """Give the path of the source `uri`, of so many bytes and with that entity tag, while the block runs.

    A file on a disk is given as it is. An object of S3 and a member of a tar are copied to the machine's
    folder for temporary files (TMPDIR) first.

    Raises:
        VideoError: the source is not there, cannot be read, or is larger than `limits` or the disk.
        SourceChanged: it has other bytes now.
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
        with _explained(uri, size_bytes):
            _room(folder, size_bytes)
            with copy.open("wb") as out:
                place = member or TarMember(tar=uri, offset=0, length=size_bytes, name="")
                _copy(place, etag, out)
            if copy.stat().st_size != size_bytes:
                raise SourceChanged(f"has {copy.stat().st_size} bytes now, {size_bytes} when it was listed")
        yield str(copy)


def is_local(uri: str) -> bool:
    """Return whether a source is a file of its own on a disk, read where it lies."""
    return TarMember.parse(uri) is None and "://" not in uri.removeprefix("file://")


def _copy(place: TarMember, etag: str, out: BinaryIO) -> None:
    """Copy a span of a file or object, if it still is the one of `etag`."""
    changed = SourceChanged("the object or tar changed after it was listed")
    if place.tar.startswith("s3://"):
        storage, key = storage_and_key(place.tar)
        if not etag:
            storage.look(key)  # says why the listing could not see it
            raise changed
        if not storage.download(key, out, offset=place.offset, length=place.length, etag=etag):
            raise changed
        if not place.length and storage.look(key).etag != etag:
            raise changed
        return
    with local_path(place.tar).open("rb") as tar:
        if str(os.fstat(tar.fileno()).st_mtime_ns) != etag:
            raise changed
        tar.seek(place.offset)
        left = place.length
        while left and (chunk := tar.read(min(left, _CHUNK_BYTES))):
            left -= out.write(chunk)


def _room(folder: str, size_bytes: int) -> None:
    if size_bytes > shutil.disk_usage(folder).free:
        raise OSError(errno.ENOSPC, f"no room for its {size_bytes} bytes in {Path(folder).parent}")


@contextmanager
def _explained(uri: str, size_bytes: int) -> Iterator[None]:
    """Turn what goes wrong while copying into an error with a code, about the source and not its copy."""
    try:
        yield
    except FileNotFoundError as error:
        raise VideoError(VideoErrorCode.VANISHED, uri, "the object or tar is not there") from error
    except DatasetError as error:
        words, _, remedy = redact(str(error)).rpartition("; ")
        raise VideoError(VideoErrorCode.UNREADABLE, uri, words, f"{remedy}; then `kinora retry`") from error
    except OSError as error:
        remedy = None
        if error.errno == errno.ENOSPC:
            remedy = "free some, or set TMPDIR to a larger disk; then `kinora retry`"
        problem = f"cannot be copied to this machine: {error.strerror or error}"
        raise VideoError(VideoErrorCode.UNREADABLE, uri, problem, remedy) from error
