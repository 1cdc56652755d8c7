"""A dataset: immutable Parquet parts, and a log whose entries are the only thing that makes a part count.

    sources/ clips/ gaps/ selections/ captions/ reviews/ failures/   Parquet parts
    media/                                                          tars of cut clips, with Parquet indexes
    _log/0000000N.json                                              one commit each
    _log/summary-0000000N.json                                      many of them again, to open quickly

A writer puts its parts first and the log entry last. The entry is created by one conditional put
(link-or-fail on a disk, `If-None-Match: *` on S3), so readers see all of a commit or nothing, and of two
writers that race for one number exactly one wins. What that guarantees: docs/adr/0012-store.md.
"""

import json
import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import pyarrow as pa

from manifests import log_summary, schemas
from manifests.log_summary import entry_key
from manifests.parts import RECORDS, Part, PartStore, TableName
from manifests.redact import redact, redact_values
from manifests.storage import DatasetError, LocalStorage, ObjectInfo, Storage, open_storage

__all__ = [
    "RECORDS",
    "Commit",
    "ConflictError",
    "DamagedError",
    "Dataset",
    "DatasetError",
    "Part",
    "PartStore",
    "TableName",
]

S = TypeVar("S")
T = TypeVar("T")

FORMAT = "kinora-dataset"
LOG_VERSION = 3
"""Version of the log's entries; 2 added each part's size and digest, the versions, and the commit's id; 3 the
command."""
_RACES = 100
"""How often another writer may commit first before a commit that rebases gives up."""


class ConflictError(DatasetError):
    """Another writer's commit came first, and this one does not go on top of it as it is."""


class DamagedError(DatasetError):
    """An entry of the log is missing or unreadable: the dataset was changed by something else."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Commit:
    """One entry of the log: what a step added and removed, under which configuration, and what it counted."""

    stage: str
    added: tuple[Part, ...] = ()
    removed: tuple[str, ...] = ()
    """Paths that no longer count: parts (they stay, for readers of the past), or what a repair threw away."""
    config: Mapping[str, Any] = field(default_factory=dict)
    """Written without what may be a credential in it."""
    config_digest: str = ""
    counts: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    number: int = -1
    at: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    """Of the software that made it; filled in when it is published."""
    id: str = ""
    """Tells a writer its own entry from another's; filled in when it is published."""
    command: str = ""
    """What a person types to run this again, or to go on; empty where no command line made it."""


