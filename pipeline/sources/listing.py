"""List raw files. Reads names, sizes and times, never their bytes: a dry run costs a directory listing.

Sources are files and objects of S3, alone, below a folder or prefix, named by a list, or inside tars.
"""

import io
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from glob import has_magic
from itertools import takewhile
from pathlib import Path, PurePosixPath
from typing import BinaryIO
from urllib.parse import quote

from manifests.records import Source
from manifests.redact import redact
from manifests.storage import DatasetError
from pipeline.config import ListConfig
from pipeline.errors import NothingToDo
from pipeline.sources.lists import ENDINGS, beside, read_list
from pipeline.sources.tars import list_tar
from pipeline.sources.uri import TarMember, storage_and_key
from video.container import local_path


def list_sources(uri: str, config: ListConfig) -> list[Source]:
    """List the videos and stills at `uri`: a folder or S3 prefix (with all below it), a glob, a list file
    (.csv, .jsonl, .parquet), a tar, or one file or object of any name.

    Tars in a folder are opened too, but for those of Kinora's own datasets. Hidden files and folders are
    skipped. Sorted by path; a list keeps its order.

    Raises:
        NothingToDo: nothing is found.
        BadList: a list that cannot be used.
        DatasetError: a bucket that cannot be listed.
    """
    if uri.startswith("s3://"):
        named, found = _in_bucket(uri, config)
    elif "://" in uri and not uri.startswith("file://"):
        raise NothingToDo(f"{redact(uri)}: name a folder, a glob, a file, or s3://bucket/prefix")
    else:
        named, found = _on_disk(local_path(uri).expanduser(), config)
    if named and PurePosixPath(uri).suffix.lower() in ENDINGS:
        return _listed_in(found[0].uri, config)
    sources: list[Source] = []
    for source in found:
        if source.uri.lower().endswith(".tar"):
            sources += _inside(source, config)
        else:
            sources.append(source)
    if not sources:
        endings = " ".join(sorted(_wanted(config)))
        raise NothingToDo(
            f"{redact(uri)}: no video or still in these tars; expected members ending in {endings}"
        )
    return sources


def _wanted(config: ListConfig) -> set[str]:
    return {f".{ending}" for ending in (*config.video_extensions, *config.image_extensions)}


def _on_disk(root: Path, config: ListConfig) -> tuple[bool, list[Source]]:
    """Return whether `root` is one file, and the media and tars there."""
    wanted = {*_wanted(config), ".tar"}
    if named := os.path.lexists(root) and not os.path.isdir(root):
        paths = [str(root.absolute())]
    else:
        visible = sorted(_visible(root), key=lambda path: path.split(os.sep))
        logs = {folder for path in visible if os.path.basename(folder := os.path.dirname(path)) == "_log"}
        datasets = {Path(folder).parent for folder in logs}
        ended = [(path, os.path.splitext(path)[1].lower()) for path in visible]
        paths = [
            path
            for path, ending in ended
            if ending in wanted and (ending != ".tar" or not datasets & {*Path(path).parents})
        ]
    if not paths:
        raise NothingToDo(_why_nothing(root, sorted(wanted)))
    return named, [stat_source(path_to_uri(path)) for path in paths]


def _in_bucket(uri: str, config: ListConfig) -> tuple[bool, list[Source]]:
    """Return whether `uri` is one object, and the media and tars there."""
    wanted = {*_wanted(config), ".tar"}
    storage, key = storage_and_key(uri)
    if key and not key.endswith("/"):
        try:
            storage.look(key)
        except FileNotFoundError:
            pass
        else:
            return True, [stat_source(uri)]
    stored = sorted(storage.walk(key.rstrip("/")), key=lambda each: each.key)
    datasets = {each.key.rpartition("_log/")[0] for each in stored if f"/{each.key}".count("/_log/")}
    sources: list[Source] = []
    for each in stored:
        suffix = PurePosixPath(each.key).suffix.lower()
        below = each.key.removeprefix(key.rstrip("/")).split("/")
        ours = suffix == ".tar" and any(each.key.startswith(dataset) for dataset in datasets)
        if suffix in wanted and not ours and not any(part.startswith(".") for part in below):
            sources.append(Source(uri=f"{storage.uri}/{each.key}", size_bytes=each.size, etag=each.etag))
    if not sources:
        hint = "; a glob is not understood here, name the prefix" if has_magic(key) else ""
        endings = " ".join(sorted(wanted))
        raise NothingToDo(f"{uri}: no such object, and none below it ends in {endings}{hint}")
    return False, sources


