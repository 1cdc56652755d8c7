"""List raw files. Reads names, sizes and times, never bytes: a dry run costs a directory listing."""

import os
from collections.abc import Iterator
from glob import has_magic
from itertools import takewhile
from pathlib import Path
from urllib.parse import quote

from manifests.records import Source
from pipeline.config import ListConfig
from video.opening import local_path


class NothingToDo(ValueError):
    """There is no file to work on. The message says where it was looked for and what to name instead."""


def list_sources(uri: str, config: ListConfig) -> list[Source]:
    """List the videos and stills at `uri`: a folder (with all below it), a glob, or one file of any name.

    Hidden files and folders are skipped. Sorted by path. Raises NothingToDo when nothing is found.
    """
    if "://" in uri and not uri.startswith("file://"):
        raise NothingToDo(f"{uri}: only local files can be sources so far; name a folder, a glob or a file")
    wanted = {f".{ending}" for ending in (*config.video_extensions, *config.image_extensions)}
    root = local_path(uri).expanduser()
    if os.path.lexists(root) and not os.path.isdir(root):
        paths = [root]
    else:
        paths = sorted(path for path in _visible(root) if path.suffix.lower() in wanted)
    if not paths:
        raise NothingToDo(_why_nothing(root, sorted(wanted)))
    return [look(uri_of(path.absolute())) for path in paths]


def uri_of(path: Path) -> str:
    """Return the path as text; percent-encoded with `file://` before it where its name is not UTF-8, since
    such a name can be stored in no column."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return "file://" + quote(os.fsencode(path))
    return str(path)


def look(path: str) -> Source:
    """Return the file at `path` (or its `file://` URI) as it is now.

    A path that leads nowhere (a dangling link, a file just deleted) is a source too: analysing it fails
    with a row of its own, so that it is counted.
    """
    for stat in (local_path(path).stat, local_path(path).lstat):
        try:
            found = stat()
        except OSError:
            continue
        return Source(uri=path, size_bytes=found.st_size, etag=str(found.st_mtime_ns))
    return Source(uri=path, size_bytes=0, etag="")


def _visible(root: Path) -> Iterator[Path]:
    """Yield what lies below a folder or matches a glob; `**` follows no links to folders, so loops end.

    A folder with the name of a video is a source too: analysing it fails with a row of its own.
    """
    if os.path.isdir(root):
        base, pattern = root, "**/*"
    else:
        fixed = list(takewhile(lambda part: not has_magic(part), root.parts))
        base, pattern = Path(*fixed), str(Path(*root.parts[len(fixed) :]))
    if pattern == ".":
        return
    for path in base.glob(pattern):
        hidden = any(part.startswith(".") for part in path.relative_to(base).parts)
        if not hidden:
            yield path


def _why_nothing(root: Path, wanted: list[str]) -> str:
    endings = " ".join(wanted)
    if os.path.isdir(root):
        return f"{root}: no video or still in this folder or below; expected files ending in {endings}"
    return f"{root}: no such file or folder, and no file matches it as a glob. Endings looked for: {endings}"
