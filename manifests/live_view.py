"""Live rows: the newest analysis of each source, the newest selection and media of each clip, its caption.

Tables are append-only. The live rows are found from the key columns alone; the requested columns are then
filtered by a mask, without a Python object per row.
"""
# pyarrow and DuckDB have no complete types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false, reportUnknownLambdaType=false

from collections.abc import Callable, Sequence, Set
from functools import cached_property

import duckdb
import numpy as np
import pyarrow as pa

from manifests import caption_order
from manifests.arrow import combine
from manifests.dataset import Dataset
from manifests.live_failures import STILL_FAILED
from manifests.newest_rows import (
    first_rows,
    is_among,
    key_codes,
    last_rows,
    made_by,
    newest_analyses,
    newest_cuts,
    newest_sources,
)
from manifests.parts import TableName
from manifests.row_commits import commit_numbers
from manifests.scores import STAGES, are_scores, plain_names, requests, score_columns, with_scores
from manifests.sql import connect
from manifests.view_tables import DEPENDS_ON, KEYS, LIVE_KEYS, TABLES, ViewName

THUMBNAIL = "thumbnail"
LARGE_COLUMNS = (THUMBNAIL, "frame_hashes", "frame_looks", "embedding")
"""Large score columns, read only when requested by name."""
COMMIT_COLUMN = "_commit"
"""Column with the number of the commit that added a row; available in every view when requested by name."""


