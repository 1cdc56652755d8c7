"""Jobs on disk: a folder each, which is there whole or not at all.

A new job is written into a folder `.new-ID` and renamed when it is complete, a deleted one is renamed to
`.gone-ID` first; what a kill leaves of either is removed at the next start.
"""

import fcntl
import os
import shutil
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from kinora.serve.jobs import JOB_ID, Job

_JOB = "job.json"
_NEW, _GONE = ".new-", ".gone-"


class JobStore:
    """The folders of all jobs. One process at a time has them."""

    def __init__(self, state: Path) -> None:
        """Open the folder. Raises ValueError where another process serves from it."""
        self.folder = state / "videos"
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock = (state / "serve.lock").open("a")
        try:
            fcntl.lockf(self._lock.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError) as error:
            self._lock.close()
            raise ValueError(
                f"{state}: another server has its jobs there; end it, or name another --state"
            ) from error
        for path in self.folder.iterdir():
            if path.name.startswith((_NEW, _GONE)):
                shutil.rmtree(path, ignore_errors=True)

    def load(self) -> list[Job]:
        """Return all jobs, the oldest first. One that cannot be read is named on stderr and left alone."""
        jobs: list[Job] = []
        for path in self.folder.iterdir():
            if not JOB_ID.fullmatch(path.name):
                continue
            try:
                jobs.append(Job.from_json((path / _JOB).read_text(encoding="utf-8")))
            except (OSError, ValueError, TypeError, KeyError) as error:
                print(
                    f"warning: {path / _JOB}: cannot be read ({error}); the job is left out", file=sys.stderr
                )
        return sorted(jobs, key=lambda job: (job.created_s, job.id))

    def path(self, job_id: str) -> Path:
        """Return the folder of a job."""
        return self.folder / job_id

    @contextmanager
    def new_folder(self, job_id: str) -> Generator[Path]:
        """Yield a folder for the files of a new job; it is removed unless `add` was called meanwhile."""
        folder = self.folder / f"{_NEW}{job_id}"
        folder.mkdir()
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def add(self, job: Job) -> None:
        """Store a new job with the files in its folder, durably."""
        folder = self.folder / f"{_NEW}{job.id}"
        for path in folder.iterdir():
            _sync(path)
        _write(folder, job)
        folder.rename(self.path(job.id))
        _sync(self.folder)

    def save(self, job: Job) -> None:
        """Store a new state of a job, durably."""
        _write(self.path(job.id), job)

    def delete(self, job_id: str) -> None:
        """Remove a job and its files."""
        gone = self.folder / f"{_GONE}{job_id}"
        self.path(job_id).rename(gone)
        shutil.rmtree(gone, ignore_errors=True)

    def close(self) -> None:
        """Let another process have the folder."""
        self._lock.close()


def _write(folder: Path, job: Job) -> None:
    partial = folder / f".{_JOB}.partial"
    with partial.open("w", encoding="utf-8") as file:
        file.write(job.to_json())
        file.flush()
        os.fsync(file.fileno())
    partial.replace(folder / _JOB)
    _sync(folder)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