def _listed_in(uri: str, config: ListConfig) -> list[Source]:
    """Return the sources that the list at `uri` names."""
    with _opened(uri) as file:
        rows = read_list(uri, file.read(), config.uri_column)
    named = [beside(uri, name) for name, _ in rows]
    with ThreadPoolExecutor(16) as pool:
        found: Sequence[Source] = list(pool.map(stat_source, named))
    return [replace(source, carried=carried) for source, (_, carried) in zip(found, rows, strict=True)]


def _inside(tar: Source, config: ListConfig) -> list[Source]:
    """Return the sources in a tar; itself where it cannot be opened, so that it is counted."""
    try:
        with _opened(tar.uri) as file:
            return list_tar(file, tar, _wanted(config))
    except (OSError, DatasetError):
        return [tar]


def _opened(uri: str) -> BinaryIO:
    """Open a file or an object; of an object, only what is read is fetched, 64 KiB at once."""
    if not uri.startswith("s3://"):
        return local_path(uri).open("rb")
    storage, key = storage_and_key(uri)
    return io.BufferedReader(storage.reader(key), 2**16)  # type: ignore[return-value]


def path_to_uri(path: str) -> str:
    """Return the path; percent-encoded with `file://` before it where its name is not UTF-8, since
    such a name can be stored in no column."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return "file://" + quote(os.fsencode(path))
    return path


def stat_source(path: str) -> Source:
    """Return the file at `path` (or its URI: file, object of S3, member of a tar) as it is now.

    A path that leads nowhere (a dangling link, a file just deleted) is a source too: analysing it fails
    with a row of its own, so that it is counted.
    """
    if member := TarMember.parse(path):
        return Source(uri=path, size_bytes=member.length, etag=stat_source(member.tar).etag)
    if path.startswith("s3://"):
        storage, key = storage_and_key(path)
        try:
            found = storage.look(key)
        except (FileNotFoundError, DatasetError):
            return Source(uri=path, size_bytes=0, etag="")
        return Source(uri=path, size_bytes=found.size, etag=found.etag)
    if "://" in path and not path.startswith("file://"):
        return Source(uri=path, size_bytes=0, etag="")
    local = local_path(path) if path.startswith("file://") else path
    for stat in (os.stat, os.lstat):
        try:
            found = stat(local)
        except OSError:
            continue
        return Source(uri=path, size_bytes=found.st_size, etag=str(found.st_mtime_ns))
    return Source(uri=path, size_bytes=0, etag="")


def refresh(known: Source) -> Source | None:
    """Return a source as it is now; None where nothing can be seen of it."""
    now = stat_source(known.uri)
    return replace(now, carried=known.carried) if now.etag else None


def _visible(root: Path) -> Iterator[str]:
    """Yield the absolute paths below a folder, or that match a glob; links to folders are not followed
    (by a glob's `**` neither), so loops end.

    A folder with the name of a video is a source too: analysing it fails with a row of its own.
    """
    if os.path.isdir(root):
        for folder, folders, files in os.walk(root.absolute()):
            folders[:] = [name for name in folders if not name.startswith(".")]
            yield from (os.path.join(folder, name) for name in (*folders, *files) if not name.startswith("."))
        return
    fixed = list(takewhile(lambda part: not has_magic(part), root.parts))
    base, pattern = Path(*fixed), str(Path(*root.parts[len(fixed) :]))
    if pattern == ".":
        return
    for path in base.glob(pattern):
        if not any(part.startswith(".") for part in path.relative_to(base).parts):
            yield str(path.absolute())


def _why_nothing(root: Path, wanted: list[str]) -> str:
    endings = " ".join(wanted)
    if os.path.isdir(root):
        return f"{root}: no video or still in this folder or below; expected files ending in {endings}"
    return f"{root}: no such file or folder, and no file matches it as a glob. Endings looked for: {endings}"
