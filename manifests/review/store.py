"""Where decisions go: the journal first, then the database that the desk reads, in batches the dataset."""
# pyarrow has no complete types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false

import fcntl
import json
import os
import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from secrets import token_hex
from threading import Event, Lock, RLock, Thread
from typing import BinaryIO

from manifests.dataset import Dataset, DatasetError
from manifests.log_summary import entry_key
from manifests.records import Review
from manifests.review import build, reviews_table
from manifests.review.config import ReviewConfig
from manifests.review.database import Database
from manifests.review.journal import STAGE, Entry, commit_entries, open_journal
from manifests.review.live_media import SelectionRules
from manifests.review.media_sync import Progress
from manifests.review.state import refresh
from manifests.storage import describe_disk_full

_INDEX, _BUILDING = "index.sqlite", "index.building.sqlite"
_SYNC_EVERY_S = 30.0
"""Seconds between looks for commits of other processes, if decisions are committed less often."""


class ReviewStore:
    """The reviews of one dataset. `lock` is held from the look at what stands until the decision is recorded.

    Raises:
        DatasetError: no dataset, or another process reviews it or uses the state folder.
    """

    def __init__(
        self,
        uri: str | Path,
        state_dir: Path,
        config: ReviewConfig,
        rules: SelectionRules | None,
        progress: Progress,
    ) -> None:
        self.lock = RLock()
        self.problem = ""
        """Why the last commit or look at the dataset failed; empty if it did not."""
        self._config, self._rules, self._progress = config, rules, progress
        self._state_dir = state_dir
        self._applied = set[str]()
        self._syncing, self._stop, self._wake = Lock(), Event(), Event()  # `_syncing` is taken before `lock`
        self.dataset = Dataset.open(uri)
        self._state_lock = _lock_state(state_dir)
        try:
            self._journal = open_journal(self.dataset)
        except BaseException:
            self._state_lock.close()
            raise
        try:
            self.database = self._open_database()
            self._apply(self._journal.entries)
        except BaseException:
            self._release()
            raise
        self._thread = Thread(target=self._run, name="reviews", daemon=True)
        self._thread.start()

    @property
    def num_uncommitted(self) -> int:
        """Rows in the journal."""
        with self.lock:
            return sum(len(entry.rows) for entry in self._journal.entries)

    def record(self, rows: Sequence[Review]) -> None:
        """Record rows durably, all or none of them, and bring the database up to date.

        Raises OSError or DatasetError if they were not recorded, DatabaseError if they were and the database
        could not be written; the same rows may then be recorded again, which records nothing twice. Raises
        Overtaken if another process recorded something that this one has not seen.
        """
        with self.lock:
            entry = self._journal.append(rows, base=self.database.get("commit"))
            self._apply([entry])
            if self.num_uncommitted >= self._config.commit_every:
                self._wake.set()

    def catch_up(self) -> None:
        """Read what other processes decided, and what an earlier failure kept from the database."""
        with self.lock:
            self._journal.poll()
            self._apply(self._journal.entries)
            stage = self._next_stage()
            if stage == STAGE and self._syncing.acquire(blocking=False):  # who has it may wait for `lock`
                try:
                    self._sync_to(self.dataset.refresh())
                finally:
                    self._syncing.release()
            elif stage:
                self._wake.set()  # may take long: not while a reviewer waits

    def sync(self) -> int:
        """Bring the database up to the newest commit; return its number."""
        with self._syncing:
            self._sync_to(self.dataset.refresh())
        return self.dataset.number

    def flush(self) -> int:
        """Commit what is in the journal; return the number of rows. Raises DatasetError or OSError."""
        with self._syncing:
            with self.lock:
                entries = [*self._journal.entries]
            dataset, count = commit_entries(self.dataset.refresh(), entries)
            self._sync_to(dataset)
            with self.lock:
                self._journal.forget(entries)
                self._applied -= {entry.key for entry in entries}
        return count

    def close(self) -> None:
        """Commit what is in the journal and let other processes review. Raises DatasetError or OSError."""
        self._stop.set()
        self._wake.set()
        self._thread.join()
        try:
            self.flush()
        finally:
            self.database.close()
            self._release()

    def _run(self) -> None:
        """Commit and look for commits of others until the store is closed."""
        pause = self._config.commit_every_s or _SYNC_EVERY_S
        while not self._stop.is_set():
            self._wake.wait(min(pause, _SYNC_EVERY_S))
            self._wake.clear()
            if self._stop.is_set():
                return
            try:
                if self._config.commit_every_s or self.num_uncommitted >= self._config.commit_every:
                    self.flush()
                self.sync()
                self.database.checkpoint()
                self.problem = ""
            except (OSError, ValueError, sqlite3.Error) as error:
                self.problem = str(error)

    def _apply(self, entries: Sequence[Entry]) -> None:
        """Write entries of the journal to the database, unless they are there."""
        new = [entry for entry in entries if entry.key not in self._applied]
        if not new:
            return
        with self.lock, self.database.transaction():
            changed = reviews_table.append(self.database, [row for entry in new for row in entry.rows])
            refresh(self.database, sorted(changed), self._config)
        self._applied |= {entry.key for entry in new}

    def _next_stage(self) -> str:
        """Return the stage of the next commit, if another process made one; a single request."""
        try:
            entry = json.loads(self.dataset.storage.read(entry_key(self.dataset.number + 1)))
        except FileNotFoundError:
            return ""
        return str(entry["stage"])

    def _sync_to(self, dataset: Dataset) -> None:
        if dataset.number == self.dataset.number == self.database.get("commit"):
            return
        if build.is_current(self.database, dataset):
            build.sync(self.database, dataset, self._config, self._rules, self._progress)
        else:  # parts that the database holds were removed
            with self.lock:  # other threads may still read from the old one
                self.database = self._build(dataset)
                self._applied.clear()
                self._apply(self._journal.entries)
        self.dataset = dataset

    def _open_database(self) -> Database:
        """Open the database, or build it if there is none of this dataset."""
        path = self._state_dir / _INDEX
        if path.exists():
            with suppress(sqlite3.DatabaseError):
                database = Database(path)
                if build.is_current(database, self.dataset) and database.get("settings") == self._settings():
                    with database.transaction():
                        changed = reviews_table.forget_journal(database)
                        refresh(database, sorted(changed), self._config)
                    build.sync(database, self.dataset, self._config, self._rules, self._progress)
                    return database
                database.close()
        return self._build(self.dataset)

    def _settings(self) -> str:
        """Return what the tables depend on besides the dataset and the limits of the rules."""
        return f"{self._config.reviews_per_clip} {self._config.near_margin}"

    def _build(self, dataset: Dataset) -> Database:
        """Build the database beside its place and put it there when it is complete."""
        path, building = self._state_dir / _INDEX, self._state_dir / _BUILDING
        for old in (path, building):
            for suffix in ("", "-wal", "-shm"):
                old.with_name(old.name + suffix).unlink(missing_ok=True)
        with describe_disk_full(building, self._state_dir):
            database = Database(building)
            try:
                database.create()
                database.set(secret=token_hex(16), settings=self._settings())
                build.sync(database, dataset, self._config, self._rules, self._progress)
            finally:
                database.close()
            building.replace(path)
        return Database(path)

    def _release(self) -> None:
        self._journal.close()
        self._state_lock.close()


def _lock_state(folder: Path) -> BinaryIO:
    """Take the lock of the state folder, which the kernel releases when this process ends."""
    folder.mkdir(parents=True, exist_ok=True)
    file = (folder / "lock").open("ab")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise DatasetError(
            f"{folder}: another process uses this state folder; stop it, or name another folder"
        ) from None
    file.truncate(0)
    file.write(str(os.getpid()).encode())
    file.flush()
    return file
