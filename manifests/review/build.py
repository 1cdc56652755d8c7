"""Bring the database of the desk up to a commit of the dataset; what it holds already is not read again."""
# pyarrow has no complete types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import pyarrow as pa

from manifests.caption_checks import AGREEMENT, UNSUPPORTED, request_number
from manifests.dataset import Commit, Dataset
from manifests.parts import Part
from manifests.records import LENGTH_COLUMNS, caption_digest
from manifests.review import reviews_table
from manifests.review.config import ReviewConfig
from manifests.review.database import FORMAT, MEDIA_COLUMNS, Database
from manifests.review.live_media import SelectionRules, bucket_settings, copies, live_media, sort_key
from manifests.review.state import refresh
from manifests.shown_frames import MAX_FRAMES, frames_of_media

Progress = Callable[[str, int, int], None]
"""Called with what is being read, and the rows done and in all."""
_CHUNK_ROWS = 5_000
"""Rows of one transaction."""
_MEDIA_TABLES = {"sources", "clips", "scores", "selections", "duplicates", "media"}
_CAPTION_TABLE = """
    CREATE TABLE IF NOT EXISTS caption_{id} (
        row INTEGER PRIMARY KEY, outcome TEXT NOT NULL, short TEXT, medium TEXT, text TEXT, info INTEGER,
        frames TEXT, detail TEXT, digest TEXT NOT NULL, agreement REAL, unsupported INTEGER, extra TEXT)"""
_CAPTION_INDEX = """
    CREATE INDEX IF NOT EXISTS caption_{id}_keys
    ON caption_{id} (row, outcome, digest, agreement, unsupported)"""
_INFO = ("captioner", "model", "revision", "prompt_digest", "decoding")
_OWN = ("media_id", "version", "outcome", *LENGTH_COLUMNS.values(), "frames_shown", "detail")


def is_current(database: Database, dataset: Dataset) -> bool:
    """Return whether the database was built from an earlier state of this dataset, in this layout."""
    known = database.get("commit")
    if database.get("format") != FORMAT or known is None or known > dataset.number:
        return False
    if dataset.commits[known].id != database.get("commit_id"):
        return False
    old = {part.path for commit in dataset.commits[: known + 1] for part in commit.added}
    return not any(old & {*commit.removed} for commit in dataset.commits[known + 1 :])


def sync(
    database: Database,
    dataset: Dataset,
    config: ReviewConfig,
    rules: SelectionRules | None,
    progress: Progress = lambda what, done, total: None,
) -> None:
    """Read what the dataset has beyond the commit that the database holds.

    Interrupted at any place, it may be run again. Other threads may write between its transactions.
    """
    known = database.get("commit")
    is_new = known is None
    new = dataset.commits[0 if known is None else known + 1 :]
    tables = {part.table for commit in new for part in commit.added}
    settings = json.dumps(bucket_settings(dataset.commits))
    changed = set[int]()
    if tables & _MEDIA_TABLES or settings != database.get("buckets"):
        changed |= _sync_media(database, dataset, rules, progress)
        _sync_copies(database, dataset)
    captioned, reordered = _sync_captions(database, dataset, new, progress)
    changed |= captioned
    changed |= reviews_table.sync(database, dataset, new)
    if is_new or reordered:
        total = database.read("SELECT coalesce(max(row), 0) FROM media")[0][0]
        _refresh_all(database, config, total, is_new, progress)
    else:
        rows = sorted(changed)
        for first in range(0, len(rows), _CHUNK_ROWS):
            refresh(database, rows[first : first + _CHUNK_ROWS], config)
    database.set(
        format=FORMAT,
        commit=dataset.number,
        commit_id=dataset.commits[-1].id,
        buckets=settings,
        dataset=dataset.uri,
    )


def _refresh_all(
    database: Database, config: ReviewConfig, total: int, is_new: bool, progress: Progress
) -> None:
    for first in range(1, total + 1, _CHUNK_ROWS):
        rows = range(first, min(first + _CHUNK_ROWS, total + 1))
        refresh(database, rows, config, is_new=is_new)
        progress("states", rows[-1], total)
    if is_new:
        database.create_member_indexes()


def _sync_media(
    database: Database, dataset: Dataset, rules: SelectionRules | None, progress: Progress
) -> set[int]:
    """Write the live media that are new or differ; return their rows, and those that are no longer live."""
    table = live_media(dataset, rules)
    generation = (database.get("generation") or 0) + 1
    changed, done = set[int](), 0
    for batch in table.to_batches(_CHUNK_ROWS):
        with database.transaction():
            changed |= _write_media(database, batch, generation)
        done += len(batch)
        progress("media", done, len(table))
    with database.transaction() as connection:
        gone = connection.execute("SELECT row FROM media WHERE live NOT IN (0, ?)", (generation,)).fetchall()
        connection.execute("UPDATE media SET live = 0 WHERE live NOT IN (0, ?)", (generation,))
        database.set(generation=generation)
    return changed | {row for (row,) in gone}


def _write_media(database: Database, batch: pa.RecordBatch, generation: int) -> set[int]:
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


def _sync_copies(database: Database, dataset: Dataset) -> None:
    table = copies(dataset)
    with database.transaction() as connection:
        connection.execute("DELETE FROM copies")
        columns = (table[name].to_pylist() for name in ("keeper", "clip_id", "kind", "detail"))
        connection.executemany("REPLACE INTO copies VALUES (?, ?, ?, ?)", zip(*columns, strict=True))


