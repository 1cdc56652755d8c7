"""List sources: files and S3 objects, alone, below a folder or prefix, named by a list, or inside tars.

Listing reads names, sizes and times of media, never their bytes. What lies there and is not taken is counted.
"""

import io
import os
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from glob import has_magic
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from manifests.records import Source
from manifests.redact import redact
from manifests.storage import DatasetError
from pipeline.config import ListConfig
from pipeline.errors import NothingToDo
from pipeline.sources.left_out import (
    IN_DATASET,
    LeftOut,
    LeftOutCounter,
    describe_left_out,
    ending_of,
    hidden_reason,
)
from pipeline.sources.lists import LIST_EXTENSIONS, read_source_list, resolve
from pipeline.sources.stat import path_to_uri, stat_source
from pipeline.sources.tars import list_tar_members
from pipeline.sources.uri import storage_and_key
from pipeline.sources.walk import walk
from video.container import local_path

_TAR = ".tar"


@dataclass(frozen=True, kw_only=True, slots=True)
class Listing:
    """The sources at a place, and what else lies there."""

    sources: list[Source]
    left_out: tuple[LeftOut, ...] = ()


def list_sources(uri: str, config: ListConfig) -> Listing:
    """List the videos and stills at `uri`: a folder or S3 prefix (recursively), a glob, a source list
    (.csv, .jsonl, .parquet), a tar, or one file or object of any name.

    Tars in a folder are opened, except those of Kinora's own datasets. Sorted by path; a source list keeps
    its order.

    Raises:
        NothingToDo: nothing matches.
        SourceListError: the source list is invalid.
        DatasetError: the bucket cannot be listed.
    """
    left_out = LeftOutCounter()
    if uri.startswith("s3://"):
        is_single, sources = _in_bucket(uri, config, left_out)
    elif "://" in uri and not uri.startswith("file://"):
        raise NothingToDo(f"{redact(uri)}: name a folder, a glob, a file, or s3://bucket/prefix")
    else:
        is_single, sources = _on_disk(local_path(uri).expanduser(), config, left_out)
    if is_single and ending_of(uri) in LIST_EXTENSIONS:
        return Listing(sources=_from_list(sources[0].uri, config))
    expanded: list[Source] = []
    for source in sources:
        expanded += _in_tar(source, config, left_out) if ending_of(source.uri) == _TAR else [source]
    if not expanded:
        endings = " ".join(sorted(_media_extensions(config)))
        raise NothingToDo(
            f"{redact(uri)}: no video or still in these tars; expected members ending in {endings}"
            f"{_also(left_out)}"
        )
    return Listing(sources=expanded, left_out=left_out.results())


def _media_extensions(config: ListConfig) -> set[str]:
    names = (*config.video_extensions, *config.image_extensions, *config.more_extensions)
    return {f".{name.lower().removeprefix('.')}" for name in names}


def _on_disk(root: Path, config: ListConfig, left_out: LeftOutCounter) -> tuple[bool, list[Source]]:
    """Return whether `root` is one file, and the media and tars there."""
    extensions = {*_media_extensions(config), _TAR}
    if is_single := os.path.lexists(root) and not os.path.isdir(root):
        paths = [str(root.absolute())]
    else:
        visible = sorted(walk(root, config, extensions, left_out), key=lambda path: path.split(os.sep))
        logs = {folder for path in visible if os.path.basename(folder := os.path.dirname(path)) == "_log"}
        datasets = {str(Path(folder).parent) for folder in logs}
        paths = [path for path in visible if _is_taken(path, extensions, datasets, left_out)]
    if not paths:
        raise NothingToDo(f"{_explain_empty(root, sorted(extensions))}{_also(left_out)}")
    return is_single, [stat_source(path_to_uri(path)) for path in paths]


def _is_taken(
    path: str, extensions: Collection[str], datasets: Collection[str], left_out: LeftOutCounter
) -> bool:
    """Return whether a path, or the key of an object, is media or a tar to open; count it if it is not."""
    ending = ending_of(path)
    is_in_dataset = bool(datasets) and any(str(parent) in datasets for parent in PurePosixPath(path).parents)
    if ending in extensions and not (ending == _TAR and is_in_dataset):
        return True
    if is_in_dataset:
        left_out.add(IN_DATASET, path)
    else:
        left_out.add_ending(path)
    return False


def _explain_empty(root: Path, extensions: list[str]) -> str:
    endings = " ".join(extensions)
    if os.path.isdir(root):
        return f"{root}: no video or still in this folder or below; expected files ending in {endings}"
    return f"{root}: no such file or folder, and no file matches it as a glob. Endings looked for: {endings}"


def _also(left_out: LeftOutCounter) -> str:
    return "".join(f"; {line}" for line in describe_left_out(left_out.results()))


def _in_bucket(uri: str, config: ListConfig, left_out: LeftOutCounter) -> tuple[bool, list[Source]]:
    """Return whether `uri` is one object, and the media and tars there."""
    extensions = {*_media_extensions(config), _TAR}
    storage, key = storage_and_key(uri)
    if key and not key.endswith("/"):
        try:
            storage.head(key)
        except FileNotFoundError:
            pass
        else:
            return True, [stat_source(uri)]
    prefix = key.rstrip("/")
    objects = sorted(storage.list(prefix), key=lambda each: each.key)
    datasets = {each.key.rpartition("/_log/")[0] or "." for each in objects if f"/{each.key}".count("/_log/")}
    sources: list[Source] = []
    for each in objects:
        parts = each.key.removeprefix(prefix).split("/")
        if reason := hidden_reason(parts, hidden=config.hidden):
            left_out.add(reason, each.key)
        elif not each.key.endswith("/") and _is_taken(each.key, extensions, datasets, left_out):
            sources.append(Source(uri=f"{storage.uri}/{each.key}", size_bytes=each.size, etag=each.etag))
    if not sources:
        hint = "; a glob is not understood here, name the prefix" if has_magic(key) else ""
        endings = " ".join(sorted(extensions))
        raise NothingToDo(
            f"{uri}: no such object, and none below it ends in {endings}{hint}{_also(left_out)}"
        )
    return False, sources


def _from_list(uri: str, config: ListConfig) -> list[Source]:
    """Return the sources of the list at `uri`."""
    with _open(uri) as file:
        rows = read_source_list(uri, file.read(), config.uri_column)
    with ThreadPoolExecutor(16) as pool:
        sources = list(pool.map(stat_source, [resolve(uri, name) for name, _ in rows]))
    return [replace(source, carried=carried) for source, (_, carried) in zip(sources, rows, strict=True)]


def _in_tar(tar: Source, config: ListConfig, left_out: LeftOutCounter) -> list[Source]:
    """Return the sources in a tar; the tar itself if it cannot be opened, so that it is counted."""
    try:
        with _open(tar.uri) as file:
            return list_tar_members(file, tar, _media_extensions(config), left_out, hidden=config.hidden)
    except (OSError, DatasetError):
        return [tar]


def _open(uri: str) -> BinaryIO:
    """Open a file or an object for reading; of an object, ranges of 64 KiB are fetched on demand."""
    if not uri.startswith("s3://"):
        return local_path(uri).open("rb")
    storage, key = storage_and_key(uri)
    return io.BufferedReader(storage.open_reader(key), 2**16)  # type: ignore[return-value]
