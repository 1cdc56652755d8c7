"""Bring the database of the desk up to a commit of the dataset; what it holds already is not read again."""
# pyarrow has no complete types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false

import json
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any

import pyarrow as pa

from manifests import scores
from manifests.caption_checks import AGREEMENT, UNSUPPORTED, request_number
from manifests.dataset import Commit, Dataset
from manifests.parts import Part
from manifests.records import LENGTH_COLUMNS
from manifests.review import reviews_table
from manifests.review.config import ReviewConfig
from manifests.review.database import FORMAT, Database
from manifests.review.decisions import caption_digests
from manifests.review.live_media import SelectionRules, bucket_settings
from manifests.review.media_sync import CHUNK_ROWS, Progress, rows_of, sync_copies, sync_media
from manifests.review.state import refresh
from manifests.shown_frames import MAX_FRAMES, frames_of_media

_MEDIA_TABLES = {"sources", "removals", "clips", "scores", "selections", "media"}
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
    limits, changed = rules.digest if rules else "", set[int]()
    has_other_limits = limits != database.get("limits")
    is_touched = bool(tables & _MEDIA_TABLES) or any(commit.stage in scores.STAGES for commit in new)
    if is_touched or settings != database.get("buckets") or has_other_limits:
        changed |= sync_media(database, dataset, rules, None if has_other_limits else known, progress)
    if tables & {"sources", "removals", "clips", "duplicates"}:
        sync_copies(database, dataset)
    captioned, reordered = _sync_captions(database, dataset, new, progress)
    changed |= captioned
    changed |= reviews_table.sync(database, dataset, new)
    if is_new or reordered:
        total = database.read("SELECT coalesce(max(row), 0) FROM media")[0][0]
        _refresh_all(database, config, total, is_new, progress)
    else:
        rows = sorted(changed)
        for first in range(0, len(rows), CHUNK_ROWS):
            refresh(database, rows[first : first + CHUNK_ROWS], config)
    database.set(
        format=FORMAT,
        commit=dataset.number,
        commit_id=dataset.commits[-1].id,
        buckets=settings,
        limits=limits,
        dataset=dataset.uri,
    )


def _refresh_all(
    database: Database, config: ReviewConfig, total: int, is_new: bool, progress: Progress
) -> None:
    for first in range(1, total + 1, CHUNK_ROWS):
        rows = range(first, min(first + CHUNK_ROWS, total + 1))
        refresh(database, rows, config, is_new=is_new)
        progress("states", rows[-1], total)
    if is_new:
        database.create_member_indexes()


def _sync_captions(
    database: Database, dataset: Dataset, new: Sequence[Commit], progress: Progress
) -> tuple[set[int], bool]:
    """Write the captions of new commits; return their rows, and whether other versions count first now."""
    parts = [
        (commit, part) for commit, part in _visible(dataset, new) if part.table == "captions" and part.rows
    ]
    total, done, changed = sum(part.rows for _, part in parts), 0, set[int]()
    for commit, part in parts:
        for batch in dataset.read_part(part).to_batches(CHUNK_ROWS):
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
    infos = _info_ids(connection, batch)
    extra_names = [name for name in names if name not in {*_OWN, *_INFO, "clip_id"}]
    extras = _json_rows(batch, extra_names) if extra_names else [""] * len(batch)
    agreements = batch[AGREEMENT].to_pylist() if AGREEMENT in names else [None] * len(batch)
    unsupported = batch[UNSUPPORTED].to_pylist() if UNSUPPORTED in names else [None] * len(batch)
    texts = [own[column] for column in LENGTH_COLUMNS.values()]
    digests = caption_digests(pa.Table.from_batches([batch])).to_pylist()
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
                _frames_json(tuple(own["frames_shown"][index] or ()), num_frames[row], max_frames),
                own["detail"][index],
                digests[index],
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
    """Return the values of each row that are not empty as a JSON object, or an empty string without any."""
    columns = [batch[name].to_pylist() for name in names]
    rows = [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]
    present = [{name: value for name, value in row.items() if value not in (None, "")} for row in rows]
    return [json.dumps(row, default=str) if row else "" for row in present]


@lru_cache(maxsize=4096)
def _frames_json(frames: tuple[int, ...], num_frames: int, max_frames: int) -> str:
    return json.dumps(frames_of_media(frames, num_frames, max_frames))


def _info_ids(connection: Any, batch: pa.RecordBatch) -> list[int]:
    """Return the row of `caption_info` of each caption."""
    rows = [*zip(*(batch[name].to_pylist() for name in _INFO), strict=True)]
    texts = {row: json.dumps(dict(zip(_INFO, row, strict=True))) for row in {*rows}}
    connection.executemany(
        "INSERT OR IGNORE INTO caption_info (info) VALUES (?)", ((text,) for text in texts.values())
    )
    known = {
        row: connection.execute("SELECT id FROM caption_info WHERE info = ?", (text,)).fetchone()[0]
        for row, text in texts.items()
    }
    return [known[row] for row in rows]


def _version_id(connection: Any, version: str, number: int) -> int:
    connection.execute(
        "INSERT INTO versions (version, request) VALUES (?, ?) "
        "ON CONFLICT (version) DO UPDATE SET request = max(request, excluded.request)",
        (version, number),
    )
    (identifier,) = connection.execute("SELECT id FROM versions WHERE version = ?", (version,)).fetchone()
    connection.execute(_CAPTION_TABLE.format(id=identifier))
    return identifier
