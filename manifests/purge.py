"""Delete the bytes of removed sources: media, thumbnails, measurements, texts, what lists said of them.

Rows stay, so that counts of earlier commits do; what they held of the content is null. A part is written
anew under its path, a tar with other media is written anew with zeros in place of the removed ones, and other
tars are deleted. One commit names all of this first: a purge that was killed is finished by the next one, and
until then `kinora captions check` names what is left.
"""
# pyarrow and DuckDB have no complete types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false, reportUnknownLambdaType=false

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, BinaryIO, cast

import pyarrow as pa

from manifests import schemas
from manifests.arrow import combine, pc
from manifests.dataset import Commit, Dataset
from manifests.digest import digest_bytes
from manifests.parts import RECORDS, Part, PartStore, TableName
from manifests.records import LENGTH_COLUMNS
from manifests.storage import Storage
from manifests.storage.base import STREAM_CHUNK_BYTES
from manifests.tombstones import clips_of, removed_sources

STAGE = "purge"
_EMPTIED: Mapping[TableName, Mapping[str, Any]] = {
    "sources": {"carried": "{}"},
    "captions": {
        **dict.fromkeys((*LENGTH_COLUMNS.values(), "parts")),
        "heard": "",
        "outcome": "error",
        "detail": "removed",
    },
    "reviews": {"new_text": "", "note": ""},
}
"""By table, the columns of its record that hold content, and what they hold afterwards."""
_MEASURED: tuple[TableName, ...] = ("clips", "scores")
"""Tables whose columns beside those of their record were measured from the content."""
_PROBE_BYTES = 64
"""Bytes at the start of a medium that tell whether it was deleted: no video or picture begins with zeros."""