class Dataset:
    """A dataset as of its newest commit, or of commit `at`: a snapshot, whatever is committed afterwards."""

    def __init__(self, storage: Storage, commits: Sequence[Commit], command: str = "") -> None:
        self.storage, self.commits = storage, tuple(commits)
        self._parts = PartStore(storage)
        self._command = command

    @classmethod
    def create(cls, uri: str | Path) -> "Dataset":
        """Open the dataset at `uri`, making an empty one where there is nothing yet.

        Raises DatasetError when `uri` is a file, or a place that holds anything else.
        """
        storage = open_storage(uri)
        _refuse_foreign(storage)
        if not _numbers(storage):
            _prove(storage)
            _publish(storage, _signed(Commit(stage="create"), 0))
        return cls._open(storage, None)

    @classmethod
    def open_if_exists(cls, uri: str | Path) -> "Dataset | None":
        """Open the dataset at `uri`, or return None where there is nothing yet. Writes nothing.

        Raises DatasetError when `uri` holds anything else.
        """
        storage = open_storage(uri)
        _refuse_foreign(storage)
        return cls._open(storage, None) if _numbers(storage) else None

    @classmethod
    def open(cls, uri: str | Path, *, at: int | None = None) -> "Dataset":
        """Open an existing dataset. Raises DatasetError when there is none, or no commit `at`."""
        return cls._open(open_storage(uri), at)

    @classmethod
    def _open(cls, storage: Storage, at: int | None) -> "Dataset":
        found = log_summary.listed(storage)
        numbers = log_summary.numbers(found)
        if not numbers:
            raise DatasetError(
                f"{storage.uri}: no dataset here (no _log/). "
                f"`kinora curate --source … --dataset {storage.uri}` makes one"
            )
        if at is not None and not 0 <= at <= numbers[-1]:
            raise DatasetError(f"{storage.uri}: no commit {at}; the newest is {numbers[-1]}")
        return cls(storage, _read_entries(storage, 0, numbers[-1] if at is None else at, found))

    def with_command(self, command: str) -> "Dataset":
        """Return the same dataset; what is committed from it on says that `command` made it."""
        return Dataset(self.storage, self.commits, command)

    def refresh(self) -> "Dataset":
        """Return the dataset as of its newest commit; reads only the entries that are new."""
        newest = _numbers(self.storage)[-1]
        entries = _read_entries(self.storage, self.number + 1, newest)
        return Dataset(self.storage, [*self.commits, *entries], self._command)

    @property
    def uri(self) -> str:
        """Opens this dataset from anywhere: an absolute path, or s3://…"""
        return self.storage.uri

    @property
    def root(self) -> Path:
        """The dataset's folder. Raises DatasetError where it lies in no folder."""
        if isinstance(self.storage, LocalStorage):
            return self.storage.root
        raise DatasetError(f"{self.uri}: is no local folder; copy the dataset to one for this")

    @property
    def number(self) -> int:
        """Number of the newest commit seen."""
        return self.commits[-1].number

    def parts(self, table: TableName) -> list[Part]:
        """Return the parts of `table` that count, oldest first."""
        removed = self.removed()
        return [
            part
            for commit in self.commits
            for part in commit.added
            if part.table == table and part.path not in removed
        ]

    def removed(self) -> set[str]:
        """Return the paths that some commit removed."""
        return {path for commit in self.commits for path in commit.removed}

    def read(
        self,
        table: TableName,
        columns: Sequence[str] | None = None,
        then: Callable[[pa.Table], pa.Table] = lambda rows: rows,
    ) -> pa.Table:
        """Return all rows of `table`, in the order they were committed; empty where there are none.

        Rows of older schema versions come back under the present one. Score columns that some parts lack
        are null there.

        Args:
            columns: only these, as far as there are any.
            then: made of each part as it is read, so that what it leaves out is never held whole.
        """
        tables = self.map_parallel(lambda part: then(self._parts.read_part(part, columns)), self.parts(table))
        if not tables:
            empty = schemas.arrow_schema(RECORDS[table]).empty_table()
            some = empty if columns is None else empty.select([c for c in columns if c in empty.column_names])
            return then(some)
        return pa.concat_tables([t.replace_schema_metadata(None) for t in tables], promote_options="default")

    def read_part(self, part: Part, columns: Sequence[str] | None = None) -> pa.Table:
        """Return the rows of one part: `PartStore.read_part`."""
        return self._parts.read_part(part, columns)

    def columns(self, table: TableName) -> list[str]:
        """Return the names of all columns that any part of `table` has, those of its record first."""
        names = dict.fromkeys(schemas.arrow_schema(RECORDS[table]).names)
        for found in self.map_parallel(self._parts.column_names, self.parts(table)):
            names |= dict.fromkeys(found)
        return list(names)

    def records(self, table: TableName) -> list[Any]:
        """Return all rows of `table` as records, without their score columns."""
        return schemas.from_table(RECORDS[table], self.read(table))

    def write_part(self, table: TableName, rows: pa.Table) -> Part:
        """Write `rows` as a new part: `PartStore.write_part`."""
        return self._parts.write_part(table, rows)

    def write_records(self, table: TableName, rows: Iterable[Any]) -> Part:
        """Write records as a new part: `PartStore.write_records`."""
        return self._parts.write_records(table, rows)

    def commit(self, commit: Commit, *, rebase: bool = False) -> "Dataset":
        """Publish `commit` as the next entry of the log and return the dataset that includes it.

        When it returns, the commit is durable. When another writer published that number first, nothing of
        it counts: with `rebase` it then goes on top of theirs, unless it touches what they removed or
        removes what they touched (commits that only add parts never do); otherwise raises ConflictError.
        """
        dataset = self
        for _ in range(_RACES):
            dataset._refuse_conflict(commit, base=self.number)
            signed = _signed(replace(commit, command=commit.command or self._command), dataset.number + 1)
            if _publish(self.storage, signed):
                _summarise(self.storage, signed.number)
                return Dataset(self.storage, [*dataset.commits, signed], self._command)
            if not rebase:
                raise ConflictError(
                    f"{self.uri}: another writer made commit {signed.number} first; nothing of this one "
                    "counts. Run again"
                )
            dataset = dataset.refresh()
        raise ConflictError(
            f"{self.uri}: other writers came first {_RACES} times; run again, with fewer at once"
        )

    def _refuse_conflict(self, commit: Commit, base: int) -> None:
        """Raise ConflictError when `commit`, decided at commit `base`, contradicts what is committed now."""
        gone = self.removed()
        tars_gone = any(path.endswith(".tar") for path in gone)
        if lost := gone & {part.path for part in commit.added} or gone & self.touched(commit, tars=tars_gone):
            raise ConflictError(
                f"{self.uri}: a repair threw away {_some(lost)} before this commit named it, for its age; "
                "nothing of this one counts. Run again, and repair with a greater --older-than-h"
            )
        if taken := gone & {*commit.removed}:
            raise ConflictError(f"{self.uri}: another writer removed {_some(taken)} first; decide anew")
        wanted = {*commit.removed}
        tars = any(path.endswith(".tar") for path in wanted)
        for other in self.commits[base + 1 :] if wanted else ():
            if taken := wanted & self.touched(other, tars=tars):
                raise ConflictError(
                    f"{self.uri}: commit {other.number} needs {_some(taken)}, which this one would remove; "
                    "decide anew"
                )

    def touched(self, commit: Commit, *, tars: bool) -> set[str]:
        """Return the paths of the parts that a commit adds and, with `tars`, of the tars they point into."""
        paths = {part.path for part in commit.added}
        for part in commit.added if tars else ():
            if part.table == "media":
                paths |= {*self._parts.read_part(part, ["path"])["path"].to_pylist()}
        return paths

    def map_parallel(self, read: Callable[[S], T], items: Sequence[S]) -> list[T]:
        """Apply `read` to each item, several at once as far as the place is worth it."""
        return _each(read, items, self.storage.max_concurrency)


