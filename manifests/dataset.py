"""A dataset: immutable Parquet parts, and a log of commits that decides which parts are visible.

    sources/ clips/ gaps/ scores/ selections/ captions/ reviews/ failures/   Parquet parts
    media/                                                          tars of cut clips, with Parquet indexes
    _log/0000000N.json                                              one commit each
    _log/summary-0000000N.json                                      copies of many commits, to open quickly

A writer writes its parts first and the log entry last. The entry is created by one conditional put (hard link
on a disk, `If-None-Match: *` on S3), so commits are atomic, and of several concurrent writers exactly one
gets each number. See docs/adr/0012-store.md for the guarantees.
"""
# pyarrow and DuckDB have no complete types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false, reportUnknownLambdaType=false

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
from manifests.locations import require_conditional_put, require_dataset_or_empty
from manifests.log_summary import entry_key
from manifests.parts import RECORDS, Part, PartStore, TableName
from manifests.redact import redact, redact_values
from manifests.snapshots import At, parse_at, until
from manifests.storage import DamagedError, DatasetError, LocalStorage, ObjectInfo, Storage, open_storage

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
LOG_VERSION = 4
"""Version of the log entries. 2 added `size_bytes`, `digest`, `versions` and `id`; 3 added `command`; 4 added
`rewritten`, and entries without one are written as version 3."""
_MAX_ATTEMPTS = 100
"""Attempts of a rebasing commit while other writers commit first."""