def _sync_captions(
    database: Database, dataset: Dataset, new: Sequence[Commit], progress: Progress
) -> tuple[set[int], bool]:
    """Write the captions of new commits; return their rows, and whether other versions count first now."""
    parts = [
        (commit, part) for commit, part in _visible(dataset, new) if part.table == "captions" and part.rows
    ]
    total, done, changed = sum(part.rows for _, part in parts), 0, set[int]()
    for commit, part in parts:
        for batch in dataset.read_part(part).to_batches(_CHUNK_ROWS):
            with database.transaction():
                changed |= _write_captions(database, batch, commit)
            done += len(batch)
            progress("captions", done, total)
    with database.transaction() as connection:
        before = _order(connection)
        for commit in new:
            if commit.stage == "caption":
                connection.execute(
                    "UPDATE versions SET request = max(request, ?) WHERE version = ?",
                    (commit.number, commit.config_digest),
                )
        for (number,) in connection.execute("SELECT id FROM versions").fetchall():
            connection.execute(_CAPTION_INDEX.format(id=number))
        after = [version for version in _order(connection) if version in before]
    return changed, after != before


def _order(connection: Any) -> list[int]:
    return [row for (row,) in connection.execute("SELECT id FROM versions ORDER BY request, id")]


def _visible(dataset: Dataset, commits: Sequence[Commit]) -> Iterator[tuple[Commit, Part]]:
    removed = dataset.removed()
    return ((commit, part) for commit in commits for part in commit.added if part.path not in removed)


def _write_captions(database: Database, batch: pa.RecordBatch, commit: Commit) -> set[int]:
    """Write attempts, of each version and media the last OK one, else the last one."""
    connection = database.writer
    names = batch.schema.names
    own = {name: batch[name].to_pylist() for name in _OWN}
    rows = {media_id: row for row, media_id in rows_of(database, own["media_id"])}
    num_frames = dict(_num_frames(connection, rows.values()))
    max_frames = int(commit.config.get("max_frames", MAX_FRAMES))
    infos = _ids(connection, "caption_info", "info", _json_rows(batch, _INFO))
    extra_names = [name for name in names if name not in {*_OWN, *_INFO, "clip_id"}]
    extras = _json_rows(batch, extra_names) if extra_names else [""] * len(batch)
    agreements = batch[AGREEMENT].to_pylist() if AGREEMENT in names else [None] * len(batch)
    unsupported = batch[UNSUPPORTED].to_pylist() if UNSUPPORTED in names else [None] * len(batch)
    texts = [own[column] for column in LENGTH_COLUMNS.values()]
    by_version: dict[str, list[tuple[Any, ...]]] = {}
    for index, version in enumerate(own["version"]):
        row = rows.get(own["media_id"][index])
        if row is None:
            continue  # a media that no commit holds
        each = [column[index] for column in texts]
        by_version.setdefault(version, []).append(
            (
                row,
                own["outcome"][index],
                *each,
                infos[index],
                json.dumps(frames_of_media(own["frames_shown"][index] or (), num_frames[row], max_frames)),
                own["detail"][index],
                caption_digest(*each),
                agreements[index],
                unsupported[index],
                extras[index],
            )
        )
    for version, attempts in by_version.items():
        identifier = _version_id(connection, version, request_number(commit, version))
        connection.executemany(
            f"INSERT INTO caption_{identifier} VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
            "ON CONFLICT (row) DO UPDATE SET outcome = excluded.outcome, short = excluded.short, "
            "medium = excluded.medium, text = excluded.text, info = excluded.info, frames = excluded.frames, "
            "detail = excluded.detail, digest = excluded.digest, agreement = excluded.agreement, "
            "unsupported = excluded.unsupported, extra = excluded.extra "
            "WHERE excluded.outcome = 'ok' OR caption_" + f"{identifier}.outcome <> 'ok'",
            attempts,
        )
    return {*rows.values()}


def _num_frames(connection: Any, rows: Iterable[int]) -> list[tuple[int, int]]:
    sql = "SELECT row, num_frames FROM media WHERE row IN (SELECT value FROM json_each(?))"
    return connection.execute(sql, (json.dumps([*rows]),)).fetchall()


def _json_rows(batch: pa.RecordBatch, names: Sequence[str]) -> list[str]:
    columns = [batch[name].to_pylist() for name in names]
    return [json.dumps(dict(zip(names, row, strict=True)), default=str) for row in zip(*columns, strict=True)]


def _ids(connection: Any, table: str, column: str, values: Sequence[str]) -> list[int]:
    distinct = {*values}
    connection.executemany(
        f"INSERT OR IGNORE INTO {table} ({column}) VALUES (?)", ((value,) for value in distinct)
    )
    known = {
        value: connection.execute(f"SELECT id FROM {table} WHERE {column} = ?", (value,)).fetchone()[0]
        for value in distinct
    }
    return [known[value] for value in values]


def _version_id(connection: Any, version: str, number: int) -> int:
    connection.execute(
        "INSERT INTO versions (version, request) VALUES (?, ?) "
        "ON CONFLICT (version) DO UPDATE SET request = max(request, excluded.request)",
        (version, number),
    )
    (identifier,) = connection.execute("SELECT id FROM versions WHERE version = ?", (version,)).fetchone()
    connection.execute(_CAPTION_TABLE.format(id=identifier))
    return identifier
