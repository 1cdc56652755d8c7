"""What counts now: the newest analysis of each source, the newest selection, media and caption of each clip.

Tables only grow; these pick the rows that a reader means. All are pure: tables in, tables out.

Which rows count is decided on key columns alone, in DuckDB; the columns that a reader asks for are then
filtered by that. So a look at a million clips costs the columns looked at, and no Python object a row.
"""

from collections.abc import Callable, Iterable, Sequence, Set
from functools import cached_property
from typing import Literal

import numpy as np
import pyarrow as pa

from manifests.arrow import pc
from manifests.dataset import Dataset
from manifests.parts import TableName
from manifests.sql import connect

THUMBNAIL = "thumbnail"
LARGE_COLUMNS = (THUMBNAIL, "frame_hashes", "frame_looks", "embedding")
"""Score columns that are large: left out of everything that does not ask for them by name."""
COMMIT_COLUMN = "_commit"
"""A column that every view has for who asks for it by name: the number of the commit that a row came with."""

View = Literal[
    "sources",
    "clip_occurrences",
    "clips",
    "gaps",
    "selections",
    "duplicates",
    "media",
    "captions",
    "failures",
]

_TABLES: dict[View, TableName] = {
    "sources": "sources",
    "clip_occurrences": "clips",
    "clips": "clips",
    "gaps": "gaps",
    "selections": "selections",
    "duplicates": "duplicates",
    "media": "media",
    "captions": "captions",
    "failures": "failures",
}
_KEYS: dict[str, tuple[str, ...]] = {
    "sources": ("uri", "source_key", "analysis", "status"),
    "clips": ("clip_id", "source_key", "analysis"),
    "gaps": ("source_key", "start_pts", "analysis"),
    "selections": ("clip_id", "kept"),
    "duplicates": ("clip_id",),
    "media": ("clip_id", "media_id"),
    "captions": ("media_id", "version", "outcome"),
    "failures": ("stage", "unit", "config"),
}
"""By table, the columns that tell which rows count."""
_RESTS_ON: dict[View, set[str]] = {
    "sources": {"sources"},
    "clip_occurrences": {"sources", "clips"},
    "clips": {"sources", "clips"},
    "gaps": {"sources", "gaps"},
    "selections": {"sources", "clips", "selections"},
    "duplicates": {"sources", "clips", "duplicates"},
    "media": {"sources", "clips", "selections", "media"},
    "captions": {"sources", "clips", "selections", "media", "captions"},
    "failures": {"sources", "clips", "selections", "media", "captions", "failures"},
}
"""By view, the tables that decide which of its rows count."""
_STILL_FAILED: dict[str, tuple[str, dict[str, tuple[View, list[str]]]]] = {
    "analyze": (
        "SEMI JOIN s ON n.unit = s.source_key AND s.status = 'failed'",
        {"s": ("sources", ["source_key", "status"])},
    ),
    "cut": (
        "SEMI JOIN d ON n.unit = d.clip_id AND d.kept ANTI JOIN m ON n.unit = m.clip_id",
        {"d": ("selections", ["clip_id", "kept"]), "m": ("media", ["clip_id"])},
    ),
    "caption": (
        "SEMI JOIN c ON n.unit = c.media_id AND c.outcome <> 'ok'",
        {"c": ("captions", ["media_id", "outcome"])},
    ),
    "score ": (
        "SEMI JOIN k ON n.unit = k.clip_id AND n.config = k.analysis AND n._commit >= k._commit",
        {"k": ("clips", ["clip_id", "analysis", COMMIT_COLUMN])},
    ),
}
"""By the beginning of a stage's name, which of its failures count, and what that rests on."""


