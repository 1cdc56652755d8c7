"""Integrity checks: every file in the log is present and intact; orphans and incomplete uploads are found.

Orphans are files in no commit, left by killed writers; readers never see them. A running writer has such
files too, so only old ones are deleted.
"""
# pyarrow and DuckDB have no complete types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false, reportUnknownLambdaType=false

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any, get_args

import pyarrow as pa
import pyarrow.parquet as pq

from manifests import log_summary, schemas
from manifests.dataset import Commit, Dataset
from manifests.digest import digest_bytes
from manifests.log_summary import entry_key
from manifests.parts import RECORDS, Part, PartStore, TableName
from manifests.purge import purged_clips, unfinished
from manifests.review.folder import REVIEW_FOLDER
from manifests.storage import IncompleteUpload, ObjectInfo, Storage

REPAIR = "repair"
_OURS = {*get_args(TableName), "_log"}
"""Folders of a dataset. Files elsewhere are reported and never deleted."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Findings:
    """Result of `verify`. Includes removed parts, which readers of earlier commits need."""

    commits: int
    parts: int
    rows: int
    size_bytes: int
    tars: int
    tar_bytes: int
    unverified: int
    """Parts whose log entry has no digest (log version 1): only their row count was checked."""
    broken: Sequence[str]
    """One sentence for each missing or damaged file."""
    orphans: Sequence[ObjectInfo]
    """Complete files in no commit."""
    incomplete_uploads: Sequence[IncompleteUpload]
    foreign: Sequence[str]
    """Names at the root that do not belong to a dataset."""


def verify(dataset: Dataset, *, quick: bool = False, media: bool = False) -> Findings:
    """Check every file of every commit: sizes only if `quick`; with `media`, the bytes of every clip too."""
    before = {stored.key: stored for stored in dataset.storage.list()}
    incomplete_uploads = list(dataset.storage.incomplete_uploads())
    dataset = dataset.refresh()  # after the first listing, so that a file committed meanwhile is no orphan
    after = {stored.key: stored for stored in dataset.storage.list()}
    parts = [part for commit in dataset.commits for part in commit.added]
    rewritten = dataset.rewritten()
    broken = [
        problem
        for part in parts
        for problem in _problems(dataset.storage, part, rewritten.get(part.path), after, quick=quick)
    ]
    whole = [part for part in parts if part.table == "media" and part.path in after]
    purged = {*purged_clips(dataset).to_pylist()} if media else set[str]()
    tars, problems = _tars(
        dataset.storage, whole, after, media=media, removed=dataset.removed(), purged=purged
    )
    problems += [] if quick else unfinished(dataset)
    named = {part.path for part in parts} | {*tars} | {entry_key(commit.number) for commit in dataset.commits}
    named |= set(filter(log_summary.is_summary, before))
    orphans = [stored for key, stored in before.items() if key not in named and key.split("/")[0] in _OURS]
    problems += [] if quick else log_summary.problems(dataset.storage, after)
    return Findings(
        commits=len(dataset.commits),
        parts=len(parts),
        rows=sum(part.rows for part in parts),
        size_bytes=sum(after[part.path].size for part in parts if part.path in after),
        tars=len(tars),
        tar_bytes=sum(after[tar].size for tar in tars if tar in after),
        unverified=0 if quick else sum(not part.digest for part in parts),
        broken=[*broken, *problems],
        orphans=orphans,
        incomplete_uploads=incomplete_uploads,
        foreign=sorted({key.split("/")[0] for key in after} - _OURS - {REVIEW_FOLDER}),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class RepairResult:
    """Counts of what `repair` deleted, and of what it kept because of its age."""

    orphans: int
    incomplete_uploads: int
    size_bytes: int
    left: int


def repair(
    dataset: Dataset, findings: Findings, *, older_than_s: float, now_s: float, stage: str = REPAIR
) -> RepairResult:
    """Delete orphans and incomplete uploads older than `older_than_s`.

    A commit removes the orphans before they are deleted, so a slow writer that would add one later gets a
    ConflictError. Raises ConflictError if a writer committed one since `verify`.
    """
    snapshot = Dataset(dataset.storage, dataset.refresh().commits[: findings.commits])
    removed = snapshot.removed()
    old = [o for o in findings.orphans if o.key in removed or now_s - o.modified_s >= older_than_s]
    stale = [write for write in findings.incomplete_uploads if now_s - write.started_s >= older_than_s]
    new = tuple(sorted(o.key for o in old if o.key not in removed and not o.key.startswith("_log/")))
    if new:
        counts = {"orphans": len(new), "bytes": sum(o.size for o in old)}
        snapshot.commit(Commit(stage=stage, removed=new, counts=counts), rebase=True)
    for orphan in old:
        dataset.storage.delete(orphan.key)
    for write in stale:
        dataset.storage.abort(write)
    left = len(findings.orphans) + len(findings.incomplete_uploads) - len(old) - len(stale)
    size_bytes = sum(orphan.size for orphan in old)
    return RepairResult(orphans=len(old), incomplete_uploads=len(stale), size_bytes=size_bytes, left=left)


def _problems(
    storage: Storage, part: Part, rewritten: Part | None, stored: Mapping[str, ObjectInfo], *, quick: bool
) -> Iterator[str]:
    """Yield the most specific problem of one part, which a purge may have rewritten since it was added."""
    if part.path not in stored:
        yield f"{part.path}: missing ({part.rows} rows of {part.table}); restore it from a copy"
        return
    size, former, part = stored[part.path].size, part, rewritten or part
    if rewritten is not None and (size != part.size_bytes or _is_former(storage, former, quick=quick)):
        yield f"{part.path}: still holds what was removed; run `kinora remove --purge` again"
    elif part.digest and size != part.size_bytes:
        yield f"{part.path}: has {size} bytes, the log says {part.size_bytes}; restore it from a copy"
    elif not quick:
        yield from _content_problems(part, storage.read(part.path))


def _is_former(storage: Storage, former: Part, *, quick: bool) -> bool:
    """Return whether a part still has the bytes from before a purge."""
    return not quick and digest_bytes(storage.read(former.path)) == former.digest


def _content_problems(part: Part, data: bytes) -> Iterator[str]:
    if part.digest and digest_bytes(data) != part.digest:
        yield f"{part.path}: its bytes are not those that were written (digest); restore it from a copy"
        return
    try:
        parquet = pq.ParquetFile(pa.BufferReader(data))
        schemas.version_of(RECORDS[part.table], parquet.schema_arrow, part.path)
    except (pa.ArrowException, ValueError, OSError) as error:
        yield f"{part.path}: cannot be read ({error}); restore it from a copy"
        return
    if parquet.metadata.num_rows != part.rows:
        yield f"{part.path}: has {parquet.metadata.num_rows} rows, the log says {part.rows}"


def _tars(
    storage: Storage,
    parts: Sequence[Part],
    stored: Mapping[str, ObjectInfo],
    *,
    media: bool,
    removed: Set[str],
    purged: Set[str],
) -> tuple[dict[str, int], list[str]]:
    """Return the end offset of the media rows in each tar, in bytes, and the problems of the tars.

    Tars that a commit removed (`kinora gc`), and the bytes of `purged` clips, are left out.
    """
    ends: dict[str, int] = {}
    problems: list[str] = []
    for row in _media_rows(storage, parts):
        if row["path"] in removed:
            continue
        end = row["offset"] + row["length"]
        ends[row["path"]] = max(end, ends.get(row["path"], 0))
        if media and row["digest"] and row["path"] in stored and row["clip_id"] not in purged:
            data = storage.read_range(row["path"], row["offset"], row["length"])
            if digest_bytes(data) != row["digest"]:
                problems.append(
                    f"{row['path']}: the bytes of clip {row['clip_id']} are not those that were cut"
                )
    for path, end in ends.items():
        if path not in stored:
            problems.append(f"{path}: missing; restore it from a copy, or cut its clips again")
        elif stored[path].size < end:
            problems.append(f"{path}: has {stored[path].size} bytes, and clips up to byte {end}; restore it")
    return ends, problems


def _media_rows(storage: Storage, parts: Sequence[Part]) -> Iterator[dict[str, Any]]:
    for part in parts:
        try:
            table = PartStore(storage).read_part(part, ["path", "offset", "length", "clip_id", "digest"])
        except (pa.ArrowException, ValueError, OSError):
            continue  # reported by `_problems`
        yield from table.to_pylist()