class ConflictError(DatasetError):
    """Another writer committed first, and this commit cannot be rebased on it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Commit:
    """One log entry: the parts a stage added and removed, its configuration and counts."""

    stage: str
    added: tuple[Part, ...] = ()
    removed: tuple[str, ...] = ()
    """Paths no longer visible: parts (kept for readers of earlier commits) or deleted orphans."""
    rewritten: tuple[Part, ...] = ()
    """Parts of earlier commits whose bytes a purge replaced, with their new size and digest. Their rows stay
    in number and order."""
    config: Mapping[str, Any] = field(default_factory=dict)
    """Written with credentials redacted."""
    config_digest: str = ""
    counts: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    number: int = -1
    at: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    """Software versions; filled in on publishing."""
    id: str = ""
    """Distinguishes a writer's own entry from another's; filled in on publishing."""
    command: str = ""
    """Command line that made this commit; empty if there was none."""


class Dataset:
    """A snapshot of a dataset at one commit."""

    def __init__(self, storage: Storage, commits: Sequence[Commit], command: str = "") -> None:
        self.storage, self.commits = storage, tuple(commits)
        self._parts = PartStore(storage)
        self._command = command

    @classmethod
    def create(cls, uri: str | Path) -> "Dataset":
        """Open the dataset at `uri`, creating an empty one if the location is empty.

        Raises DatasetError if `uri` is a file or holds anything else.
        """
        storage = open_storage(uri)
        require_dataset_or_empty(storage)
        if not _numbers(storage):
            require_conditional_put(storage)
            _publish(storage, _stamp(Commit(stage="create"), 0))
        return cls._open(storage, None)

    @classmethod
    def open_if_exists(cls, uri: str | Path) -> "Dataset | None":
        """Open the dataset at `uri`, or return None if the location is empty. Writes nothing.

        Raises DatasetError if `uri` holds anything else.
        """
        storage = open_storage(uri)
        require_dataset_or_empty(storage)
        return cls._open(storage, None) if _numbers(storage) else None

    @classmethod
    def open(cls, uri: str | Path, *, at: At = None) -> "Dataset":
        """Open the dataset at `uri` as of `at` (a commit number or a time), or the newest commit.

        Raises DatasetError if it or the commit is missing, ValueError for an `at` that is neither.
        """
        parsed, storage = parse_at(at), open_storage(uri)
        if not isinstance(parsed, datetime):
            return cls._open(storage, parsed)
        return cls(storage, until(cls._open(storage, None).commits, parsed, storage.uri))

    @classmethod
    def _open(cls, storage: Storage, at: int | None) -> "Dataset":
        found = log_summary.list_log(storage)
        numbers = log_summary.commit_numbers(found)
        if not numbers:
            raise DatasetError(
                f"{storage.uri}: no dataset here (no _log/). "
                f"`kinora curate --source … --dataset {storage.uri}` makes one"
            )
        if at is not None and not 0 <= at <= numbers[-1]:
            raise DatasetError(f"{storage.uri}: no commit {at}; the newest is {numbers[-1]}")
        return cls(storage, _read_entries(storage, 0, numbers[-1] if at is None else at, found))

    def with_command(self, command: str) -> "Dataset":
        """Return the same snapshot, whose later commits record `command`."""
        return Dataset(self.storage, self.commits, command)

    def refresh(self) -> "Dataset":
        """Return the newest snapshot; reads only the new log entries."""
        newest = _numbers(self.storage)[-1]
        entries = _read_entries(self.storage, self.number + 1, newest)
        return Dataset(self.storage, [*self.commits, *entries], self._command)

    @property
    def uri(self) -> str:
        """Absolute path or s3:// URI."""
        return self.storage.uri

    @property
    def root(self) -> Path:
        """Local folder of the dataset. Raises DatasetError for a dataset on S3."""
        if isinstance(self.storage, LocalStorage):
            return self.storage.root
        raise DatasetError(f"{self.uri}: is no local folder; copy the dataset to one for this")

    @property
    def number(self) -> int:
        """Number of the snapshot's commit."""
        return self.commits[-1].number

    def parts(self, table: TableName) -> list[Part]:
        """Return the visible parts of `table`, oldest first."""
        removed = self.removed()
        return [
            part
            for commit in self.commits
            for part in commit.added
            if part.table == table and part.path not in removed
        ]

    def removed(self) -> set[str]:
        """Return the paths that commits removed."""
        return {path for commit in self.commits for path in commit.removed}

    def read(
        self,
        table: TableName,
        columns: Sequence[str] | None = None,
        transform: Callable[[pa.Table], pa.Table] = lambda rows: rows,
    ) -> pa.Table:
        """Return all rows of `table` in commit order, under the current schema.

        Score columns that a part lacks are null.

        Args:
            columns: columns to read, all by default; those that no part has are omitted.
            transform: applied to each part after it is read, which bounds memory.
        """
        tables = self.map_parallel(
            lambda part: transform(self._parts.read_part(part, columns)), self.parts(table)
        )
        if not tables:
            empty = schemas.arrow_schema(RECORDS[table]).empty_table()
            present = (
                empty.column_names if columns is None else [c for c in columns if c in empty.column_names]
            )
            return transform(empty.select(present))
        return pa.concat_tables([t.replace_schema_metadata(None) for t in tables], promote_options="default")

    def read_part(self, part: Part, columns: Sequence[str] | None = None) -> pa.Table:
        """Return the rows of one part: `PartStore.read_part`."""
        return self._parts.read_part(part, columns)

    def part_schema(self, part: Part) -> pa.Schema:
        """Return the columns in the file of one part: `PartStore.schema`."""
        return self._parts.schema(part)

    def columns(self, table: TableName) -> list[str]:
        """Return the column names of all parts of `table`, those of its record first."""
        names = dict.fromkeys(schemas.arrow_schema(RECORDS[table]).names)
        for found in self.map_parallel(self._parts.schema, self.parts(table)):
            names |= dict.fromkeys(found.names)
        return list(names)

    def schema(self, table: TableName) -> pa.Schema:
        """Return the columns of all parts of `table` with their types, those of its record first."""
        found = self.map_parallel(self._parts.schema, self.parts(table))
        record = schemas.arrow_schema(RECORDS[table])
        extra = [pa.schema([field for field in each if field.name not in record.names]) for each in found]
        return pa.unify_schemas([record.remove_metadata(), *extra], promote_options="default")

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

        The commit is durable on return. If another writer published the number first, `rebase` retries on top
        of their commit unless one of the two removes what the other adds or removes. Raises ConflictError on
        such a conflict, and without `rebase` whenever another writer was first.
        """
        dataset = self
        for _ in range(_MAX_ATTEMPTS):
            dataset._refuse_conflict(commit, base=self.number)
            stamped = _stamp(replace(commit, command=commit.command or self._command), dataset.number + 1)
            if _publish(self.storage, stamped):
                _write_summaries(self.storage, stamped.number)
                return Dataset(self.storage, [*dataset.commits, stamped], self._command)
            if not rebase:
                raise ConflictError(
                    f"{self.uri}: another writer made commit {stamped.number} first; this one was "
                    "discarded. Run again"
                )
            dataset = dataset.refresh()
        raise ConflictError(
            f"{self.uri}: other writers committed first {_MAX_ATTEMPTS} times; run again with fewer writers"
        )

    def _refuse_conflict(self, commit: Commit, base: int) -> None:
        """Raise ConflictError if `commit`, prepared at commit `base`, conflicts with the commits since."""
        gone = self.removed()
        tars_gone = any(path.endswith(".tar") for path in gone)
        if lost := gone & {part.path for part in commit.added} or gone & self.paths_of(
            commit, tars=tars_gone
        ):
            raise ConflictError(
                f"{self.uri}: a repair deleted {_sample(lost)} before this commit added it; "
                "this commit was discarded. Run again, and repair with a larger --older-than-h"
            )
        if taken := gone & {*commit.removed}:
            raise ConflictError(f"{self.uri}: another writer removed {_sample(taken)} first; decide anew")
        wanted = {*commit.removed}
        tars = any(path.endswith(".tar") for path in wanted)
        for other in self.commits[base + 1 :] if wanted else ():
            if taken := wanted & self.paths_of(other, tars=tars):
                raise ConflictError(
                    f"{self.uri}: commit {other.number} needs {_sample(taken)}, which this one would remove; "
                    "decide anew"
                )

    def paths_of(self, commit: Commit, *, tars: bool) -> set[str]:
        """Return the paths of the parts that `commit` adds and, with `tars`, of the tars they reference."""
        paths = {part.path for part in commit.added}
        for part in commit.added if tars else ():
            if part.table == "media":
                paths |= {*self._parts.read_part(part, ["path"])["path"].to_pylist()}
        return paths

    def rewritten(self) -> dict[str, Part]:
        """Return the parts that a purge rewrote as they are now, by path."""
        return {part.path: part for commit in self.commits for part in commit.rewritten}

    def map_parallel(self, function: Callable[[S], T], items: Sequence[S]) -> list[T]:
        """Apply `function` to each item in threads, as many as the storage gains from."""
        return _map(function, items, self.storage.max_concurrency)


def _map(function: Callable[[S], T], items: Sequence[S], max_concurrency: int) -> list[T]:
    """Apply `function` to each item in up to `max_concurrency` threads."""
    if max_concurrency == 1 or len(items) < 2:
        return [function(item) for item in items]
    with ThreadPoolExecutor(min(max_concurrency, len(items))) as threads:
        return list(threads.map(function, items))


def _numbers(storage: Storage) -> list[int]:
    return log_summary.commit_numbers(log_summary.list_log(storage))


def _read_entries(
    storage: Storage, first: int, last: int, found: Mapping[str, ObjectInfo] | None = None
) -> list[Commit]:
    """Read entries by number, since a listing taken during commits may lack entries.

    Args:
        found: listing of the log, to read entries from the summaries that match it.
    """
    spans = range(-(-first // log_summary.SPAN), (last + 1) // log_summary.SPAN) if found else range(0)
    firsts = [span * log_summary.SPAN for span in spans]
    texts = _map(
        lambda at: log_summary.read_entries(storage, found or {}, at), firsts, storage.max_concurrency
    )
    known = {
        first_number + offset: text
        for first_number, entries in zip(firsts, texts, strict=True)
        for offset, text in enumerate(entries or ())
    }
    return _map(
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
    rewritten = tuple(Part(**part) for part in entry.pop("rewritten", ()))
    return Commit(added=added, removed=tuple(entry.pop("removed")), rewritten=rewritten, **entry)


def _stamp(commit: Commit, number: int) -> Commit:
    at = datetime.now(UTC).isoformat(timespec="seconds")
    return replace(commit, number=number, at=at, versions=_versions(), id=uuid4().hex)


def _publish(storage: Storage, commit: Commit) -> bool:
    """Create the log entry of `commit`; return False if another writer has its number."""
    entry: dict[str, Any] = {"format": FORMAT, "version": LOG_VERSION, **asdict(commit)}
    if not commit.rewritten:
        entry["version"] = LOG_VERSION - 1
        del entry["rewritten"]
    entry["config"], entry["command"] = redact_values(entry["config"]), redact(entry["command"])
    return storage.put_if_absent(entry_key(commit.number), json.dumps(entry, indent=1, default=str).encode())


def _write_summaries(storage: Storage, newest: int) -> None:
    """Write summaries every `SPAN` commits. They are optional, so an error is ignored."""
    if (newest + 1) % log_summary.SPAN == 0:
        with suppress(OSError, DatasetError):
            log_summary.write_missing(storage, newest)


def _versions() -> dict[str, str]:
    try:
        kinora = version("kinora")
    except PackageNotFoundError:
        kinora = "not installed"
    return {"kinora": kinora, "pyarrow": pa.__version__, "python": platform.python_version()}


def _sample(paths: set[str]) -> str:
    first, *rest = sorted(paths)
    return f"{first} and {len(rest)} more" if rest else first
