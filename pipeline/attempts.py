"""Attempts at units of work, noted on disk before they begin: what kills its process twice is left alone.

A note outlives the process that wrote it, so that also a unit which takes the Ray worker along is found out.
Notes belong to one run of one stage: a job that is stopped and started again owes its units nothing.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from shutil import rmtree
from tempfile import gettempdir
from typing import TypeVar
from uuid import uuid4

from video.errors import DEADLY, VideoError, VideoErrorCode

T = TypeVar("T")

MAX_DEATHS = 2
"""After so many the unit is quarantined. One may be bad luck: a busy machine, another process's memory."""
FOLDER = "_attempts"
_BEGUN = "begun"


class Quarantined(Exception):
    """A unit whose every attempt ended the process that worked on it. `error` is how the last one ended."""

    def __init__(self, error: VideoError) -> None:
        super().__init__(str(error))
        self.error = error


@contextmanager
def attempts_folder(uri: str) -> Iterator[Path]:
    """Give a new folder for the notes of one run of one stage on the dataset at `uri`; then remove it.

    It lies in a dataset on disk. For one on S3 it lies in the machine's folder for temporary files: there a
    unit that is run again on another machine starts with no notes, and only Ray's own limit ends that.
    """
    home = Path(gettempdir()) / "kinora" if "://" in uri else Path(uri).absolute()
    folder = home / FOLDER / uuid4().hex
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        rmtree(folder, ignore_errors=True)
        with suppress(OSError):  # another run's are there
            folder.parent.rmdir()


class Attempts:
    """The notes below `folder`: a file for each unit that is begun and not ended, a line for each event."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def work(self, unit: str, path: str, task: Callable[[], T]) -> T:
        """Return what `task` returns, or raise what it raises; call it again while it dies.

        Args:
            unit: name of the unit, fit for a file's name.
            path: the file that it works on, for errors.

        Raises:
            Quarantined: after the last death allowed, be it here or of a process that is no more.
        """
        note = self._folder / unit
        while _lines(note).count(_BEGUN) < MAX_DEATHS:
            _append(note, _BEGUN)
            try:
                result = task()
            except VideoError as error:
                if error.code in DEADLY:
                    _append(note, f"{error.code} {error.problem}")
                    continue
                note.unlink()
                raise
            except Exception:
                note.unlink()
                raise
            note.unlink()
            return result
        raise Quarantined(_last_death(note, path))


def _last_death(note: Path, path: str) -> VideoError:
    last = _lines(note)[-1]
    code, _, problem = last.partition(" ")
    if last == _BEGUN:
        code, problem = VideoErrorCode.CRASHED, "ended the Ray worker that worked on it"
    return VideoError(VideoErrorCode(code), path, f"{problem}; in quarantine after {MAX_DEATHS} attempts")


def _append(note: Path, line: str) -> None:
    with note.open("a") as out:
        out.write(f"{line}\n")


def _lines(note: Path) -> list[str]:
    return note.read_text().splitlines() if note.exists() else []
