"""Log each attempt at a unit before it begins, so that a unit that keeps killing its process is quarantined.

The log outlives the process that writes it and lies below the dataset, where every node of a cluster reads it
(docs/adr/0020-clusters.md). It belongs to one run of one stage: a restarted job begins with no deaths.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from shutil import rmtree
from typing import Protocol, TypeVar
from uuid import uuid4

from manifests.storage import Storage, is_disk_full, open_storage
from video.errors import FATAL_CODES, VideoError, VideoErrorCode

T = TypeVar("T")

MAX_DEATHS = 2
"""Deaths of the sandbox after which a unit is quarantined."""
MAX_WORKER_DEATHS = 3
"""Deaths of the Ray worker after which a unit is quarantined."""
MAX_NODE_DEATHS = 6
"""Deaths of the whole node after which a unit is quarantined."""
FOLDER = "_attempts"
_BEGUN = "begun"
_STALE_S = 7 * 86400.0
"""Age at which the log of a killed run is removed by a later one."""


class Quarantined(Exception):
    """Every attempt at a unit ended the process that ran it. `error` describes the last death."""

    def __init__(self, error: VideoError) -> None:
        super().__init__(str(error))
        self.error = error


@contextmanager
def temporary_attempts_uri(dataset_uri: str) -> Iterator[str]:
    """Yield a new URI below the dataset for the attempt log of one run of one stage; remove it at the end."""
    run = uuid4().hex
    store = open_attempt_store(f"{dataset_uri.rstrip('/')}/{FOLDER}/{run}")
    _remove_stale(dataset_uri)
    try:
        yield store.uri
    finally:
        store.clear()


class AttemptStore(Protocol):
    """Named lists of lines. Each list has one writer at a time."""

    uri: str

    def read(self, name: str) -> list[str]: ...

    def append(self, name: str, line: str) -> None: ...

    def remove(self, name: str) -> None: ...

    def names(self, prefix: str) -> list[str]: ...

    def clear(self) -> None: ...


class AttemptLog:
    """AttemptLog at units that have begun and not ended: one entry a unit, one line an event.

    Args:
        log_uri: a folder, or a prefix on S3.
        node_id: the node that this process runs on.
        is_node_dead: whether the node of an id is dead.
    """

    def __init__(
        self, log_uri: str | Path, node_id: str = "", is_node_dead: Callable[[str], bool] = lambda node: False
    ) -> None:
        self._store = open_attempt_store(str(log_uri))
        self._node_id, self._is_node_dead = node_id, is_node_dead

    def run(self, unit: str, path: str, task: Callable[[], T]) -> T:
        """Return the result of `task`, or raise what it raises. Call it again if its process dies.

        Args:
            unit: name of the unit, valid as a file name.
            path: the file that the unit reads, for errors.

        Raises:
            Quarantined: the unit has used up its deaths, in this process or in earlier ones.
        """
        while not self._exhausted(lines := self._store.read(unit)):
            self._store.append(unit, f"{_BEGUN} {self._node_id}")
            try:
                result = task()
            except VideoError as error:
                if error.code in FATAL_CODES:
                    self._store.append(unit, f"{error.code} {error.problem}")
                    continue
                self._store.remove(unit)
                raise
            except Exception:
                self._store.remove(unit)
                raise
            self._store.remove(unit)
            return result
        raise Quarantined(_last_death(lines, path))

    def run_batch(self, name: str, task: Callable[[], T]) -> T | None:
        """Return the result of `task`, which works on several units.

        Returns None without calling `task` if an earlier attempt at the batch `name` ended its process: then
        the units have to be tried one by one.
        """
        if self._store.read(name):
            return None
        self._store.append(name, _BEGUN)
        try:
            return task()
        finally:  # not reached by a process that dies
            self._store.remove(name)

    def _exhausted(self, lines: Sequence[str]) -> bool:
        nodes = [line.partition(" ")[2] for line in _unended(lines)]
        node_deaths = sum(1 for node in nodes if node and self._is_node_dead(node))
        sandbox_deaths = sum(1 for line in lines if not line.startswith(_BEGUN))
        return (
            sandbox_deaths >= MAX_DEATHS
            or len(nodes) - node_deaths >= MAX_WORKER_DEATHS
            or node_deaths >= MAX_NODE_DEATHS
        )


def open_attempt_store(uri: str) -> AttemptStore:
    """Return the store at `uri`: a folder, or a prefix on S3."""
    return _S3Store(uri) if uri.startswith("s3://") else _LocalStore(Path(uri.removeprefix("file://")))


class _LocalStore:
    def __init__(self, folder: Path) -> None:
        self._folder = folder.absolute()
        self.uri = str(self._folder)

    def read(self, name: str) -> list[str]:
        entry = self._folder / name
        return entry.read_text().splitlines() if entry.exists() else []

    def append(self, name: str, line: str) -> None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with (self._folder / name).open("a") as out:
                out.write(f"{line}\n")
        except OSError as error:
            if not is_disk_full(error):  # writing the unit's rows reports the full disk
                raise

    def remove(self, name: str) -> None:
        (self._folder / name).unlink(missing_ok=True)

    def names(self, prefix: str) -> list[str]:
        return [entry.name for entry in self._folder.glob(f"{prefix}*")]

    def clear(self) -> None:
        rmtree(self._folder, ignore_errors=True)
        with suppress(OSError):  # holds the log of another run
            self._folder.parent.rmdir()


class _S3Store:
    """A unit costs one GET, one PUT and one DELETE, and two requests more for each death."""

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self._storage: Storage = open_storage(uri)

    def read(self, name: str) -> list[str]:
        try:
            return self._storage.read(name).decode().splitlines()
        except FileNotFoundError:
            return []

    def append(self, name: str, line: str) -> None:
        self._storage.put(name, "".join(f"{each}\n" for each in [*self.read(name), line]).encode())

    def remove(self, name: str) -> None:
        self._storage.delete(name)

    def names(self, prefix: str) -> list[str]:
        return [stored.key for stored in self._storage.list() if stored.key.startswith(prefix)]

    def clear(self) -> None:
        for stored in list(self._storage.list()):
            self._storage.delete(stored.key)


def _remove_stale(dataset_uri: str) -> None:
    """Remove the logs of runs that were killed more than `_STALE_S` ago."""
    storage = open_storage(dataset_uri)
    for stored in list(storage.list(FOLDER)):
        if time.time() - stored.modified_s > _STALE_S:
            storage.delete(stored.key)


def _unended(lines: Sequence[str]) -> list[str]:
    """Return the lines of attempts without a line that records their end."""
    following = [*lines[1:], _BEGUN]
    return [
        line
        for line, after in zip(lines, following, strict=False)
        if line.startswith(_BEGUN) and after.startswith(_BEGUN)
    ]


def _last_death(lines: Sequence[str], path: str) -> VideoError:
    code, _, problem = lines[-1].partition(" ")
    if code == _BEGUN:
        code, problem = VideoErrorCode.CRASHED, "ended the Ray worker that worked on it"
    begun = sum(1 for line in lines if line.startswith(_BEGUN))
    return VideoError(VideoErrorCode(code), path, f"{problem}; in quarantine after {begun} attempts")