Span = tuple[int, int]
"""Offset and length of a medium in its tar."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Purged:
    """What a purge deleted."""

    parts: int = 0
    """Parts that were written anew."""
    media: int = 0
    tars_deleted: int = 0
    tars_rewritten: int = 0
    media_bytes: int = 0


def purge(dataset: Dataset) -> tuple[Dataset, Purged]:
    """Delete the bytes of all sources that were removed with `purge`, those of killed purges among them."""
    sources = removed_sources(dataset, purged_only=True)
    clips = clips_of(dataset, sources)
    parts = [*_parts_to_rewrite(dataset, sources, clips)]
    whole, mixed = _tars_with(dataset, clips)
    known = dataset.rewritten()
    new_parts = tuple(part for part in parts if known.get(part.path) != part)
    new_tars = tuple(sorted({*whole} - dataset.removed()))
    spans = [span for own in (*whole.values(), *mixed.values()) for span in own]
    done = Purged(
        parts=len(parts),
        media=len(spans),
        media_bytes=sum(length for _, length in spans),
        tars_deleted=len(whole),
        tars_rewritten=len(mixed),
    )
    if new_parts or new_tars:
        commit = Commit(stage=STAGE, rewritten=new_parts, removed=new_tars, counts=asdict(done))
        dataset = dataset.commit(commit, rebase=True)
    for part in parts:
        emptied = _emptied(part, dataset.read_part(part), sources, clips)
        assert emptied is not None  # it was among those to rewrite
        dataset.storage.put(part.path, PartStore(dataset.storage).encode(_table(part), emptied))
    for tar, own in mixed.items():
        _write_zeros(dataset.storage, tar, own)
    for tar in whole:
        dataset.storage.delete(tar)
    return dataset, done


def purged_clips(dataset: Dataset) -> pa.Array:
    """Return the ids of the clips whose bytes a purge deleted, or was to delete."""
    return clips_of(dataset, removed_sources(dataset, purged_only=True))


def unfinished(dataset: Dataset) -> list[str]:
    """Return a sentence for each tar that still holds media which a purge was to delete."""
    clips = purged_clips(dataset)
    if not len(clips):
        return []
    whole, mixed = _tars_with(dataset, clips)
    return [
        f"{tar}: still holds {len(spans)} media of removed sources; run `kinora remove --purge` again"
        for tar, spans in sorted({**whole, **mixed}.items())
    ]


def _parts_to_rewrite(dataset: Dataset, sources: pa.Array, clips: pa.Array) -> Iterator[Part]:
    """Yield the parts that hold content of removed sources, as they will be."""
    if not len(sources):
        return
    store = PartStore(dataset.storage)
    for table in (*_EMPTIED, *_MEASURED):
        key, wanted = ("source_key", sources) if table == "sources" else ("clip_id", clips)
        for part in dataset.parts(table):
            if not pc.any(pc.is_in(dataset.read_part(part, [key])[key], value_set=wanted)).as_py():
                continue
            emptied = _emptied(part, dataset.read_part(part), sources, clips)
            if emptied is not None:
                data = store.encode(table, emptied)
                yield replace(part, size_bytes=data.nbytes, digest=digest_bytes(data))


def _table(part: Part) -> TableName:
    return cast("TableName", part.table)


def _emptied(part: Part, rows: pa.Table, sources: pa.Array, clips: pa.Array) -> pa.Table | None:
    """Return the rows of a part without the content of removed sources; None if it has none."""
    table = _table(part)
    key, wanted = ("source_key", sources) if table == "sources" else ("clip_id", clips)
    gone = combine(pc.is_in(rows[key], value_set=wanted))
    empty: dict[str, Any] = {**_EMPTIED.get(table, {})}
    if table in _MEASURED or table == "captions":  # checks add claims, which repeat the texts
        own = schemas.arrow_schema(RECORDS[table]).names
        empty |= {name: None for name in rows.column_names if name not in own}
    changed = False
    for name, value in empty.items():
        column = combine(rows[name])
        filled = pc.if_else(pc.and_(gone, pc.is_valid(column)), pa.scalar(value, column.type), column)
        if not filled.equals(column):
            changed = True
            rows = rows.set_column(rows.column_names.index(name), rows.schema.field(name), filled)
    return rows if changed else None


def _tars_with(dataset: Dataset, clips: pa.Array) -> tuple[dict[str, list[Span]], dict[str, list[Span]]]:
    """Return the media of removed clips that are still stored, by tar.

    First the tars without other media, then those with some.
    """
    if not len(clips):
        return {}, {}
    stored = {found.key for found in dataset.storage.list("media")}
    media = dataset.read("media", ["clip_id", "path", "offset", "length"])
    gone = pc.is_in(media["clip_id"], value_set=clips)
    mixed_paths = {*media.filter(pc.invert(gone))["path"].to_pylist()}
    whole: dict[str, list[Span]] = {}
    mixed: dict[str, list[Span]] = {}
    for row in media.filter(gone).to_pylist():
        if row["path"] not in stored:
            continue
        span = (row["offset"], row["length"])
        if row["path"] not in mixed_paths:
            whole.setdefault(row["path"], []).append(span)
        elif any(dataset.storage.read_range(row["path"], span[0], min(span[1], _PROBE_BYTES))):
            mixed.setdefault(row["path"], []).append(span)
    return whole, mixed


def _write_zeros(storage: Storage, tar: str, spans: Sequence[Span]) -> None:
    """Write a tar anew, with zeros in `spans`: all members keep their place."""
    size = next(found.size for found in storage.list("media") if found.key == tar)
    with storage.open_writer(tar) as out:
        place = 0
        for offset, length in sorted({*spans}):
            for chunk in storage.stream_range(tar, place, offset - place):
                out.write(chunk)
            _write_many_zeros(out, length)
            place = offset + length
        for chunk in storage.stream_range(tar, place, size - place):
            out.write(chunk)


def _write_many_zeros(out: BinaryIO, length: int) -> None:
    while length > 0:
        length -= out.write(bytes(min(length, STREAM_CHUNK_BYTES)))