class LiveView:
    """The live rows of one dataset snapshot; each column is read once.

    The properties return whole rows, for datasets that fit in memory; `read` returns selected columns.
    """

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset
        self._loaded: dict[TableName, pa.Table] = {}
        self._added: dict[TableName, pa.Table] = {}
        self._columns: dict[TableName, list[str]] = {}
        self._derived = False
        self._codes: caption_order.CaptionCodes | None = None
        self._masks: dict[tuple[ViewName, str | None], pa.Array | None] = {}
        self.scorer_requests = requests(dataset.commits)
        """The scorers whose columns the clips have, by name."""

    def read(
        self,
        view: ViewName,
        columns: Sequence[str] | None = None,
        *,
        version: str | None = None,
        stage: str | None = None,
    ) -> pa.Table:
        """Return columns of the live rows of a view, in commit order.

        Args:
            view: name of the property that describes the rows.
            columns: all but `LARGE_COLUMNS` by default; those that no part has are omitted. Clips also have
                the columns of the scores that count (`manifests.scores`).
            version: caption version, for `captions`.
            stage: stage name, for `failures`.
        """
        table = TABLES[view]
        names = [*columns] if columns is not None else self._names(table)
        if table == "clips" and are_scores(names, self.scorer_requests):
            self.columns(table)
            plain = plain_names(names, [*self._columns[table], COMMIT_COLUMN], self.scorer_requests)
            clips = self._read(view, [*dict.fromkeys((*KEYS[table], *plain))], None)
            scores = self._read("scores", [*dict.fromkeys((*KEYS["scores"], *names))], None)
            return with_scores(clips, names, scores, self.scorer_requests)
        return self._read(view, names, stage if version is None else version)

    def _read(self, view: ViewName, names: Sequence[str], subset: str | None) -> pa.Table:
        table = TABLES[view]
        self._load(table, names)
        mask = self._mask(view, subset)
        loaded = self._loaded[table]
        rows = loaded.select([name for name in names if name in loaded.column_names])
        return rows if mask is None else rows.filter(mask)

    def columns(self, table: TableName) -> list[str]:
        """Return `Dataset.columns`, cached; of the clips also the columns of scores."""
        if table not in self._columns:
            self._columns[table] = self.dataset.columns(table)
        scored = score_columns(self.scorer_requests) if table == "clips" else []
        return [*dict.fromkeys([*self._columns[table], *scored])]

    def row_indices(self, view: ViewName, version: str | None = None) -> np.ndarray:
        """Return the index of each row of `read` among all rows of the table."""
        mask = self._mask(view, version)
        return np.arange(len(self._loaded[TABLES[view]])) if mask is None else np.flatnonzero(mask)

    def advanced_to(self, dataset: Dataset) -> "LiveView":
        """Return the view of `dataset`, a later snapshot; reads only the new rows of the loaded columns."""
        newer = Dataset(dataset.storage, dataset.commits[len(self.dataset.commits) :])
        if newer.removed() or newer.parts("removals") or self._added or self._derived:
            return LiveView(dataset)
        changed: list[TableName] = [table for table in self._loaded if newer.parts(table)]
        new_view = self._copy_without(dataset, {*changed})
        stages = {commit.stage for commit in newer.commits}
        if "caption" in stages:  # may change which caption counts
            new_view._forget_masks({"captions"})
        if stages & {*STAGES}:  # may change which scores count
            new_view._forget_masks({"scores"})
        for table in changed:
            names = [name for name in self._loaded[table].column_names if name != COMMIT_COLUMN]
            new = newer.read(table, names).append_column(
                COMMIT_COLUMN, pa.array(commit_numbers(newer, table))
            )
            new_view._loaded[table] = pa.concat_tables([self._loaded[table], new], promote_options="default")
        return new_view

    def with_rows(self, table: TableName, rows: pa.Table) -> "LiveView":
        """Return the view as if `rows` were committed to `table`. Writes nothing."""
        if not len(rows):
            return self
        new_view = self._copy_without(self.dataset, {table})
        before = [self._added[table]] if table in self._added else []
        new_view._added = {**self._added, table: pa.concat_tables([*before, rows])}
        return new_view

    def _copy_without(self, dataset: Dataset, changed: Set[str]) -> "LiveView":
        new_view = LiveView(dataset)
        new_view._loaded = {table: rows for table, rows in self._loaded.items() if table not in changed}
        new_view._columns = {table: names for table, names in self._columns.items() if table not in changed}
        new_view._masks = self._masks
        new_view._forget_masks(changed)
        return new_view

    def _forget_masks(self, changed: Set[str]) -> None:
        self._masks = {key: mask for key, mask in self._masks.items() if not DEPENDS_ON[key[0]] & changed}

    def derive(
        self, table: TableName, name: str, inputs: Sequence[str], compute: Callable[[pa.Table], pa.Array]
    ) -> None:
        """Add a column computed part by part from `inputs`, which are never loaded whole in memory."""
        self._load(table, ())
        column = self.dataset.read(table, inputs, lambda part: pa.table({name: compute(part)}))
        self._loaded[table] = self._loaded[table].append_column(name, column[name])
        self._derived = True

    @cached_property
    def sources(self) -> pa.Table:
        """The newest analysis attempt for each URI."""
        return self.read("sources")

    @cached_property
    def clip_occurrences(self) -> pa.Table:
        """The clips of every live source; identical files repeat the same clip ids."""
        return self.read("clip_occurrences")

    @cached_property
    def clips(self) -> pa.Table:
        """The clips with their scores, from the newest successful analysis of each source; unique ids."""
        return self.read("clips")

    @cached_property
    def gaps(self) -> pa.Table:
        """The spans without a clip, from the newest successful analysis of each source."""
        return self.read("gaps")

    @cached_property
    def selections(self) -> pa.Table:
        """The newest selection of each clip."""
        return self.read("selections")

    @cached_property
    def duplicates(self) -> pa.Table:
        """The newest dedup decision for each clip, under any configuration."""
        return self.read("duplicates")

    @cached_property
    def media(self) -> pa.Table:
        """The media of the newest cut of each kept clip: one, or one for each window."""
        return self.read("media")

    def captions(self, version: str | None = None) -> pa.Table:
        """The caption that counts for each media (manifests/caption_order.py), or that of `version`.

        `caption_attempts` has that of each media and version; `newest_attempts` the newest, OK or not.
        """
        return self.read("captions", version=version)

    def caption_requests(self) -> dict[str, int]:
        """Return the number of the commit that last asked for each caption version."""
        self._load("captions", ())
        rows = self._loaded["captions"].group_by("version").aggregate([(COMMIT_COLUMN, "max")])
        newest = dict(zip(*(column.to_pylist() for column in rows.columns), strict=True))
        return caption_order.latest_requests(newest, self.dataset.commits)

    @cached_property
    def reviews(self) -> pa.Table:
        """The reviews, in order and each once; `manifests.review.decisions` says which stand."""
        return self.read("reviews")

    @cached_property
    def failures(self) -> pa.Table:
        """The newest failure of each live unit that has not succeeded since."""
        return self.read("failures")

    @cached_property
    def _connection(self) -> duckdb.DuckDBPyConnection:
        return connect()

    def query(self, sql: str, **tables: pa.Table) -> pa.Table:
        """Run `sql` over `tables`, registered under their keyword names."""
        for name, table in tables.items():
            self._connection.register(name, table)
        try:
            return self._connection.sql(sql).to_arrow_table()
        finally:
            for name in tables:
                self._connection.unregister(name)

    def _names(self, table: TableName) -> list[str]:
        return [name for name in self.columns(table) if name not in LARGE_COLUMNS]

    def _load(self, table: TableName, names: Sequence[str]) -> None:
        """Read the key columns and `names`, except those already loaded."""
        loaded = self._loaded.get(table)
        wanted = dict.fromkeys((*KEYS[table], *names))
        if loaded is None:
            rows = self._all_rows(table, [*wanted])
            added = len(self._added.get(table, ()))
            commits_N = np.append(self._commit_numbers(table), np.full(added, self.dataset.number + 1))
            self._loaded[table] = rows.append_column(COMMIT_COLUMN, pa.array(commits_N))
            return
        missing = [name for name in wanted if name not in loaded.column_names]
        key = KEYS[table][0]  # counts the rows of parts that have none of the others
        new = self._all_rows(table, [key, *missing]).drop_columns([key]) if missing else loaded.select([])
        for name in new.column_names:
            loaded = loaded.append_column(name, new[name])
        self._loaded[table] = loaded

    def _commit_numbers(self, table: TableName) -> np.ndarray:
        return commit_numbers(self.dataset, table)

    def _all_rows(self, table: TableName, columns: Sequence[str]) -> pa.Table:
        rows = self.dataset.read(table, columns)
        if table not in self._added:
            return rows
        return pa.concat_tables([rows, self._added[table].select(rows.column_names)])

    def _mask(self, view: ViewName, subset: str | None) -> pa.Array | None:
        """Return the mask of live rows in the table; None if all are live."""
        if (view, subset) not in self._masks:
            self._load(TABLES[view], ())
            total = self._loaded[TABLES[view]].num_rows
            rows = self._rows(view, subset) if total else np.zeros(0, np.int64)
            mask = np.zeros(total, bool)
            mask[rows] = True
            self._masks[view, subset] = None if len(rows) == total else pa.array(mask)
        return self._masks[view, subset]

    def _rows(self, view: ViewName, subset: str | None) -> np.ndarray:
        """Return the indices of the live rows: the newest of each key."""
        table = TABLES[view]
        match view:
            case "sources":
                removals = self.read("removals", KEYS["removals"])
                if removals.num_rows:
                    self._load("sources", ["source_digest"])
                return newest_sources(self._loaded["sources"], removals)
            case "clip_occurrences" | "clips" | "gaps":
                analyses = self._analyses()
                rows = self._loaded[table]
                is_live_R = made_by(rows, analyses, COMMIT_COLUMN)
                return last_rows(key_codes(rows, LIVE_KEYS[view]), is_live_R)
            case "scores":
                return last_rows(key_codes(self._loaded[table], KEYS[table]))
            case "selections" | "duplicates":
                clips = self.read("clips", ["clip_id"])
                rows = self._loaded[table]
                return last_rows(key_codes(rows, ["clip_id"]), is_among(rows["clip_id"], clips["clip_id"]))
            case "media":
                selections = self.read("selections", ["clip_id", "kept"])
                kept = selections.filter(selections["kept"])["clip_id"]
                return newest_cuts(self._loaded[table], kept, COMMIT_COLUMN)
            case "removals":
                return np.arange(self._loaded[table].num_rows)
            case "reviews":
                return first_rows(key_codes(self._loaded[table], ["review_id"]))
            case "captions" | "caption_attempts" | "newest_attempts":
                return self._captions(view, subset)
            case "failures":
                return self._failed(subset)["_row"].to_numpy()

    def _numbered(self, table: TableName) -> pa.Table:
        """Return the key columns of all rows, with their row indices."""
        rows = self._loaded[table].select((*KEYS[table], COMMIT_COLUMN))
        return rows.append_column("_row", pa.array(np.arange(rows.num_rows)))

    def _analyses(self) -> pa.Table:
        """Return the newest successful analysis of each live source."""
        mask = self._mask("sources", None)
        sources = self._loaded["sources"]
        live_N = np.arange(sources.num_rows) if mask is None else np.flatnonzero(mask)
        return sources.take(pa.array(newest_analyses(sources, live_N)))

    def caption_codes(self) -> caption_order.CaptionCodes:
        """Return the rows of the captions table as integers; media by their index in the view `media`."""
        if self._codes is None:
            requests = self.caption_requests()
            media_id = combine(self.read("media", ["media_id"])["media_id"])
            rows = self._loaded["captions"]
            self._codes = caption_order.CaptionCodes.of(rows, requests, media_id)
        return self._codes

    def _captions(self, view: ViewName, version: str | None) -> np.ndarray:
        """Return the row indices of a view of captions: the first of each group."""
        codes = self.caption_codes()
        if view == "caption_attempts":
            return codes.first_by_version()
        rows = codes.first_by_media(ok_first=view != "newest_attempts", version=version)
        return rows[rows >= 0]

    def _failed(self, stage: str | None) -> pa.Table:
        newest = self.query(
            "SELECT stage, unit, arg_max(config, _row) AS config, max(_row) AS _row, max(_commit) AS _commit"
            " FROM f GROUP BY ALL",
            f=self._numbered("failures"),
        )
        arms, tables = list[str](), {"n": newest}
        digests = [each.digest for each in self.scorer_requests.values()]
        tables["w"] = pa.table({"digest": pa.array(digests, pa.string())})
        for name, (sql, needs) in STILL_FAILED.items():
            if stage is None or stage.startswith(name):
                arms.append(f"SELECT n._row FROM n {sql} WHERE n.stage LIKE '{name}%'")
                tables |= {alias: self.read(view, columns) for alias, (view, columns) in needs.items()}
        return self.query(" UNION ALL ".join(arms), **tables)
