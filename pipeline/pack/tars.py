"""The tars of a planned shard set: their digests, those of the published set that stay, and the index.

Pure functions on Arrow columns. A tar stays if the published set has one of the same name and digest: in the
split layout an edited text changes the digest of its tar of captions alone.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from manifests.arrow import combine, pc
from manifests.buckets import parse_bucket
from manifests.digest import digest_bytes
from manifests.sql import connect
from pipeline.config import PackConfig
from pipeline.pack.reviews import NO_REVIEW, TRIM
from pipeline.pack.samples import COLUMNS, TarKind

_MEDIA = ("key", "clip_id", "media_id", "source_digest", "length", "extension", "encoding", "digest")
"""Columns that the bytes of a tar of media depend on."""
_FORMATS = {"media": "media 1", "whole": "pack 4"}
"""Increment one when the same content is packed into other bytes, so that older tars are packed again."""
_LOCATION = {"source_key", "path", "offset"}
"""Columns that do not change the bytes of any tar."""
_TYPES = (pa.string(), pa.string(), pa.int64(), pa.int64(), pa.string())
PLACES = {
    "media": pa.schema([*zip(("key", "shard", "offset", "length", "media_digest"), _TYPES, strict=True)]),
    "captions": pa.schema(
        [*zip(("key", "sidecar", "sidecar_offset", "sidecar_length", "text_digest"), _TYPES, strict=True)]
    ),
}
"""Columns of the index that say where a sample lies, by the kind of the tar."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannedShard:
    """A shard before its samples are made: rows `first` to `last` (exclusive) of the plan."""

    path: str
    """Its tar, or that of its media, relative to the folder of the shard set."""
    sidecar: str
    """Its tar of captions in the split layout, else empty."""
    bucket: str
    first: int
    last: int
    digest: str
    """Digest of everything that the bytes of the tar at `path` depend on."""
    sidecar_digest: str
    """The same of the tar of captions."""

    @property
    def num_samples(self) -> int:
        """Number of samples."""
        return self.last - self.first


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannedTar:
    """One tar of a planned set: rows `first` to `last` (exclusive) of the plan."""

    name: str
    """Where it is stored, relative to the folder of the tars."""
    kind: TarKind
    digest: str
    """Digest of everything that its bytes depend on."""
    first: int
    last: int

    @property
    def num_samples(self) -> int:
        """Number of samples."""
        return self.last - self.first


def sample_digests(rows: pa.Table, config: PackConfig) -> tuple[pa.Array, pa.Array]:
    """Return for each row the digest of its media, and that of its media with text and record.

    Args:
        rows: the rows of a plan.
    """
    names = [*COLUMNS["sources"], *COLUMNS["clips"], *COLUMNS["media"], "content", "folder", "window_frames"]
    names += [*TRIM, *NO_REVIEW]
    packed_as = f"if(extension = 'mp4', 'mp4', '{config.image_format}')"
    media = _row_digest([f"'{_FORMATS['media']}'", packed_as, *_MEDIA, *TRIM])
    settings = [f"'{_FORMATS['whole']}'", packed_as, f"'{config.fps!r}'"]
    whole = _row_digest([*settings, *(name for name in names if name not in _LOCATION)])
    with connect() as connection:
        connection.register("rows", rows.append_column("row", pa.array(np.arange(rows.num_rows))))
        sql = f"SELECT row, {media} AS media, {whole} AS whole FROM rows"
        found = connection.sql(sql).to_arrow_table()
    order = pc.sort_indices(found["row"])
    return combine(found["media"].take(order)), combine(found["whole"].take(order))


def tar_digests(digests: pa.Array, spans: Sequence[tuple[int, int]]) -> list[str]:
    """Return the digest of each span of rows from the digests of its samples."""
    text = memoryview(pa.concat_arrays([digests]).buffers()[2] or b"")
    size = len(digests[0].as_py()) if len(digests) else 0
    return [digest_bytes(text[first * size : last * size]) for first, last in spans]


def _row_digest(columns: Sequence[str]) -> str:
    texts = ", ".join(f"coalesce({column}::VARCHAR, chr(0))" for column in columns)
    return f"md5(concat_ws(chr(31), {texts}))"


def tars_of(shards: Sequence[PlannedShard], name: Callable[[str, str], str]) -> Iterator[PlannedTar]:
    """Yield the tars of a planned set.

    Args:
        name: names a tar of a split set, from its path and digest.
    """
    for shard in shards:
        rows = {"first": shard.first, "last": shard.last}
        if not shard.sidecar:
            yield PlannedTar(name=shard.path, kind="joined", digest=shard.digest, **rows)
            continue
        media, captions = name(shard.path, shard.digest), name(shard.sidecar, shard.sidecar_digest)
        yield PlannedTar(name=media, kind="media", digest=shard.digest, **rows)
        yield PlannedTar(name=captions, kind="captions", digest=shard.sidecar_digest, **rows)


def build_index(
    rows: pa.Table,
    written: Sequence[Mapping[str, Any]],
    spliced: Sequence[pa.Table],
    kept: Collection[str],
    former: pa.Table | None,
) -> pa.Table:
    """Return the index of a planned set, in the order of its rows.

    Args:
        rows: the rows of the plan.
        written: where each sample lies in the new tars, as `pipeline.pack.stage` returns it.
        spliced: the same for tars of captions, as `pipeline.pack.splice` returns it.
        kept: tars of the published set that stay.
        former: its index.
    """
    bucket = combine(rows["bucket"]).dictionary_encode()
    buckets = [parse_bucket(name) for name in bucket.dictionary.to_pylist()]
    columns: dict[str, Any] = {name: rows[name] for name in ("clip_id", "key", "media_id", "window_frames")}
    columns["source"] = rows["source_digest"]
    for side in ("num_frames", "height", "width"):
        sides = pa.array([getattr(each, side) for each in buckets], pa.int32())
        columns[side] = sides.take(bucket.indices)
    for kind, schema in PLACES.items():
        places = _places(written, kept, former, schema)
        if kind == "captions":
            places = pa.concat_tables([places, *spliced])
        index = pc.index_in(rows["key"], value_set=combine(places["key"]))
        columns |= {name: places[name].take(index) for name in schema.names[1:]}
    columns["sidecar_digest"] = rows["sample_digest"]
    is_joined = pc.is_null(columns["sidecar"])
    for name, empty in (
        ("sidecar", ""),
        ("sidecar_offset", 0),
        ("sidecar_length", 0),
        ("sidecar_digest", ""),
    ):
        columns[name] = pc.if_else(is_joined, empty, columns[name])
    return pa.table(columns)


def _places(
    written: Sequence[Mapping[str, Any]], kept: Collection[str], former: pa.Table | None, schema: pa.Schema
) -> pa.Table:
    """Return the columns of `schema` of each sample, from the new tars and from those that stay."""
    new = [row for row in written if schema.names[-1] in row]
    places = pa.table({name: [row.get(name) for row in new] for name in schema.names}, schema=schema)
    if former is None:
        return places
    stays = pc.is_in(former[schema.names[1]], value_set=pa.array(sorted(kept), pa.string()))
    return pa.concat_tables([places, former.filter(stays).select(schema.names).cast(schema)])
