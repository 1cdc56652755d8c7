"""Attempts at units of work, noted before they begin: what kills its process again and again is left alone.

A note outlives the process that wrote it, so that also a unit which takes the Ray worker along is found out.
Notes belong to one run of one stage: a job that is stopped and started again owes its units nothing. They lie
below the dataset, where every machine of a cluster sees them: docs/adr/0020-clusters.md tells what they cost.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from shutil import rmtree
from typing import Protocol, TypeVar
from uuid import uuid4

from manifests.storage import Storage, is_full, storage_at
from video.errors import FATAL_CODES, VideoError, VideoErrorCode

T = TypeVar("T")

MAX_DEATHS = 2
"""After so many deaths of the sandbox the unit is quarantined. One may be bad luck: a full machine."""
MAX_WORKER_DEATHS = 3
"""The same for deaths of the Ray worker around it, which may have had another cause."""
MAX_NODE_DEATHS = 6
"""The same where the whole machine went away, which is seldom a unit's doing."""
FOLDER = "_attempts"
_BEGUN = "begun"
_STALE_S = 7 * 86400.0
"""Notes of a run that was killed are removed by another run, so long after they were written."""


class Quarantined(Exception):
    """A unit whose every attempt ended the process that worked on it. `error` is how the last one ended."""

    def __init__(self, error: VideoError) -> None:
        super().__init__(str(error))
        self.error = error


@contextmanager
def attempts_folder(uri: str) -> Iterator[str]:
    """Give a new place, below the dataset at `uri`, for the notes of one run of one stage; then remove it."""
    run = uuid4().hex
    notes = notes_at(f"{uri.rstrip('/')}/{FOLDER}/{run}")
    _remove_stale(uri)
    try:
        yield notes.uri
    finally:
        notes.clear()


class Notes(Protocol):
    """Where notes lie: by name, some lines each. One process at a time writes one note."""

    uri: str

    def read(self, name: str) -> list[str]: ...

    def append(self, name: str, line: str) -> None: ...

    def remove(self, name: str) -> None: ...

    def clear(self) -> None: ...


class Attempts:
    """The notes at `notes`: one for each unit that is begun and not ended, with a line for each event.

    Args:
        here: names the machine that this process is on.
        is_gone: whether the machine of that name is no more.
    """

    def __init__(
        self, notes: str | Path, here: str = "", is_gone: Callable[[str], bool] = lambda machine: False
    ) -> None:
        self._notes, self._here, self._is_gone = notes_at(str(notes)), here, is_gone

    def work(self, unit: str, path: str, task: Callable[[], T]) -> T:
        """Return what `task` returns, or raise what it raises; call it again while it dies.

        Args:
            unit: name of the unit, fit for a file's name.
            path: the file that it works on, for errors.

        Raises:
            Quarantined: after the last death allowed, be it here or of a process that is no more.
        """
        while not self._doomed(lines := self._notes.read(unit)):
            self._notes.append(unit, f"{_BEGUN} {self._here}")
            try:
                result = task()
            except VideoError as error:
                if error.code in FATAL_CODES:
                    self._notes.append(unit, f"{error.code} {error.problem}")
                    continue
                self._notes.remove(unit)
                raise
            except Exception:
                self._notes.remove(unit)
                raise
            self._notes.remove(unit)
            return result
        raise Quarantined(_last_death(lines, path))

    def together(self, name: str, task: Callable[[], T]) -> T | None:
        """Return what `task` returns, or None, without calling it, when it ended its process before.

        For work on several units at once, called `name`: after a death each has to be tried alone.
        """
        if self._notes.read(name):
            return None
        self._notes.append(name, _BEGUN)
        try:
            return task()
        finally:  # not reached by a process that dies
            self._notes.remove(name)

    def _doomed(self, lines: Sequence[str]) -> bool:
        machines = [line.partition(" ")[2] for line in _unended(lines)]
        of_nodes = sum(1 for machine in machines if machine and self._is_gone(machine))
        of_sandbox = sum(1 for line in lines if not line.startswith(_BEGUN))
        return (
            of_sandbox >= MAX_DEATHS
            or len(machines) - of_nodes >= MAX_WORKER_DEATHS
            or of_nodes >= MAX_NODE_DEATHS
        )


def notes_at(uri: str) -> Notes:
    """Return the place for notes that `uri` names: a folder, or a prefix on S3."""
    return _Objects(uri) if uri.startswith("s3://") else _Files(Path(uri.removeprefix("file://")))


class _Files:
    def __init__(self, folder: Path) -> None:
        self._folder = folder.absolute()
        self.uri = str(self._folder)

    def read(self, name: str) -> list[str]:
        note = self._folder / name
        return note.read_text().splitlines() if note.exists() else []

    def append(self, name: str, line: str) -> None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with (self._folder / name).open("a") as out:
                out.write(f"{line}\n")
        except OSError as error:
            if not is_full(error):  # the unit's rows will not fit either, and then the job ends and says so
                raise

    def remove(self, name: str) -> None:
        (self._folder / name).unlink(missing_ok=True)

    def clear(self) -> None:
        rmtree(self._folder, ignore_errors=True)
        with suppress(OSError):  # another run's are there
            self._folder.parent.rmdir()


class _Objects:
    """A unit costs one request to read, one to write and one to delete, and two more for each death."""

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self._storage: Storage = storage_at(uri)

    def read(self, name: str) -> list[str]:
        try:
            return self._storage.read(name).decode().splitlines()
        except FileNotFoundError:
            return []

    def append(self, name: str, line: str) -> None:
        self._storage.put(name, "".join(f"{each}\n" for each in [*self.read(name), line]).encode())

    def remove(self, name: str) -> None:
        self._storage.delete(name)

    def clear(self) -> None:
        for stored in list(self._storage.walk()):
            self._storage.delete(stored.key)


def _remove_stale(uri: str) -> None:
    """Remove notes of runs that were killed long ago."""
    storage = storage_at(uri)
    for stored in list(storage.walk(FOLDER)):
        if time.time() - stored.modified_s > _STALE_S:
            storage.delete(stored.key)


def _unended(lines: Sequence[str]) -> list[str]:
    """Return the lines of attempts that no line tells the end of."""
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
