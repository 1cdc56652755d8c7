"""The SQLite database that the desk reads from: derived from the dataset, and rebuilt if it is lost.

media          a row for each media that the dataset ever held; `live` if it counts
caption_N      the attempts of caption version N, by media
state          what stands for a live media: the caption that counts, the decision, the reviews
member         the strata of a live media, in the order of their queues
reviews        all rows of the table `reviews`, and those of the journal
texts          full-text index of the texts as they stand now
"""

import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from threading import RLock, get_ident, local
from typing import Any

FORMAT = 4
"""Version of this layout; another one is rebuilt."""
_TABLES = """
    CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
    CREATE TABLE media (
        row INTEGER PRIMARY KEY, media_id TEXT NOT NULL UNIQUE, clip_id TEXT NOT NULL, live INTEGER NOT NULL,
        kind TEXT, source INTEGER, start_s REAL, end_s REAL, window_index INTEGER, num_windows INTEGER,
        path TEXT, offset INTEGER, length INTEGER, extension TEXT, num_frames INTEGER, height INTEGER,
        width INTEGER, fps REAL, duration_s REAL, digest TEXT, bucket TEXT, selection TEXT, margin REAL,
        near TEXT, band TEXT, clip_row INTEGER, scored TEXT, sort INTEGER NOT NULL);
    CREATE INDEX media_by_clip ON media (clip_id);
    CREATE INDEX media_by_source ON media (source, start_s);
    CREATE TABLE sources (source INTEGER PRIMARY KEY, uri TEXT NOT NULL UNIQUE);
    CREATE TABLE copies (keeper TEXT, clip_id TEXT, kind TEXT, detail TEXT, PRIMARY KEY (keeper, clip_id))
        WITHOUT ROWID;
    CREATE TABLE versions (id INTEGER PRIMARY KEY, version TEXT NOT NULL UNIQUE, request INTEGER NOT NULL);
    CREATE TABLE caption_info (id INTEGER PRIMARY KEY, info TEXT NOT NULL UNIQUE);
    CREATE TABLE state (
        row INTEGER PRIMARY KEY, version INTEGER, outcome TEXT NOT NULL, caption_digest TEXT NOT NULL,
        changed INTEGER NOT NULL, failed TEXT NOT NULL, num_reviews INTEGER NOT NULL,
        done INTEGER NOT NULL, verdict TEXT NOT NULL, disagreement INTEGER NOT NULL, stale INTEGER NOT NULL);
    CREATE TABLE strata (
        id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, size INTEGER NOT NULL DEFAULT 0,
        done INTEGER NOT NULL DEFAULT 0);
    CREATE TABLE member (
        stratum INTEGER NOT NULL, sort INTEGER NOT NULL, row INTEGER NOT NULL, done INTEGER NOT NULL,
        PRIMARY KEY (stratum, sort, row)) WITHOUT ROWID;
    CREATE TABLE reviews (
        seq INTEGER PRIMARY KEY, review_id TEXT NOT NULL UNIQUE, row INTEGER, reviewer TEXT NOT NULL,
        verdict TEXT NOT NULL, action TEXT NOT NULL, withdraws TEXT NOT NULL, review TEXT NOT NULL,
        committed INTEGER NOT NULL);
    CREATE INDEX reviews_by_row ON reviews (row);
    CREATE INDEX reviews_by_action ON reviews (action) WHERE action <> '';
    CREATE INDEX reviews_withdrawing ON reviews (withdraws) WHERE withdraws <> '';
    CREATE INDEX reviews_uncommitted ON reviews (committed) WHERE committed = 0;
    CREATE TABLE reviewed_by (reviewer TEXT, row INTEGER, PRIMARY KEY (reviewer, row)) WITHOUT ROWID;
    CREATE TABLE votes (
        row INTEGER, reviewer TEXT, low INTEGER, high INTEGER, winner INTEGER, chosen TEXT,
        PRIMARY KEY (low, high, reviewer, row)) WITHOUT ROWID;
    CREATE TABLE pairs (pair_id TEXT PRIMARY KEY, row INTEGER, reviewer TEXT, left INTEGER, right INTEGER)
        WITHOUT ROWID;
    CREATE TABLE assigned (row INTEGER PRIMARY KEY, reviewer TEXT NOT NULL);
    CREATE TABLE bulk (
        token TEXT, number INTEGER, row INTEGER, saw TEXT, caption_digest TEXT, changes TEXT,
        PRIMARY KEY (token, number)) WITHOUT ROWID;
    CREATE TABLE bulk_edits (number INTEGER PRIMARY KEY, token TEXT NOT NULL UNIQUE, edit TEXT NOT NULL);
    CREATE TABLE filters (id INTEGER PRIMARY KEY, condition TEXT NOT NULL UNIQUE, generation INTEGER);
    CREATE TABLE filtered (filter INTEGER, row INTEGER, PRIMARY KEY (filter, row)) WITHOUT ROWID;
    CREATE VIRTUAL TABLE texts USING fts5 (text, tokenize = "unicode61 remove_diacritics 2");
"""
MEDIA_COLUMNS = (
    "clip_id",
    "kind",
    "source",
    "start_s",
    "end_s",
    "window_index",
    "num_windows",
    "path",
    "offset",
    "length",
    "extension",
    "num_frames",
    "height",
    "width",
    "fps",
    "duration_s",
    "digest",
    "bucket",
    "selection",
    "margin",
    "near",
    "band",
    "clip_row",
    "scored",
)
"""Columns of `media` that come from the dataset, but for its key."""
MEMBER_INDEX = "CREATE INDEX IF NOT EXISTS member_by_done ON member (stratum, done, sort, row)"
_MEDIA_INDEX = "CREATE INDEX IF NOT EXISTS member_by_row ON member (row)"
_SETTINGS = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = NORMAL",  # what a power cut takes is read again from journal and dataset
    "PRAGMA wal_autocheckpoint = 8000",  # pages: decisions do not wait for one, see `checkpoint`
    "PRAGMA temp_store = FILE",
    "PRAGMA busy_timeout = 30000",
)
_WRITER_CACHE_KB, _READER_CACHE_KB = 65_536, 4_096
"""Pages that a connection keeps. Each thread of a server has a reader."""


