"""A dataset: immutable Parquet parts, and a log whose entries are the only thing that makes a part count.

    sources/ clips/ gaps/ selections/ captions/ reviews/ failures/   Parquet parts
    media/                                                          tars of cut clips, with Parquet indexes
    _log/0000000N.json                                              one commit each

A writer puts its parts first and the log entry last; the entry is created by link-or-fail, so readers
see all of a commit or nothing, and of two writers that race for one number exactly one wins.
"""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq

from manifests import records, schemas

Table = Literal["sources", "clips", "gaps", "selections", "media", "captions", "reviews", "failures"]

RECORDS: Mapping[str, type] = {
    "sources": records.SourceRow,
    "clips": records.Clip,
    "gaps": records.Gap,
    "selections": records.Selection,
    "media": records.Media,
    "captions": records.Caption,
    "reviews": records.Review,
    "failures": records.Failure,
}
FORMAT = "kinora-dataset"


class DatasetError(ValueError):
    """The folder is no dataset, holds something else, or was changed by another writer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """One immutable file of rows."""

    table: str
    path: str
    """Relative to the dataset."""
    rows: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Commit:
    """One entry of the log: what a step added and removed, under which configuration, and what it counted."""

    stage: str
    added: tuple[Part, ...] = ()
    removed: tuple[str, ...] = ()
    """Paths of parts that no longer count (they stay on disk, for readers of the past)."""
    config: Mapping[str, Any] = field(default_factory=dict)
    config_digest: str = ""
    counts: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    number: int = -1
    at: str = ""


class Dataset:
    """A dataset as of its newest commit, or of commit `at`."""

    def __init__(self, root: Path, commits: Sequence[Commit]) -> None:
        self.root, self.commits = root, tuple(commits)

    @classmethod
    def create(cls, uri: str | Path) -> "Dataset":
        """Open the dataset at `uri`, making an empty one where there is nothing yet.

        Raises DatasetError when `uri` is a file, or a folder that holds anything else.
        """
        root = _local(uri)
        _refuse_foreign(root)
        if not _entries(root):
            (root / "_log").mkdir(parents=True, exist_ok=True)
            _publish(root, Commit(stage="create", number=0, at=_now()))
        return cls.open(root)

    @classmethod
    def find(cls, uri: str | Path) -> "Dataset | None":
        """Open the dataset at `uri`, or return None where there is nothing yet. Writes nothing.

        Raises DatasetError when `uri` holds anything else.
        """
        root = _local(uri)
        _refuse_foreign(root)
        return cls.open(root) if _entries(root) else None

    @classmethod
    def open(cls, uri: str | Path, *, at: int | None = None) -> "Dataset":
        """Open an existing dataset. Raises DatasetError when there is none, or no commit `at`."""
        root = _local(uri)
        numbers = _entries(root)
        if not numbers:
            raise DatasetError(
                f"{root}: no dataset here (no _log/). `kinora curate --source … --dataset {root}` makes one"
            )
        if at is not None and at not in numbers:
            raise DatasetError(f"{root}: no commit {at}; the newest is {numbers[-1]}")
        return cls(root, [_read_entry(root, n) for n in numbers if at is None or n <= at])

    def refresh(self) -> "Dataset":
        """Return the dataset as of its newest commit."""
        return self.open(self.root)

    @property
    def number(self) -> int:
        """Number of the newest commit seen."""
        return self.commits[-1].number

    def parts(self, table: Table) -> list[Part]:
        """Return the parts of `table` that count, oldest first."""
        removed = {path for commit in self.commits for path in commit.removed}
        return [
            part
            for commit in self.commits
            for part in commit.added
            if part.table == table and part.path not in removed
        ]

    def read(self, table: Table, columns: Sequence[str] | None = None) -> pa.Table:
        """Return all rows of `table`, in the order they were committed; empty where there are none.

        Score columns that some parts lack are null there.
        """
        tables = [pq.ParquetFile(self.root / part.path).read(columns=columns) for part in self.parts(table)]
        if not tables:
            empty = schemas.schema(RECORDS[table]).empty_table()
            return empty if columns is None else empty.select([c for c in columns if c in empty.column_names])
        return pa.concat_tables([t.replace_schema_metadata(None) for t in tables], promote_options="default")

    def columns(self, table: Table) -> list[str]:
        """Return the names of all columns that any part of `table` has, those of its record first."""
        names = dict.fromkeys(schemas.schema(RECORDS[table]).names)
        for part in self.parts(table):
            names |= dict.fromkeys(pq.read_schema(self.root / part.path).names)
        return list(names)

    def records(self, table: Table) -> list[Any]:
        """Return all rows of `table` as records, without their score columns."""
        return schemas.from_table(RECORDS[table], self.read(table))

    def put(self, table: Table, rows: pa.Table) -> Part:
        """Write `rows` as a new part; it counts only once a commit names it.

        Raises ValueError when a column of the table's record is missing.
        """
        wanted = schemas.schema(RECORDS[table])
        if missing := [name for name in wanted.names if name not in rows.column_names]:
            raise ValueError(f"{table}: the part lacks the column(s) {', '.join(missing)}")
        extra = [rows.schema.field(name) for name in rows.column_names if name not in wanted.names]
        full = pa.schema([*wanted, *extra], metadata=wanted.metadata)
        path = Path(table) / f"part-{uuid4().hex}.parquet"
        (self.root / table).mkdir(exist_ok=True)
        _write_whole(self.root / path, lambda out: pq.write_table(rows.select(full.names).cast(full), out))
        return Part(table=table, path=path.as_posix(), rows=rows.num_rows)

    def put_records(self, table: Table, rows: Iterable[Any]) -> Part:
        """Write records as a new part of `table`."""
        return self.put(table, schemas.to_table(RECORDS[table], rows))

    def commit(self, commit: Commit) -> "Dataset":
        """Publish `commit` as the next entry of the log and return the dataset that includes it.

        Raises DatasetError when another writer published that number first: nothing of this commit
        counts then; open the dataset anew and decide again.
        """
        numbered = Commit(
            **{**_shallow(commit), "number": self.number + 1, "at": _now()}  # type: ignore[arg-type]
        )
        _publish(self.root, numbered)
        return Dataset(self.root, [*self.commits, numbered])


def _local(uri: str | Path) -> Path:
    text = str(uri)
    if "://" in text and not text.startswith("file://"):
        raise DatasetError(f"{text}: only local folders can hold a dataset so far; name a path")
    return Path(text.removeprefix("file://"))


def _refuse_foreign(root: Path) -> None:
    if root.exists() and not root.is_dir():
        raise DatasetError(f"{root}: is a file; name a folder for the dataset")
    if root.is_dir() and any(root.iterdir()) and not (root / "_log").is_dir():
        raise DatasetError(
            f"{root}: the folder already holds something that is not a Kinora dataset; "
            "nothing was written. Name an empty or new folder"
        )


def _entries(root: Path) -> list[int]:
    log = root / "_log"
    return sorted(int(path.stem) for path in log.glob("[0-9]*.json")) if log.is_dir() else []


def _read_entry(root: Path, number: int) -> Commit:
    path = root / "_log" / f"{number:08d}.json"
    try:
        entry = json.loads(path.read_text())
    except json.JSONDecodeError as error:
        raise DatasetError(f"{path}: not a log entry ({error}); restore it from a copy") from error
    if entry.pop("format", None) != FORMAT or entry.pop("version", 0) > schemas.VERSION:
        raise DatasetError(f"{path}: not a log entry of this version of Kinora; upgrade to read it")
    added = tuple(Part(**part) for part in entry.pop("added"))
    return Commit(added=added, removed=tuple(entry.pop("removed")), **entry)


def _publish(root: Path, commit: Commit) -> None:
    entry = {"format": FORMAT, "version": schemas.VERSION, **asdict(commit)}
    log = root / "_log"
    partial = log / f".{uuid4().hex}.partial"
    try:
        with partial.open("x") as out:
            out.write(json.dumps(entry, indent=1, default=str))
            out.flush()
            os.fsync(out.fileno())
        os.link(partial, log / f"{commit.number:08d}.json")
    except FileExistsError:
        raise DatasetError(
            f"{root}: another writer made commit {commit.number} first; nothing of this one counts. Run again"
        ) from None
    finally:
        partial.unlink(missing_ok=True)


def _write_whole(path: Path, write: Any) -> None:
    """Write a file under another name, flush it to disk, then give it its name."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        write(str(partial))
        with partial.open("rb") as written:
            os.fsync(written.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _shallow(commit: Commit) -> dict[str, Any]:
    return {name: getattr(commit, name) for name in Commit.__slots__}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
