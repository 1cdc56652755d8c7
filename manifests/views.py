"""What counts now: the newest analysis of each source, the newest selection, media and caption of each clip.

Tables only grow; these pick the rows that a reader means. All are pure: tables in, tables out.
"""

from collections.abc import Iterable
from functools import cached_property

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from manifests.store import Dataset

THUMBNAIL = "thumbnail"
"""The one score column that is large: left out of everything but `thumbnails`."""


class Current:
    """The rows that count in one dataset as of its newest commit; each table is read once."""

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset
        self._connection = duckdb.connect()

    @cached_property
    def sources(self) -> pa.Table:
        """The newest attempt at each path: a file that was replaced or repaired counts as it is now."""
        return self._newest(self.dataset.read("sources"), "uri")

    @cached_property
    def spans(self) -> pa.Table:
        """Every clip of every source that counts: two equal files share clip ids, each with its rows."""
        names = [name for name in self.dataset.columns("clips") if name != THUMBNAIL]
        table = self.dataset.read("clips", names)
        return self._of_sources(self._newest(table, "clip_id", "source_key", "analysis"))

    @cached_property
    def clips(self) -> pa.Table:
        """The clips, with their scores, that the newest good analysis of each source found.

        A clip of several equal files is there once.
        """
        return self._newest(self.spans, "clip_id")

    @cached_property
    def gaps(self) -> pa.Table:
        """The spans that became no clip, for the newest analysis of each source."""
        return self._of_sources(
            self._newest(self.dataset.read("gaps"), "source_key", "start_pts", "analysis")
        )

    @cached_property
    def selection(self) -> pa.Table:
        """The newest decision on each clip."""
        decisions = self._newest(self.dataset.read("selections"), "clip_id")
        return self._query("SELECT d.* FROM d SEMI JOIN c USING (clip_id)", d=decisions, c=self.clips)

    @cached_property
    def media(self) -> pa.Table:
        """The newest media of each clip that is kept."""
        newest = self._newest(self.dataset.read("media"), "clip_id")
        sql = "SELECT m.* FROM m SEMI JOIN d ON m.clip_id = d.clip_id AND d.kept"
        return self._query(sql, m=newest, d=self.selection)

    def captions(self, version: str | None = None) -> pa.Table:
        """One caption attempt for each media: the newest, or that of `version`."""
        table = self.dataset.read("captions")
        if version is not None:
            table = table.filter(pc.field("version") == version)
        return self._query(
            "SELECT c.* FROM c SEMI JOIN m USING (media_id)", c=self._newest(table, "media_id"), m=self.media
        )

    @cached_property
    def failures(self) -> pa.Table:
        """The newest failure of each unit that still counts and has not succeeded since."""
        return self._query(
            """
            SELECT f.* FROM f
            WHERE (f.stage = 'analyze' AND f.unit IN (SELECT source_key FROM s WHERE status = 'failed'))
               OR (f.stage = 'cut' AND f.unit IN (SELECT clip_id FROM d WHERE kept)
                                   AND f.unit NOT IN (SELECT clip_id FROM m))
               OR (f.stage = 'caption' AND f.unit IN (SELECT media_id FROM c WHERE outcome <> 'ok'))
               OR (f.stage LIKE 'score %' AND (f.unit, f.config) IN (SELECT (clip_id, analysis) FROM k))
            """,
            f=self._newest(self.dataset.read("failures"), "stage", "unit"),
            s=self.sources,
            d=self.selection,
            m=self.media,
            c=self.captions(),
            k=self.clips,
        )

    def _query(self, sql: str, **tables: pa.Table) -> pa.Table:
        for name, table in tables.items():
            self._connection.register(name, table)
        return self._connection.sql(sql).to_arrow_table()

    def _newest(self, table: pa.Table, *keys: str) -> pa.Table:
        """Keep the last row of each key, in the order of the table."""
        if table.num_rows == 0:
            return table
        numbered = table.append_column("_row", pa.array(range(table.num_rows), pa.int64()))
        by = ", ".join(keys)
        sql = f"""
            SELECT * EXCLUDE (_row) FROM t
            QUALIFY row_number() OVER (PARTITION BY {by} ORDER BY _row DESC) = 1
            ORDER BY _row
        """
        return self._query(sql, t=numbered)

    def _of_sources(self, table: pa.Table) -> pa.Table:
        return self._query(
            """
            SELECT t.* FROM t
            SEMI JOIN s ON t.source_key = s.source_key AND t.analysis = s.analysis AND s.status = 'ok'
            """,
            t=table,
            s=self.sources,
        )


def sources(dataset: Dataset) -> pa.Table:
    """Return `Current.sources`."""
    return Current(dataset).sources


def clips(dataset: Dataset) -> pa.Table:
    """Return `Current.clips`."""
    return Current(dataset).clips


def selection(dataset: Dataset) -> pa.Table:
    """Return `Current.selection`."""
    return Current(dataset).selection


def media(dataset: Dataset) -> pa.Table:
    """Return `Current.media`."""
    return Current(dataset).media


def captions(dataset: Dataset, version: str | None = None) -> pa.Table:
    """Return `Current.captions`."""
    return Current(dataset).captions(version)


def failures(dataset: Dataset) -> pa.Table:
    """Return `Current.failures`."""
    return Current(dataset).failures


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