class DatabaseError(OSError):
    """The database could not be written. It holds no record, so nothing is lost."""


class Database:
    """One connection for writing, and one for each thread for reading."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lock = RLock()
        """Held while anything is written."""
        self._local = local()
        self._readers: list[sqlite3.Connection] = []
        self._owner = 0
        self.changes = 0
        """Transactions so far."""
        self.match_counts: dict[str, tuple[int, int]] = {}
        """By expression of a search: `changes` before its matches were counted, and their number."""
        self.writer = self._connect(_WRITER_CACHE_KB)

    def close(self) -> None:
        """Close all connections."""
        with self.lock:
            for connection in (*self._readers, self.writer):
                connection.close()
            self._readers.clear()

    def read(self, sql: str, *values: object) -> list[Any]:
        """Return the rows of a query; inside a transaction of this thread, with what it wrote."""
        if self._owner == get_ident():
            return self.writer.execute(sql, values).fetchall()
        if not hasattr(self._local, "reader"):
            self._local.reader = self._connect(_READER_CACHE_KB)
            with self.lock:
                self._readers.append(self._local.reader)
        return self._local.reader.execute(sql, values).fetchall()

    @contextmanager
    def transaction(self) -> Generator[sqlite3.Connection]:
        """Write: all of the block or, after an exception, nothing of it. The outermost counts."""
        with self.lock:
            if self._owner:
                yield self.writer
                return
            self.writer.execute("BEGIN IMMEDIATE")
            self._owner = get_ident()
            try:
                yield self.writer
                self.writer.execute("COMMIT")
                self.changes += 1  # when readers see what was written
            except BaseException as error:
                if self.writer.in_transaction:
                    self.writer.execute("ROLLBACK")
                if isinstance(error, sqlite3.OperationalError):
                    raise DatabaseError(
                        f"{self.path}: cannot be written ({error}); make room there or repair the disk. "
                        "Recorded decisions are safe: the journal of the dataset holds them"
                    ) from error
                raise
            finally:
                self._owner = 0

    def checkpoint(self) -> None:
        """Move what was written from the log of changes into the file, while others read and write."""
        connection = self._connect(_READER_CACHE_KB)
        try:
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
        finally:
            connection.close()

    def get(self, key: str) -> Any:
        """Return a value of `meta`; None if there is none."""
        rows = self.read("SELECT value FROM meta WHERE key = ?", key)
        return rows[0][0] if rows else None

    def set(self, **values: object) -> None:
        """Store values in `meta`."""
        with self.transaction() as connection:
            connection.executemany("REPLACE INTO meta VALUES (?, ?)", values.items())

    def create(self) -> None:
        """Create the tables in an empty database."""
        self.writer.executescript(_TABLES)

    def create_member_indexes(self) -> None:
        """Create the indexes of `member`, which a build fills first."""
        with self.transaction() as connection:
            connection.execute(MEMBER_INDEX)
            connection.execute(_MEDIA_INDEX)

    def _connect(self, cache_kb: int) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, check_same_thread=False, isolation_level=None)
        connection.execute(f"PRAGMA cache_size = -{cache_kb}")
        for setting in _SETTINGS:
            connection.execute(setting)
        return connection
