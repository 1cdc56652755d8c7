"""List raw files. Reads names, sizes and times, never bytes: a dry run costs a directory listing."""

from collections.abc import Iterator
from glob import glob
from pathlib import Path

from manifests.records import Source
from pipeline.config import ListConfig


class NothingToDo(ValueError):
    """There is no file to work on. The message says where it was looked for and what to name instead."""


def list_sources(uri: str, config: ListConfig) -> list[Source]:
    """List the videos and stills at `uri`: a folder (with all below it), a glob, or one file of any name.

    Hidden files and folders are skipped. Sorted by path. Raises NothingToDo when nothing is found.
    """
    if "://" in uri and not uri.startswith("file://"):
        raise NothingToDo(f"{uri}: only local files can be sources so far; name a folder, a glob or a file")
    wanted = {f".{ending}" for ending in (*config.video_extensions, *config.image_extensions)}
    root = Path(uri.removeprefix("file://")).expanduser()
    paths = [root] if root.is_file() else sorted(p for p in _visible(root) if p.suffix.lower() in wanted)
    if not paths:
        raise NothingToDo(_why_nothing(root, sorted(wanted)))
    return [look(str(path.absolute())) for path in paths]


def look(path: str) -> Source:
    """Return the file at `path` as it is now.

    A path that leads nowhere (a dangling link, a file just deleted) is a source too: analysing it fails
    with a row of its own, so that it is counted.
    """
    for stat in (Path(path).stat, Path(path).lstat):
        try:
            found = stat()
        except OSError:
            continue
        return Source(uri=path, size_bytes=found.st_size, etag=str(found.st_mtime_ns))
    return Source(uri=path, size_bytes=0, etag="")


def _visible(root: Path) -> Iterator[Path]:
    found = root.rglob("*") if root.is_dir() else map(Path, glob(str(root), recursive=True))
    for path in found:
        below = path.relative_to(root) if root.is_dir() else path
        if not any(part.startswith(".") and part not in (".", "..") for part in below.parts):
            yield path


def _why_nothing(root: Path, wanted: list[str]) -> str:
    endings = " ".join(wanted)
    if root.is_dir():
        return f"{root}: no video or still in this folder or below; expected files ending in {endings}"
    return f"{root}: no such file or folder, and no file matches it as a glob. Endings looked for: {endings}"
