"""Size and etag of one source, without reading its bytes."""

import os
from dataclasses import replace
from urllib.parse import quote

from manifests.records import Source
from manifests.storage import DatasetError
from pipeline.sources.uri import TarMember, storage_and_key
from video.container import local_path


def path_to_uri(path: str) -> str:
    """Return the path, or a percent-encoded `file://` URI if it is not UTF-8 and no column can store it."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return "file://" + quote(os.fsencode(path))
    return path


def stat_source(uri: str) -> Source:
    """Return the present size and etag of a path, or the URI of a file, an S3 object or a member of a tar.

    A path without a file (a dangling link, a deleted file) is a source with an empty etag: its analysis fails
    with a row of its own, so that it is counted.
    """
    missing = Source(uri=uri, size_bytes=0, etag="")
    if member := TarMember.parse(uri):
        return Source(uri=uri, size_bytes=member.length, etag=stat_source(member.tar).etag)
    if uri.startswith("s3://"):
        storage, key = storage_and_key(uri)
        try:
            stored = storage.head(key)
        except (FileNotFoundError, DatasetError):
            return missing
        return Source(uri=uri, size_bytes=stored.size, etag=stored.etag)
    if "://" in uri and not uri.startswith("file://"):
        return missing
    path = local_path(uri) if uri.startswith("file://") else uri
    for stat in (os.stat, os.lstat):
        try:
            status = stat(path)
        except OSError:
            continue
        return Source(uri=uri, size_bytes=status.st_size, etag=str(status.st_mtime_ns))
    return missing


def refresh(source: Source) -> Source | None:
    """Return a source with its present size and etag; None if it cannot be read."""
    now = stat_source(source.uri)
    return replace(now, carried=source.carried) if now.etag else None
