"""What counts now: the newest analysis of each source, the newest selection, media and caption of each clip.

Tables only grow; these functions pick the rows that a reader means. All are pure: tables in, tables out.
"""

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from manifests.store import Dataset


def _query(sql: str, **tables: pa.Table) -> pa.Table:
    with duckdb.connect() as connection:
        for name, table in tables.items():
            connection.register(name, table)
        return connection.sql(sql).to_arrow_table()


def _newest(table: pa.Table, *keys: str) -> pa.Table:
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
    return _query(sql, t=numbered)


def sources(dataset: Dataset) -> pa.Table:
    """Return the newest attempt at each path: a file that was replaced or repaired counts as it is now."""
    return _newest(dataset.read("sources"), "uri")


def spans(dataset: Dataset) -> pa.Table:
    """Return every clip of every source that counts: two equal files share clip ids, each with its rows."""
    return _of_current_sources(dataset, _newest(dataset.read("clips"), "clip_id", "source_key", "analysis"))


def clips(dataset: Dataset) -> pa.Table:
    """Return the clips, with their score columns, that the newest good analysis of each source found.

    A clip of several equal files is there once.
    """
    return _newest(spans(dataset), "clip_id")


def gaps(dataset: Dataset) -> pa.Table:
    """Return the spans that became no clip, for the newest analysis of each source."""
    return _of_current_sources(dataset, _newest(dataset.read("gaps"), "source_key", "start_pts", "analysis"))


def selection(dataset: Dataset) -> pa.Table:
    """Return the newest decision on each current clip."""
    return _query(
        "SELECT d.* FROM d SEMI JOIN c USING (clip_id)",
        d=_newest(dataset.read("selections"), "clip_id"),
        c=clips(dataset),
    )


def media(dataset: Dataset) -> pa.Table:
    """Return the newest media of each clip that is kept now."""
    return _query(
        "SELECT m.* FROM m SEMI JOIN d ON m.clip_id = d.clip_id AND d.kept",
        m=_newest(dataset.read("media"), "clip_id"),
        d=selection(dataset),
    )


def captions(dataset: Dataset, version: str | None = None) -> pa.Table:
    """Return one caption attempt for each current media: the newest, or that of `version`."""
    table = dataset.read("captions")
    if version is not None:
        table = table.filter(pc.field("version") == version)
    return _query(
        "SELECT c.* FROM c SEMI JOIN m USING (media_id)", c=_newest(table, "media_id"), m=media(dataset)
    )


def failures(dataset: Dataset) -> pa.Table:
    """Return the newest failure of each unit that still counts and has not succeeded since."""
    return _query(
        """
        SELECT f.* FROM f
        WHERE (f.stage = 'analyze' AND f.unit IN (SELECT source_key FROM s WHERE status = 'failed'))
           OR (f.stage = 'cut' AND f.unit IN (SELECT clip_id FROM d WHERE kept)
                               AND f.unit NOT IN (SELECT clip_id FROM m))
           OR (f.stage = 'caption' AND f.unit IN (SELECT media_id FROM m)
                                   AND f.unit NOT IN (SELECT media_id FROM c WHERE outcome = 'ok'))
        """,
        f=_newest(dataset.read("failures"), "stage", "unit"),
        s=sources(dataset),
        d=selection(dataset),
        m=media(dataset),
        c=captions(dataset),
    )


def _of_current_sources(dataset: Dataset, table: pa.Table) -> pa.Table:
    return _query(
        """
        SELECT t.* FROM t
        SEMI JOIN s ON t.source_key = s.source_key AND t.analysis = s.analysis AND s.status = 'ok'
        """,
        t=table,
        s=sources(dataset),
    )
