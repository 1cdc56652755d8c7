"""Find and delete what the newest commit of a dataset no longer refers to.

Deleted are orphans and incomplete uploads, as by a repair (`manifests.integrity`), and tars without a medium
that counts: clips that were encoded anew, or whose source was replaced. Rows are kept, so that tables of
earlier commits stay readable; their media are not. A commit names the tars before they are deleted, so that a
kill in between leaves orphans, which the next run deletes.
"""
# pyarrow and DuckDB have no complete types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false, reportUnknownLambdaType=false

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import pyarrow as pa

from manifests import integrity
from manifests.dataset import Dataset, DatasetError
from manifests.integrity import Findings, RepairResult
from manifests.live_view import LiveView
from manifests.sql import connect
from manifests.storage import ObjectInfo

GC = "gc"
_COLUMNS = ("clip_id", "path", "length")
_LIVE = """
    SELECT path, sum(length)::BIGINT AS bytes, count(*) FILTER (NOT is_live) AS dead,
           (sum(length) FILTER (is_live))::BIGINT AS live_bytes
    FROM (
        SELECT m.path, m.length, c.clip_id IS NOT NULL
               AND m._commit = max(m._commit) OVER (PARTITION BY m.clip_id) AS is_live
        FROM media m LEFT JOIN clips c ON c.clip_id = m.clip_id)
    GROUP BY path ORDER BY path"""
"""By tar, the bytes of its media, and of those of the newest cut of a clip that is still there."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Garbage:
    """What a dataset no longer needs."""

    commit: int
    findings: Findings
    tars: Sequence[ObjectInfo]
    """Tars without a medium that counts, old enough to be deleted."""
    media: int
    """Media in these tars."""
    young_tars: int
    """Such tars that a running job may still read."""
    mixed_tars: int
    """Tars that also hold media that count: they are kept."""
    mixed_bytes: int
    """Bytes of the other media in these."""


def find_garbage(dataset: Dataset, *, older_than_s: float, now_s: float) -> Garbage:
    """Return what the newest commit does not refer to, and has not for `older_than_s` seconds.

    Raises DatasetError if the dataset is damaged.
    """
    findings = integrity.verify(dataset, quick=True)
    if findings.broken:
        raise DatasetError(
            f"{dataset.uri}: is damaged ({findings.broken[0]}); nothing was deleted. `kinora captions check` "
            "lists all damage"
        )
    dataset = Dataset(dataset.storage, dataset.refresh().commits[: findings.commits])
    cutoff_s = now_s - older_than_s
    held = _tars(dataset)
    needed = {row["path"] for row in held if row["live_bytes"]}
    before = [commit for commit in dataset.commits if _time(commit.at) < cutoff_s]
    lately = {row["path"] for row in _tars(Dataset(dataset.storage, before)) if row["live_bytes"]}
    stored = {found.key: found for found in dataset.storage.list("media")}
    dead = [row for row in held if row["path"] not in needed and row["path"] in stored]
    old = [row for row in dead if row["path"] not in lately and stored[row["path"]].modified_s < cutoff_s]
    mixed = [row for row in held if row["path"] in needed and row["dead"]]
    return Garbage(
        commit=dataset.number,
        findings=findings,
        tars=[stored[row["path"]] for row in old],
        media=sum(row["dead"] for row in old),
        young_tars=len(dead) - len(old),
        mixed_tars=len(mixed),
        mixed_bytes=sum(row["bytes"] - row["live_bytes"] for row in mixed),
    )


def delete_garbage(dataset: Dataset, garbage: Garbage, *, older_than_s: float, now_s: float) -> RepairResult:
    """Delete what `find_garbage` found. Raises ConflictError if a writer has committed some of it since."""
    findings = replace(garbage.findings, orphans=[*garbage.findings.orphans, *garbage.tars])
    return integrity.repair(dataset, findings, older_than_s=older_than_s, now_s=now_s, stage=GC)


def _tars(dataset: Dataset) -> list[dict[str, Any]]:
    """Return a row of `_LIVE` for each tar that was not deleted."""
    visible, removed = {part.path for part in dataset.parts("media")}, dataset.removed()
    tables = [
        dataset.read_part(part, _COLUMNS).append_column("_commit", pa.array([commit.number] * part.rows))
        for commit in dataset.commits
        for part in commit.added
        if part.path in visible
    ]
    if not tables:
        return []
    with connect() as connection:
        connection.register(
            "media", pa.concat_tables(table.replace_schema_metadata(None) for table in tables)
        )
        connection.register("clips", LiveView(dataset).read("clips", ["clip_id"]))
        rows = connection.sql(_LIVE).to_arrow_table().to_pylist()
    return [row for row in rows if row["path"] not in removed]


def _time(at: str) -> float:
    return datetime.fromisoformat(at).timestamp()
