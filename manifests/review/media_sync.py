"""Bring the media in the database of the desk up to a commit; those that it holds are not written again."""
# pyarrow and DuckDB have no complete types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false

import json
from collections.abc import Callable, Iterable

import pyarrow as pa

from manifests.arrow import combine, pc
from manifests.dataset import Dataset
from manifests.live_view import LiveView
from manifests.review.database import MEDIA_COLUMNS, Database
from manifests.review.live_media import SelectionRules, copies, live_media, sort_key
from manifests.sql import connect

Progress = Callable[[str, int, int], None]
"""Called with what is being read, and the rows done and in all."""
CHUNK_ROWS = 5_000
"""Rows of one transaction."""


def sync_media(
    database: Database, dataset: Dataset, rules: SelectionRules | None, known: int | None, progress: Progress
) -> set[int]:
    """Write the live media that are new or differ; return their rows, and those that are no longer live.

    Args:
        known: commit whose media the database holds, under the same rules; None compares each with its row.
    """
    if known is None:
        return _sync_all(database, live_media(LiveView(dataset), rules), progress)
    view = LiveView(Dataset(dataset.storage, dataset.commits[: known + 1]))
    before = _hashes(live_media(view, rules))
    table = live_media(view.advanced_to(dataset), rules)
    now = _hashes(table)
    at = combine(pc.index_in(now["media_id"], value_set=combine(before["media_id"])))
    same = pc.fill_null(pc.equal(combine(before["hash"]).take(at), now["hash"]), False)
    gone = before["media_id"].filter(
        pc.invert(pc.is_in(before["media_id"], value_set=combine(now["media_id"])))
    )
    generation = database.get("generation") or 1
    changed = _write_table(database, table.filter(pc.invert(same)), generation, progress)
    ids = gone.to_pylist()
    for first in range(0, len(ids), CHUNK_ROWS):
        with database.transaction() as connection:
            rows = [row for row, _ in rows_of(database, ids[first : first + CHUNK_ROWS])]
            connection.executemany("UPDATE media SET live = 0 WHERE row = ?", ((row,) for row in rows))
        changed |= {*rows}
    return changed


def _hashes(table: pa.Table) -> pa.Table:
    """Return the media ids with a hash of each row, in order."""
    columns = ", ".join(f'"{name}"' for name in table.column_names)
    with connect() as connection:
        connection.execute("SET preserve_insertion_order = true")
        connection.register("t", table)
        return connection.sql(f"SELECT media_id, hash({columns}) AS hash FROM t").to_arrow_table()


def _sync_all(database: Database, table: pa.Table, progress: Progress) -> set[int]:
    """Compare all live media with their rows; those that are not met are no longer live."""
    generation = (database.get("generation") or 0) + 1
    changed = _write_table(database, table, generation, progress)
    with database.transaction() as connection:
        gone = connection.execute("SELECT row FROM media WHERE live NOT IN (0, ?)", (generation,)).fetchall()
        connection.execute("UPDATE media SET live = 0 WHERE live NOT IN (0, ?)", (generation,))
        database.set(generation=generation)
    return changed | {row for (row,) in gone}


def _write_table(database: Database, table: pa.Table, generation: int, progress: Progress) -> set[int]:
    changed, done = set[int](), 0
    for batch in table.to_batches(CHUNK_ROWS):
        with database.transaction():
            changed |= _write(database, batch, generation)
        done += len(batch)
        progress("media", done, len(table))
    return changed


def _write(database: Database, batch: pa.RecordBatch, generation: int) -> set[int]:
    connection = database.writer
    uris = batch["uri"].to_pylist()
    connection.executemany("INSERT OR IGNORE INTO sources (uri) VALUES (?)", {(uri,) for uri in uris})
    listed = json.dumps(sorted({*uris}))
    sources = dict(
        connection.execute(
            "SELECT uri, source FROM sources WHERE uri IN (SELECT value FROM json_each(?))", (listed,)
        )
    )
    ids = batch["media_id"].to_pylist()
    columns = [batch[name].to_pylist() if name != "source" else [] for name in MEDIA_COLUMNS]
    columns[MEDIA_COLUMNS.index("source")] = [sources[uri] for uri in uris]
    rows = dict(zip(ids, zip(*columns, strict=True), strict=True))
    names = ", ".join(MEDIA_COLUMNS)
    before = {
        media_id: (row, live, tuple(values))
        for row, media_id, live, *values in connection.execute(
            f"SELECT row, media_id, live, {names} FROM media "
            "WHERE media_id IN (SELECT value FROM json_each(?))",
            (json.dumps(ids),),
        )
    }
    same = [before[key][0] for key, values in rows.items() if key in before and before[key][2] == values]
    relived = {before[key][0] for key in rows if key in before and not before[key][1]}
    connection.executemany("UPDATE media SET live = ? WHERE row = ?", ((generation, row) for row in same))
    fresh = {key: values for key, values in rows.items() if key not in before or before[key][2] != values}
    marks = ", ".join("?" * (len(MEDIA_COLUMNS) + 3))
    updates = ", ".join(f"{name} = excluded.{name}" for name in (*MEDIA_COLUMNS, "live"))
    connection.executemany(
        f"INSERT INTO media (media_id, live, sort, {names}) VALUES ({marks}) "
        f"ON CONFLICT (media_id) DO UPDATE SET {updates}",
        ((key, generation, sort_key(key), *values) for key, values in fresh.items()),
    )
    return relived | {row for row, _ in rows_of(database, fresh)}


def rows_of(database: Database, media_ids: Iterable[str]) -> list[tuple[int, str]]:
    """Return row and media id of those media that there are."""
    return database.writer.execute(
        "SELECT row, media_id FROM media WHERE media_id IN (SELECT value FROM json_each(?))",
        (json.dumps([*media_ids]),),
    ).fetchall()


def sync_copies(database: Database, dataset: Dataset) -> None:
    """Write the copies of live clips."""
    table = copies(LiveView(dataset))
    with database.transaction() as connection:
        connection.execute("DELETE FROM copies")
        columns = (table[name].to_pylist() for name in ("keeper", "clip_id", "kind", "detail"))
        connection.executemany("REPLACE INTO copies VALUES (?, ?, ?, ?)", zip(*columns, strict=True))
