"""Walk a folder on a disk, or match a glob."""

import os
from collections.abc import Collection, Iterator
from glob import has_magic
from itertools import takewhile
from pathlib import Path

from pipeline.config import ListConfig
from pipeline.sources.left_out import CLOSED_FOLDER, LINKED_FOLDER, LeftOutCounter, ending_of, hidden_reason


def walk(
    root: Path, config: ListConfig, extensions: Collection[str], left_out: LeftOutCounter
) -> Iterator[str]:
    """Yield the absolute paths of the files below a folder, or that match a glob.

    A folder with one of `extensions` is yielded too: its analysis fails with a row of its own. What is passed
    over is counted in `left_out`.
    """
    if os.path.isdir(root):
        yield from _Walk(config, extensions, left_out).below(str(root.absolute()))
        return
    fixed = list(takewhile(lambda part: not has_magic(part), root.parts))
    base, pattern = Path(*fixed), str(Path(*root.parts[len(fixed) :]))
    if pattern == ".":
        return
    for path in base.glob(pattern):
        if reason := hidden_reason(path.relative_to(base).parts, hidden=config.hidden):
            left_out.add(reason, str(path))
        elif ending_of(path.name) in extensions or not path.is_dir():
            yield str(path.absolute())


class _Walk:
    """One walk. Each folder is entered once, by its own path before any link to it."""

    def __init__(self, config: ListConfig, extensions: Collection[str], left_out: LeftOutCounter) -> None:
        self._config, self._extensions, self._left_out = config, extensions, left_out
        self._entered = set[tuple[int, int]]()
        self._links: list[str] = []

    def below(self, root: str) -> Iterator[str]:
        """Yield the paths below `root`, then those below linked folders if these are followed."""
        yield from self._tree(root)
        while self._links:
            links, self._links = sorted(self._links), []
            for link in links:
                yield from self._tree(link)

    def _tree(self, root: str) -> Iterator[str]:
        for folder, folders, files in os.walk(root, onerror=self._count_closed):
            if not self._enter(folder):
                folders[:] = []
                continue
            folders[:] = self._visible(folder, folders)
            yield from (os.path.join(folder, name) for name in folders if ending_of(name) in self._extensions)
            folders[:] = [name for name in folders if not self._is_link(os.path.join(folder, name))]
            yield from (os.path.join(folder, name) for name in self._visible(folder, files))

    def _enter(self, folder: str) -> bool:
        """Return whether a folder is entered for the first time, and not gone meanwhile."""
        try:
            status = os.stat(folder)
        except OSError as error:
            self._count_closed(error)
            return False
        identity = (status.st_dev, status.st_ino)
        is_new = identity not in self._entered
        self._entered.add(identity)
        return is_new

    def _visible(self, folder: str, names: list[str]) -> list[str]:
        visible: list[str] = []
        for name in sorted(names):
            if reason := hidden_reason((name,), hidden=self._config.hidden):
                self._left_out.add(reason, os.path.join(folder, name))
            else:
                visible.append(name)
        return visible

    def _is_link(self, path: str) -> bool:
        """Return whether a folder is a link, and keep it for later, or count it."""
        if not os.path.islink(path):
            return False
        if self._config.follow_links:
            self._links.append(path)
        else:
            self._left_out.add(LINKED_FOLDER, path)
        return True

    def _count_closed(self, error: OSError) -> None:
        self._left_out.add(CLOSED_FOLDER, f"{error.filename} ({error.strerror})")