def _each(read: Any, items: Sequence[Any], max_concurrency: int) -> list[Any]:
    """Apply `read` to each item, several at once where waiting for the place takes most of the time."""
    if max_concurrency == 1 or len(items) < 2:
        return [read(item) for item in items]
    with ThreadPoolExecutor(min(max_concurrency, len(items))) as threads:
        return list(threads.map(read, items))


def _refuse_foreign(storage: Storage) -> None:
    names = storage.list_root()
    if names and "_log" not in names:
        raise DatasetError(
            f"{storage.uri}: the folder already holds something that is not a Kinora dataset; "
            "nothing was written. Name an empty or new folder"
        )


def _prove(storage: Storage) -> None:
    """Raise DatasetError for a place that would let two writers create one key: commits cannot rest on it."""
    key = f"_log/probe-{uuid4().hex}"
    try:
        if not storage.put_if_absent(key, b"first") or storage.put_if_absent(key, b"second"):
            raise DatasetError(
                f"{storage.uri}: this store does not honour conditional puts (If-None-Match), so two writers "
                "could overwrite each other's commits; use a store or a version that does"
            )
    finally:
        storage.delete(key)


def _numbers(storage: Storage) -> list[int]:
    return log_summary.numbers(log_summary.listed(storage))


def _read_entries(
    storage: Storage, first: int, last: int, found: Mapping[str, ObjectInfo] | None = None
) -> list[Commit]:
    """Read entries by number, not by listing: a listing taken while writers commit may have holes.

    Args:
        found: a listing of the log; then summaries that it bears out stand for their entries.
    """
    spans = range(-(-first // log_summary.SPAN), (last + 1) // log_summary.SPAN) if found else range(0)
    firsts = [span * log_summary.SPAN for span in spans]
    texts = _each(lambda at: log_summary.read(storage, found or {}, at), firsts, storage.max_concurrency)
    known = {
        at + offset: text
        for at, some in zip(firsts, texts, strict=True)
        for offset, text in enumerate(some or ())
    }
    return _each(
        lambda n: _read_entry(storage, n, known.get(n)), range(first, last + 1), storage.max_concurrency
    )


def _read_entry(storage: Storage, number: int, text: bytes | None) -> Commit:
    where = f"{storage.uri}/{entry_key(number)}"
    try:
        entry = json.loads(storage.read(entry_key(number)) if text is None else text)
        found, known = entry.pop("format"), entry.pop("version")
    except FileNotFoundError as error:
        raise DamagedError(
            f"{where}: this commit is missing, and later ones are there; restore it"
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        if isinstance(error, DatasetError):
            raise
        raise DamagedError(f"{where}: not a log entry ({error}); restore it from a copy") from error
    if found != FORMAT or not isinstance(known, int) or known > LOG_VERSION:
        raise DatasetError(
            f"{where}: not a log entry of this version of Kinora (format {found}, version {known}, and "
            f"{LOG_VERSION} is the newest known); upgrade to read it"
        )
    added = tuple(Part(**part) for part in entry.pop("added"))
    return Commit(added=added, removed=tuple(entry.pop("removed")), **entry)


def _signed(commit: Commit, number: int) -> Commit:
    at = datetime.now(UTC).isoformat(timespec="seconds")
    return replace(commit, number=number, at=at, versions=_versions(), id=uuid4().hex)


def _publish(storage: Storage, commit: Commit) -> bool:
    """Create the log entry of `commit`; False when another writer's has its number."""
    entry = {"format": FORMAT, "version": LOG_VERSION, **asdict(commit)}
    entry["config"], entry["command"] = redact_values(entry["config"]), redact(entry["command"])
    return storage.put_if_absent(entry_key(commit.number), json.dumps(entry, indent=1, default=str).encode())


def _summarise(storage: Storage, newest: int) -> None:
    """Write summaries now and then. What is committed counts without them, so a fault here is none of it."""
    if (newest + 1) % log_summary.SPAN == 0:
        with suppress(OSError, DatasetError):
            log_summary.write_missing(storage, newest)


def _versions() -> dict[str, str]:
    try:
        kinora = version("kinora")
    except PackageNotFoundError:
        kinora = "not installed"
    return {"kinora": kinora, "pyarrow": pa.__version__, "python": platform.python_version()}


def _some(paths: set[str]) -> str:
    shown = sorted(paths)
    return f"{shown[0]} and {len(shown) - 1} more" if len(shown) > 1 else shown[0]
