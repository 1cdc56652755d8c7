"""List sources: files and S3 objects, alone, below a folder or prefix, named by a list, or inside tars.

Listing reads names, sizes and times of media, never their bytes.
"""

import io
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from glob import has_magic
from itertools import takewhile
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from manifests.records import Source
from manifests.redact import redact
from manifests.storage import DatasetError
from pipeline.config import ListConfig
from pipeline.errors import NothingToDo
from pipeline.sources.lists import LIST_EXTENSIONS, read_source_list, resolve
from pipeline.sources.stat import path_to_uri, stat_source
from pipeline.sources.tars import list_tar_members
from pipeline.sources.uri import storage_and_key
from video.container import local_path


def list_sources(uri: str, config: ListConfig) -> list[Source]:
    """List the videos and stills at `uri`: a folder or S3 prefix (recursively), a glob, a source list
    (.csv, .jsonl, .parquet), a tar, or one file or object of any name.

    Tars in a folder are opened, except those of Kinora's own datasets. Hidden files and folders are skipped.
    Sorted by path; a source list keeps its order.

    Raises:
        NothingToDo: nothing matches.
        SourceListError: the source list is invalid.
        DatasetError: the bucket cannot be listed.
    """
    if uri.startswith("s3://"):
        is_single, sources = _in_bucket(uri, config)
    elif "://" in uri and not uri.startswith("file://"):
        raise NothingToDo(f"{redact(uri)}: name a folder, a glob, a file, or s3://bucket/prefix")
    else:
        is_single, sources = _on_disk(local_path(uri).expanduser(), config)
    if is_single and PurePosixPath(uri).suffix.lower() in LIST_EXTENSIONS:
        return _from_list(sources[0].uri, config)
    expanded: list[Source] = []
    for source in sources:
        expanded += _in_tar(source, config) if source.uri.lower().endswith(".tar") else [source]
    if not expanded:
        endings = " ".join(sorted(_media_extensions(config)))
        raise NothingToDo(
            f"{redact(uri)}: no video or still in these tars; expected members ending in {endings}"
        )
    return expanded


def _media_extensions(config: ListConfig) -> set[str]:
    return {f".{extension}" for extension in (*config.video_extensions, *config.image_extensions)}


def _on_disk(root: Path, config: ListConfig) -> tuple[bool, list[Source]]:
    """Return whether `root` is one file, and the media and tars there."""
    extensions = {*_media_extensions(config), ".tar"}
    if is_single := os.path.lexists(root) and not os.path.isdir(root):
        paths = [str(root.absolute())]
    else:
        visible = sorted(_walk(root), key=lambda path: path.split(os.sep))
        logs = {folder for path in visible if os.path.basename(folder := os.path.dirname(path)) == "_log"}
        datasets = {Path(folder).parent for folder in logs}
        with_extension = [(path, os.path.splitext(path)[1].lower()) for path in visible]
        paths = [
            path
            for path, extension in with_extension
            if extension in extensions and (extension != ".tar" or not datasets & {*Path(path).parents})
        ]
    if not paths:
        raise NothingToDo(_explain_empty(root, sorted(extensions)))
    return is_single, [stat_source(path_to_uri(path)) for path in paths]


def _walk(root: Path) -> Iterator[str]:
    """Yield the absolute paths below a folder, or that match a glob, without following links to folders.

    A folder named like a video is yielded too: its analysis fails with a row of its own.
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


def _explain_empty(root: Path, extensions: list[str]) -> str:
    endings = " ".join(extensions)
    if os.path.isdir(root):
        return f"{root}: no video or still in this folder or below; expected files ending in {endings}"
    return f"{root}: no such file or folder, and no file matches it as a glob. Endings looked for: {endings}"


def _in_bucket(uri: str, config: ListConfig) -> tuple[bool, list[Source]]:
    """Return whether `uri` is one object, and the media and tars there."""
    extensions = {*_media_extensions(config), ".tar"}
    storage, key = storage_and_key(uri)
    if key and not key.endswith("/"):
        try:
            storage.head(key)
        except FileNotFoundError:
            pass
        else:
            return True, [stat_source(uri)]
    objects = sorted(storage.list(key.rstrip("/")), key=lambda each: each.key)
    datasets = {each.key.rpartition("_log/")[0] for each in objects if f"/{each.key}".count("/_log/")}
    sources: list[Source] = []
    for each in objects:
        extension = PurePosixPath(each.key).suffix.lower()
        parts = each.key.removeprefix(key.rstrip("/")).split("/")
        is_own = extension == ".tar" and any(each.key.startswith(dataset) for dataset in datasets)
        if extension in extensions and not is_own and not any(part.startswith(".") for part in parts):
            sources.append(Source(uri=f"{storage.uri}/{each.key}", size_bytes=each.size, etag=each.etag))
    if not sources:
        hint = "; a glob is not understood here, name the prefix" if has_magic(key) else ""
        endings = " ".join(sorted(extensions))
        raise NothingToDo(f"{uri}: no such object, and none below it ends in {endings}{hint}")
    return False, sources


def _from_list(uri: str, config: ListConfig) -> list[Source]:
    """Return the sources of the list at `uri`."""
    with _open(uri) as file:
        rows = read_source_list(uri, file.read(), config.uri_column)
    with ThreadPoolExecutor(16) as pool:
        sources = list(pool.map(stat_source, [resolve(uri, name) for name, _ in rows]))
    return [replace(source, carried=carried) for source, (_, carried) in zip(sources, rows, strict=True)]


def _in_tar(tar: Source, config: ListConfig) -> list[Source]:
    """Return the sources in a tar; the tar itself if it cannot be opened, so that it is counted."""
    try:
        with _open(tar.uri) as file:
            return list_tar_members(file, tar, _media_extensions(config))
    except (OSError, DatasetError):
        return [tar]


def _open(uri: str) -> BinaryIO:
    """Open a file or an object for reading; of an object, ranges of 64 KiB are fetched on demand."""
    if not uri.startswith("s3://"):
        return local_path(uri).open("rb")
    storage, key = storage_and_key(uri)
    return io.BufferedReader(storage.open_reader(key), 2**16)  # type: ignore[return-value]