class LiveView:
    """The rows that count in one dataset as of its newest commit; each column is read once.

    The properties give whole rows, which suits datasets that fit; `read` gives some columns.
    """

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset
        self._connection = connect()
        self._held: dict[TableName, pa.Table] = {}
        self._added: dict[TableName, pa.Table] = {}
        self._columns: dict[TableName, list[str]] = {}
        self._derived = False
        self._counting: dict[tuple[View, str | None], pa.Array | None] = {}

    def read(
        self,
        view: View,
        columns: Sequence[str] | None = None,
        *,
        version: str | None = None,
        stage: str | None = None,
    ) -> pa.Table:
        """Return some columns of the rows that count, in the order they were committed.

        Args:
            view: which rows: those of the property of that name.
            columns: all but `LARGE_COLUMNS` by default. Those that no part has are left out.
            version: of `captions`, those of this version.
            stage: of `failures`, those of this stage.
        """
        table = _TABLES[view]
        names = [*columns] if columns is not None else self._names(table)
        self._hold(table, names)
        mask = self._mask(view, version or stage)
        held = self._held[table]
        rows = held.select([name for name in names if name in held.column_names])
        return rows if mask is None else rows.filter(mask)

    def columns(self, table: TableName) -> list[str]:
        """Return `Dataset.columns`, looked up once."""
        if table not in self._columns:
            self._columns[table] = self.dataset.columns(table)
        return self._columns[table]

    def row_indices(self, view: View) -> np.ndarray:
        """Return where each row of `read` lies, counted over all rows of the table's parts, oldest first."""
        mask = self._mask(view, None)
        return np.arange(len(self._held[_TABLES[view]])) if mask is None else np.flatnonzero(mask)

    def advanced_to(self, dataset: Dataset) -> "LiveView":
        """Return the rows that count in `dataset`, the same one at a later commit. Of the columns held here
        only what is new is read."""
        newer = Dataset(dataset.storage, dataset.commits[len(self.dataset.commits) :])
        if newer.removed() or self._added or self._derived:
            return LiveView(dataset)
        changed: list[TableName] = [table for table in self._held if newer.parts(table)]
        then = self._but(dataset, {*changed})
        for table in changed:
            names = [name for name in self._held[table].column_names if name != COMMIT_COLUMN]
            new = newer.read(table, names).append_column(COMMIT_COLUMN, pa.array(_commits(newer, table)))
            then._held[table] = pa.concat_tables([self._held[table], new], promote_options="default")
        return then

    def with_rows(self, table: TableName, rows: pa.Table) -> "LiveView":
        """Return the rows that would count if `rows` were committed to `table` too. Writes nothing."""
        if not len(rows):
            return self
        then = self._but(self.dataset, {table})
        before = [self._added[table]] if table in self._added else []
        then._added = {**self._added, table: pa.concat_tables([*before, rows])}
        return then

    def _but(self, dataset: Dataset, changed: Set[str]) -> "LiveView":
        then = LiveView(dataset)
        then._held = {table: rows for table, rows in self._held.items() if table not in changed}
        then._columns = {table: names for table, names in self._columns.items() if table not in changed}
        then._counting = {
            key: rows for key, rows in self._counting.items() if not _RESTS_ON[key[0]] & changed
        }
        return then

    def derive(
        self, table: TableName, name: str, needs: Sequence[str], make: Callable[[pa.Table], pa.Array]
    ) -> None:
        """Make a column that `read` then knows, part by part: what it `needs` is never held whole."""
        self._hold(table, ())
        column = self.dataset.read(table, needs, lambda part: pa.table({name: make(part)}))[name]
        self._held[table] = self._held[table].append_column(name, column)
        self._derived = True

    @cached_property
    def sources(self) -> pa.Table:
        """The newest attempt at each path: a file that was replaced or repaired counts as it is now."""
        return self.read("sources")

    @cached_property
    def clip_occurrences(self) -> pa.Table:
        """Every clip of every source that counts: two equal files share clip ids, each with its rows."""
        return self.read("clip_occurrences")

    @cached_property
    def clips(self) -> pa.Table:
        """The clips, with their scores, that the newest good analysis of each source found.

        A clip of several equal files is there once.
        """
        return self.read("clips")

    @cached_property
    def gaps(self) -> pa.Table:
        """The spans that became no clip, for the newest analysis of each source."""
        return self.read("gaps")

    @cached_property
    def selections(self) -> pa.Table:
        """The newest decision on each clip."""
        return self.read("selections")

    @cached_property
    def duplicates(self) -> pa.Table:
        """The newest decision on whether each clip is a copy of another, whatever configuration made it."""
        return self.read("duplicates")

    @cached_property
    def media(self) -> pa.Table:
        """The newest media of each clip that is kept."""
        return self.read("media")

    def captions(self, version: str | None = None) -> pa.Table:
        """One caption attempt for each media: the newest, or that of `version`."""
        return self.read("captions", version=version)

    @cached_property
    def failures(self) -> pa.Table:
        """The newest failure of each unit that still counts and has not succeeded since."""
        return self.read("failures")

    def query(self, sql: str, **tables: pa.Table) -> pa.Table:
        """Return what `sql` makes of `tables`."""
        for name, table in tables.items():
            self._connection.register(name, table)
        try:
            return self._connection.sql(sql).to_arrow_table()
        finally:
            for name in tables:
                self._connection.unregister(name)

    def _names(self, table: TableName) -> list[str]:
        return [name for name in self.columns(table) if name not in LARGE_COLUMNS]

    def _hold(self, table: TableName, names: Sequence[str]) -> None:
        """Read the columns that are not held yet."""
        held = self._held.get(table)
        wanted = dict.fromkeys((*_KEYS[table], *names))
        if held is None:
            rows = self._all_rows(table, [*wanted])
            added = len(self._added.get(table, ()))
            commits_N = np.append(_commits(self.dataset, table), np.full(added, self.dataset.number + 1))
            self._held[table] = rows.append_column(COMMIT_COLUMN, pa.array(commits_N))
            return
        missing = [name for name in wanted if name not in held.column_names]
        fresh = self._all_rows(table, missing) if missing else held.select([])
        for name in fresh.column_names:
            held = held.append_column(name, fresh[name])
        self._held[table] = held

    def _all_rows(self, table: TableName, columns: Sequence[str]) -> pa.Table:
        rows = self.dataset.read(table, columns)
        if table not in self._added:
            return rows
        return pa.concat_tables([rows, self._added[table].select(rows.column_names)])

    def _mask(self, view: View, only: str | None) -> pa.Array | None:
        """Return which rows of the table count; None for all of them."""
        if (view, only) not in self._counting:
            self._hold(_TABLES[view], ())
            total = self._held[_TABLES[view]].num_rows
            rows = self._rows(view, only)["_row"].to_numpy() if total else np.zeros(0, np.int64)
            mask = np.zeros(total, bool)
            mask[rows] = True
            self._counting[view, only] = None if len(rows) == total else pa.array(mask)
        return self._counting[view, only]

    def _rows(self, view: View, only: str | None) -> pa.Table:
        """Return the numbers of the rows that count: of equal keys the last one, where it still matters."""
        match view:
            case "sources":
                return self.query("SELECT max(_row) AS _row FROM t GROUP BY uri", t=self._numbered("sources"))
            case "clip_occurrences" | "clips" | "gaps":
                keys = {
                    "clip_occurrences": "clip_id, source_key, analysis",
                    "clips": "clip_id",
                    "gaps": "source_key, start_pts, analysis",
                }
                sql = f"""
                    SELECT max(t._row) AS _row FROM t
                    SEMI JOIN s ON t.source_key = s.source_key AND t.analysis = s.analysis AND s.status = 'ok'
                        AND t._commit >= s._commit
                    GROUP BY {keys[view]}"""
                good = self.read("sources", ["source_key", "analysis", "status", COMMIT_COLUMN])
                return self.query(sql, t=self._numbered(_TABLES[view]), s=good)
            case "selections":
                of = self.read("clips", ["clip_id"])
                return self._newest_of("selections", "clip_id", of)
            case "duplicates":
                return self._newest_of("duplicates", "clip_id", self.read("clips", ["clip_id"]))
            case "media":
                of = self.read("selections", ["clip_id", "kept"])
                return self._newest_of("media", "clip_id", of.filter(of["kept"]))
            case "captions":
                of = self.read("media", ["media_id"])
                return self._newest_of("captions", "media_id", of, only)
            case "failures":
                return self._failed(only)

    def _numbered(self, table: TableName) -> pa.Table:
        """Return the key columns of all rows, with the number of each."""
        rows = self._held[table].select((*_KEYS[table], COMMIT_COLUMN))
        return rows.append_column("_row", pa.array(np.arange(rows.num_rows)))

    def _newest_of(self, table: TableName, key: str, of: pa.Table, version: str | None = None) -> pa.Table:
        sql = f"SELECT max(t._row) AS _row FROM t SEMI JOIN o USING ({key}) GROUP BY {key}"
        rows = self._numbered(table)
        if version is not None:
            rows = self.query(f"SELECT * FROM t WHERE version = {_quoted(version)}", t=rows)
        return self.query(sql, t=rows, o=of)

    def _failed(self, stage: str | None) -> pa.Table:
        newest = self.query(
            "SELECT stage, unit, arg_max(config, _row) AS config, max(_row) AS _row, max(_commit) AS _commit"
            " FROM f GROUP BY ALL",
            f=self._numbered("failures"),
        )
        arms, tables = list[str](), {"n": newest}
        for name, (sql, needs) in _STILL_FAILED.items():
            if stage is None or stage.startswith(name):
                arms.append(f"SELECT n._row FROM n {sql} WHERE n.stage LIKE '{name}%'")
                tables |= {alias: self.read(view, columns) for alias, (view, columns) in needs.items()}
        return self.query(" UNION ALL ".join(arms), **tables)


def _commits(dataset: Dataset, table: TableName) -> np.ndarray:
    """Return the number of the commit of each row."""
    counting = {part.path for part in dataset.parts(table)}
    rows = [
        (commit.number, part.rows)
        for commit in dataset.commits
        for part in commit.added
        if part.path in counting
    ]
    return np.repeat(*np.array(rows, np.int64).reshape(-1, 2).T)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def thumbnails(dataset: Dataset, clip_ids: Iterable[str]) -> dict[str, bytes]:
    """Return the representative frames of some clips, as JPEGs, by clip id; a clip may have none.

    Reads the pictures of those parts alone that hold one of the clips.
    """
    wanted, found = set(clip_ids), dict[str, bytes]()
    for part in reversed(dataset.parts("clips")):  # the newest analysis of a clip counts
        if not wanted:
            break
        one_of = pc.field("clip_id").isin(sorted(wanted))
        if not dataset.read_part(part, ["clip_id"]).filter(one_of).num_rows:
            continue
        rows = dataset.read_part(part, ["clip_id", THUMBNAIL]).filter(one_of).to_pylist()
        found |= {row["clip_id"]: row[THUMBNAIL] for row in rows if row.get(THUMBNAIL)}
        wanted -= found.keys()
    return found
