"""The journal of a dataset's reviews: decisions are durable here before they are committed in batches.

On a disk, entries are lines of a file that is flushed before `append` returns. One process at a time may
write; its lock ends with it. On S3, each entry is one object. Any number of processes may write, one after
another: each has read what was written before.

`commit` moves the entries into the table `reviews`. It publishes the next number of the log or nothing, and
before that drops the rows whose `review_id` a commit since their entry already holds. So whoever commits, and
wherever a kill falls, a row is in the table once.
"""

# pyarrow has no complete types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false

import fcntl
import json
import os
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, Protocol

from manifests.dataset import Commit, ConflictError, Dataset, DatasetError
from manifests.digest import digest_bytes
from manifests.records import Review, Verdict
from manifests.review.folder import REVIEW_FOLDER
from manifests.storage import Storage, describe_disk_full

STAGE = "review"
"""Stage of the commits."""
_CHECK_CHARS = 16
_NUMBER_DIGITS = 12
"""Of the name of an object."""
_KEPT_S = 60.0
"""Time that an object stays after its commit: longer than from a look at the journal to the next entry."""
_MAX_ATTEMPTS = 100
"""Attempts of a commit while other writers commit first."""
_FIELDS = tuple(field.name for field in fields(Review))


class Overtaken(DatasetError):
    """Another process recorded something since the journal was read. Nothing was recorded: look again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """Rows that were recorded together: all of them or none."""

    key: str
    """File and line on a disk, object on S3; orders the entries of one process."""
    base: int
    """A commit of the dataset that does not hold the rows; nor does any before it."""
    rows: tuple[Review, ...]


class Journal(Protocol):
    """The entries that are not committed yet, oldest first. Not safe for threads."""

    entries: list[Entry]

    def append(self, rows: Sequence[Review], *, base: int) -> Entry:
        """Record `rows` durably as one entry. Raises OSError or DatasetError if that failed.

        Raises Overtaken if another process recorded an entry that `poll` has not returned.
        """
        ...

    def poll(self) -> list[Entry]:
        """Return the entries of other processes since the last call."""
        ...

    def forget(self, entries: Sequence[Entry]) -> None:
        """Remove entries whose rows are committed."""
        ...

    def close(self) -> None:
        """Let other processes write."""
        ...


def open_journal(dataset: Dataset) -> Journal:
    """Open the journal of a dataset, with the entries that earlier processes left.

    Raises:
        DatasetError: another process has it open, or an entry is damaged.
        OSError: it cannot be written.
    """
    if dataset.uri.startswith("s3://"):
        return ObjectJournal(dataset.storage)
    return FileJournal(dataset.root / REVIEW_FOLDER)


def commit_entries(dataset: Dataset, entries: Sequence[Entry]) -> tuple[Dataset, int]:
    """Commit the rows of `entries` that no commit holds yet; return the dataset and how many these were.

    The entries may be forgotten afterwards. Raises DatasetError or OSError; then no row was committed.
    """
    if not entries:
        return dataset, 0
    base = min(entry.base for entry in entries)
    part, written = None, list[Review]()
    for _ in range(_MAX_ATTEMPTS):
        rows = _not_committed(dataset, [row for entry in entries for row in entry.rows], base)
        if not rows:
            return dataset, 0
        if part is None or rows != written:
            part, written = dataset.write_records("reviews", rows), rows
        reviewers = len({row.reviewer for row in rows})
        counts = {"reviews": len(rows), "reviewers": reviewers}
        try:
            return dataset.commit(Commit(stage=STAGE, added=(part,), counts=counts)), len(rows)
        except ConflictError:
            dataset = dataset.refresh()
    raise ConflictError(
        f"{dataset.uri}: other writers committed first {_MAX_ATTEMPTS} times; the decisions are safe in the "
        "journal and are committed with the next ones"
    )


def _not_committed(dataset: Dataset, rows: Sequence[Review], base: int) -> list[Review]:
    """Return the rows that no commit after `base` holds, each once."""
    new = {row.review_id: row for row in reversed(rows)}  # of two equal ids the first
    for commit in dataset.commits[base + 1 :]:
        for part in commit.added:
            if part.table == "reviews":
                for review_id in dataset.read_part(part, ["review_id"])["review_id"].to_pylist():
                    new.pop(review_id, None)
    return [row for row in dict.fromkeys(rows) if new.pop(row.review_id, None) is not None]


class FileJournal:
    """Lines of a file in `folder`: a check sum, a blank, a JSON object.

    A file is begun anew after each commit, and deleted with the last of its entries.
    """

    def __init__(self, folder: Path) -> None:
        try:
            with describe_disk_full(folder, folder.parent):
                folder.mkdir(exist_ok=True)
                self._lock = _lock(folder / "lock")
        except PermissionError as error:
            raise DatasetError(
                f"{folder}: cannot be written ({error.strerror}); decisions are recorded in the dataset, so "
                "allow reviewers to write there"
            ) from error
        self._folder = folder
        self._out: BinaryIO | None = None
        self._size = 0
        self._path = folder
        self._broken = ""
        try:
            self.entries = [entry for path in self._paths() for entry in _read(path)]
        except BaseException:
            self._lock.close()
            raise
        self._number = max((_number(path) for path in self._paths()), default=0)

    def append(self, rows: Sequence[Review], *, base: int) -> Entry:
        if self._broken:
            raise OSError(self._broken)
        line = _encode(rows, base)
        with describe_disk_full(self._folder, self._folder.parent):
            out = self._open()
            try:
                left = memoryview(line)
                while left:  # a write may be short
                    left = left[out.write(left) :]
                os.fsync(out.fileno())
            except OSError:
                self._cut_back(out)
                raise
        entry = Entry(key=f"{self._path.name}:{self._size:012d}", base=base, rows=tuple(rows))
        self._size += len(line)
        self.entries.append(entry)
        return entry

    def poll(self) -> list[Entry]:
        return []  # nobody else holds the lock

    def forget(self, entries: Sequence[Entry]) -> None:
        gone = {entry.key for entry in entries}
        self.entries = [entry for entry in self.entries if entry.key not in gone]
        if self._out is not None:
            self._out.close()
            self._out = None
        left = {entry.key.partition(":")[0] for entry in self.entries}
        for path in self._paths():
            if path.name not in left:
                path.unlink(missing_ok=True)

    def close(self) -> None:
        if self._out is not None:
            self._out.close()
            self._out = None
        self._lock.close()

    def _open(self) -> BinaryIO:
        """Return the file to append to; a new one is durable in its folder before anything is written."""
        if self._out is None:
            self._number += 1
            self._path = self._folder / f"journal-{self._number:08d}.jsonl"
            self._out, self._size = self._path.open("xb", buffering=0), 0
            _sync_folder(self._folder)
        return self._out

    def _cut_back(self, out: BinaryIO) -> None:
        """Remove what a failed write left; if that fails too, refuse to go on."""
        try:
            os.ftruncate(out.fileno(), self._size)
            os.lseek(out.fileno(), self._size, os.SEEK_SET)
            os.fsync(out.fileno())
        except OSError as error:
            self._broken = (
                f"{self._path}: a write failed and could not be taken back ({error}); recorded decisions are "
                "safe. Look at the disk and start the review again"
            )

    def _paths(self) -> list[Path]:
        return sorted(self._folder.glob("journal-*.jsonl"))


class ObjectJournal:
    """One object below `_review/` for each entry, numbered.

    An entry is a conditional put of the number behind all that this process knows. So of two processes that
    record at the same time one wins, and the other raises `Overtaken`, looks at the winner's entry and tries
    again. The highest number stays when its rows are committed, since the next one follows it; the others are
    deleted some time after their commit, so that no process that is late takes a number again.
    """

    def __init__(self, storage: Storage, clock: Callable[[], float] = time.monotonic) -> None:
        self._storage, self._clock = storage, clock
        self._number = 0
        self._known = set[str]()
        self._done: dict[str, float] = {}
        self.entries: list[Entry] = []
        self.poll()

    def append(self, rows: Sequence[Review], *, base: int) -> Entry:
        key = f"{REVIEW_FOLDER}/{self._number + 1:0{_NUMBER_DIGITS}d}.json"
        if not self._storage.put_if_absent(key, _encode(rows, base)):
            raise Overtaken(
                f"{self._storage.uri}/{key}: another process recorded a decision first; try again"
            )
        self._note(key)
        entry = Entry(key=key, base=base, rows=tuple(rows))
        self.entries.append(entry)
        return entry

    def poll(self) -> list[Entry]:
        found = list[Entry]()
        for stored in sorted(self._storage.list(REVIEW_FOLDER), key=lambda stored: stored.key):
            if stored.key in self._known:
                continue
            try:
                data = self._storage.read(stored.key)
            except FileNotFoundError:
                continue  # committed meanwhile
            rows, base = _decode(data, f"{self._storage.uri}/{stored.key}")
            found.append(Entry(key=stored.key, base=base, rows=rows))
            self._note(stored.key)
        self.entries += found
        return found

    def forget(self, entries: Sequence[Entry]) -> None:
        now, gone = self._clock(), {entry.key for entry in entries}
        self.entries = [entry for entry in self.entries if entry.key not in gone]
        self._done |= dict.fromkeys(gone - self._done.keys(), now)
        for key in [key for key, done_s in self._done.items() if now - done_s >= _KEPT_S]:
            if _object_number(key) != self._number:
                self._storage.delete(key)
                del self._done[key]

    def close(self) -> None:
        pass

    def _note(self, key: str) -> None:
        self._known.add(key)
        self._number = max(self._number, _object_number(key))


def _object_number(key: str) -> int:
    """Return the number of an object; 0 for one of an earlier version, which named them by process."""
    name = PurePosixPath(key).stem
    return int(name) if len(name) == _NUMBER_DIGITS and name.isdecimal() else 0


def _encode(rows: Sequence[Review], base: int) -> bytes:
    data = json.dumps({"base": base, "rows": [asdict(row) for row in rows]}, ensure_ascii=False).encode()
    return digest_bytes(data, size=_CHECK_CHARS // 2).encode() + b" " + data + b"\n"


def _decode(line: bytes, where: str) -> tuple[tuple[Review, ...], int]:
    """Return the rows and the base of an entry. Raises DatasetError if it is damaged."""
    check, _, data = line.rstrip(b"\n").partition(b" ")
    if digest_bytes(data, size=_CHECK_CHARS // 2).encode() != check:
        raise DatasetError(
            f"{where}: this entry of the review journal is damaged; restore the file from a copy, or move it "
            "away to go on without the decisions in it"
        )
    entry: dict[str, Any] = json.loads(data)
    unknown = {name for row in entry["rows"] for name in row} - {*_FIELDS}
    if unknown:
        raise DatasetError(f"{where}: has unknown fields ({', '.join(sorted(unknown))}); upgrade Kinora")
    rows = (Review(**row) for row in entry["rows"])
    return tuple(replace(row, verdict=Verdict(row.verdict)) for row in rows), entry["base"]


def _read(path: Path) -> Iterator[Entry]:
    """Yield the entries of a file. A last line that a kill cut short was not acknowledged; it is removed."""
    data = path.read_bytes()
    whole, at = data.rfind(b"\n") + 1, 0
    for number, line in enumerate(data[:whole].splitlines(keepends=True), 1):
        rows, base = _decode(line, f"{path}, line {number}")
        yield Entry(key=f"{path.name}:{at:012d}", base=base, rows=rows)
        at += len(line)
    if whole < len(data):
        os.truncate(path, whole)


def _number(path: Path) -> int:
    return int(path.stem.removeprefix("journal-"))


def _lock(path: Path) -> BinaryIO:
    """Take the lock, which the kernel releases when this process ends, however it ends."""
    file = path.open("a+b")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        holder = file.read().decode(errors="replace").strip() or "another process"
        file.close()
        raise DatasetError(
            f"{path.parent.parent}: {holder} has the reviews of this dataset open; use its page, or stop it"
        ) from None
    file.truncate(0)
    file.write(f"process {os.getpid()} on {socket.gethostname()}".encode())
    file.flush()
    return file


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
