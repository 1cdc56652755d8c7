"""A shard set and its index: the byte range of every packed sample in its tar.

    tars/videos/ar_…/dur_…/res_…/NNNNNN.tar     WebDataset tars, nothing else
    tars/images/ar_…/dur_…/res_…/NNNNNN.tar     stills, all of one picture format
    index.arrow, index.parquet                  the same table twice: memory-mapped, and for SQL
    pack.json                                   describes the set
    encoded/                                    what `kinora encode` writes

A local index is memory-mapped. An index on S3 is fetched whole, and its samples by byte range.
"""
# pyarrow and DuckDB have no complete types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false, reportUnknownLambdaType=false

import io
import json
import os
import tarfile
from collections.abc import Iterable
from dataclasses import asdict, fields, replace
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

from manifests.arrow import pc
from manifests.digest import digest_bytes, digest_parts
from manifests.records import Bucket, SampleRef
from manifests.storage import Storage, open_storage

INDEX_FILE = "index.arrow"
PARQUET_FILE = "index.parquet"
TARS = "tars"
VIDEOS, IMAGES = f"{TARS}/videos", f"{TARS}/images"
"""Folders of the tars, for readers of WebDataset."""
ENCODED = "encoded"
PACK_FILE = "pack.json"
"""Describes a shard set; on S3 it is written last, and marks the set complete."""
SET_KEY = "set"
"""Key in the root `PACK_FILE` on S3: the folder of the current set."""

_SCHEMA = pa.schema(
    [
        pa.field("clip_id", pa.string(), nullable=False),
        pa.field("num_frames", pa.int32(), nullable=False),
        pa.field("height", pa.int32(), nullable=False),
        pa.field("width", pa.int32(), nullable=False),
        pa.field("shard", pa.string(), nullable=False),
        pa.field("offset", pa.int64(), nullable=False),
        pa.field("length", pa.int64(), nullable=False),
        pa.field("key", pa.string(), nullable=False),
        pa.field("media_id", pa.string(), nullable=False),
        pa.field("media_digest", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("window_frames", pa.int32(), nullable=False),
        pa.field("text_digest", pa.string(), nullable=False),
    ]
)
_HASHED_ROWS = 65536
_LOCATION = {"shard", "offset", "length"}
"""Columns that say where a sample lies, not what it is."""


class ShardIndex:
    """The samples of one shard set, in packing order."""

    def __init__(self, root: Path, table: pa.Table, s3: str = "", out_uri: str = "") -> None:
        self.root, self._stored, self._s3 = root, table, s3
        self.out_uri = out_uri or str(root)
        """What `kinora pack --out` named: on S3, the prefix above the current set."""
        self._table = _with_defaults(table)
        self._opened: tuple[int, Storage] | None = None

    @classmethod
    def load(cls, root: Path | str) -> Self:
        """Open the index below `root`. Raises FileNotFoundError or ValueError, with the remedy."""
        if str(root).startswith("s3://"):
            storage, data = _open_s3(str(root))
            return cls(
                Path(storage.uri),
                _read_table(pa.BufferReader(data), f"{storage.uri}/{INDEX_FILE}"),
                storage.uri,
                open_storage(root).uri,
            )
        path = Path(root) / INDEX_FILE
        if not path.is_file():
            raise FileNotFoundError(
                f"{root}: no {INDEX_FILE}; make the shards with `kinora pack --out {root}`"
            )
        return cls(Path(root), _read_table(pa.memory_map(str(path)), str(path)))

    @property
    def fps(self) -> float:
        """Frame rate of the buckets' frame counts."""
        return float(self._table.schema.metadata[b"kinora.fps"])

    @property
    def num_samples(self) -> int:
        return self._table.num_rows

    @cached_property
    def digest(self) -> str:
        """Digest of the content: media, texts, buckets, windows and frame rate, but not where samples lie.

        A set packed before content was recorded keeps the digest of its index, which checkpoints refer to.
        """
        state = blake2b(str(self.fps).encode(), digest_size=16)
        if "text_digest" in self._stored.column_names:
            for name in _SCHEMA.names:
                if name not in _LOCATION:
                    _update(state, self._stored[name])
            return state.hexdigest()
        for batch in self._stored.to_batches():
            with pa.ipc.new_stream(sink := pa.BufferOutputStream(), batch.schema) as writer:
                writer.write_batch(batch)
            state.update(memoryview(sink.getvalue()))
        return state.hexdigest()

    def sample(self, row: int) -> SampleRef:
        """Return sample `row`, 0 <= row < num_samples."""
        cell = {name: self._table.column(name)[row].as_py() for name in _SCHEMA.names}
        bucket = Bucket(**{name: cell.pop(name) for name in ("num_frames", "height", "width")})
        return SampleRef(bucket=bucket, **cell)

    @cached_property
    def buckets(self) -> list[Bucket]:
        """The bucket of each sample, read from its columns alone; equal buckets are one object."""
        shapes = zip(*(self.column(name) for name in ("num_frames", "height", "width")), strict=True)
        known: dict[tuple[int, int, int], Bucket] = {}
        return [
            known.setdefault(shape, Bucket(num_frames=shape[0], height=shape[1], width=shape[2]))
            for shape in shapes
        ]

    def column(self, name: str) -> list[Any]:
        """Return one column of the index, a value per sample; `SampleRef` names them."""
        return self._table.column(name).to_pylist()

    def counts(self) -> dict[Bucket, int]:
        """Return how many samples each bucket holds."""
        groups = self._table.group_by(["num_frames", "height", "width"]).aggregate([([], "count_all")])
        return {
            Bucket(num_frames=row["num_frames"], height=row["height"], width=row["width"]): row["count_all"]
            for row in groups.to_pylist()
        }

    def shard_sizes(self) -> dict[str, int]:
        """Return how many bytes of each tar the samples take, from its beginning."""
        ends = pc.add(self._table["offset"], self._table["length"])
        table = pa.table({"shard": self._table["shard"], "end": ends})
        rows = table.group_by("shard").aggregate([("end", "max")]).to_pylist()
        return {row["shard"]: row["end_max"] for row in rows}

    def read(self, ref: SampleRef) -> bytes:
        """Return the tar members of one sample, with their headers. Raises FileNotFoundError."""
        try:
            if self._s3:
                return self._storage().read_range(ref.shard, ref.offset, ref.length)
            with (self.root / ref.shard).open("rb") as shard:
                shard.seek(ref.offset)
                return shard.read(ref.length)
        except FileNotFoundError as error:
            raise FileNotFoundError(
                f"{self.out_uri}: the tar {ref.shard} of the index is not there; bring it back, or pack again"
            ) from error

    def _storage(self) -> Storage:
        """Return the S3 storage; a forked process opens connections of its own."""
        if self._opened is None or self._opened[0] != os.getpid():
            self._opened = os.getpid(), open_storage(self._s3)
        return self._opened[1]


def _open_s3(root: str) -> tuple[Storage, bytes]:
    """Return the storage of the current set below `root`, and the bytes of its index."""
    root_storage = open_storage(root)
    try:
        description = json.loads(root_storage.read(PACK_FILE))
    except FileNotFoundError:
        raise FileNotFoundError(
            f"{root_storage.uri}: no {PACK_FILE}, so there is no complete shard set; "
            f"`kinora pack --out {root_storage.uri}` makes one"
        ) from None
    storage = (
        open_storage(f"{root_storage.uri}/{description[SET_KEY]}")
        if description.get(SET_KEY)
        else root_storage
    )
    return storage, storage.read(INDEX_FILE)


def _read_table(source: pa.NativeFile, where: str) -> pa.Table:
    try:
        table = pa.ipc.open_file(source).read_all()
    except pa.ArrowInvalid as error:
        raise ValueError(f"{where}: not a shard index ({error}); pack again") from error
    if b"kinora.fps" not in (table.schema.metadata or {}):
        raise ValueError(f"{where}: not a shard index of Kinora (no fps); pack again")
    return table


def _with_defaults(table: pa.Table) -> pa.Table:
    """Append the columns that a set packed by an older version lacks, with the values of whole clips."""
    defaults = {"key": "clip_id", "window_frames": "num_frames"}
    for field in _SCHEMA:
        if field.name not in table.column_names:
            same = defaults.get(field.name)
            column = table[same] if same else pa.array([""] * table.num_rows, field.type)
            table = table.append_column(field, column)
    return table


def _update(state: blake2b, column: pa.ChunkedArray) -> None:
    """Hash the values of a column, whatever its chunks."""
    for chunk in column.chunks:
        for start in range(0, len(chunk), _HASHED_ROWS):
            values = chunk.slice(start, _HASHED_ROWS).to_pylist()
            state.update("".join(f"{value}\x1f" for value in values).encode())


def sample_keys(media: pa.Table) -> pa.Array:
    """Return `Media.key` of each row of media."""
    columns = (media[name].to_pylist() for name in ("clip_id", "num_windows", "window_index"))
    keys = (
        clip_id if count < 2 else f"{clip_id}-{index:03d}"
        for clip_id, count, index in zip(*columns, strict=True)
    )
    return pa.array(keys, pa.string())


def serialize_index(samples: Iterable[SampleRef], *, fps: float) -> dict[str, bytes]:
    """Return the index of `samples` by file name: as an Arrow file, and as Parquet."""
    names = [field.name for field in fields(SampleRef) if field.name != "bucket"]
    rows = [{name: getattr(sample, name) for name in names} | asdict(sample.bucket) for sample in samples]
    table = pa.Table.from_pylist(rows, schema=_SCHEMA.with_metadata({"kinora.fps": repr(fps)}))
    arrow, parquet = pa.BufferOutputStream(), pa.BufferOutputStream()
    with pa.ipc.new_file(arrow, table.schema) as writer:
        writer.write_table(table)
    pq.write_table(table, parquet)
    return {
        INDEX_FILE: arrow.getvalue().to_pybytes(),
        PARQUET_FILE: parquet.getvalue().to_pybytes(),
    }


def write_index(root: Path, samples: Iterable[SampleRef], *, fps: float) -> None:
    """Write the index of `samples` below `root`, each file atomically.

    Samples without digests get those of their members, so that the index names its content.
    """
    samples = [sample if sample.text_digest else _with_digests(root, sample) for sample in samples]
    for name, data in serialize_index(samples, fps=fps).items():
        partial = root / f".{name}.partial"
        partial.write_bytes(data)
        partial.replace(root / name)


def _with_digests(root: Path, sample: SampleRef) -> SampleRef:
    """Return a sample with the digests of its media and texts; as it is where its tar cannot be read."""
    try:
        with (root / sample.shard).open("rb") as shard:
            shard.seek(sample.offset)
            data = shard.read(sample.length)
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            members = {tar_info.name: tar.extractfile(tar_info) for tar_info in tar if tar_info.isfile()}
            contents = {name: file.read() for name, file in members.items() if file}
    except (OSError, tarfile.TarError):
        return sample
    texts = {name: data for name, data in contents.items() if name.endswith((".txt", ".json"))}
    media = [digest_bytes(data) for name, data in contents.items() if name not in texts]
    return replace(
        sample,
        media_digest=sample.media_digest or "".join(media[:1]),
        text_digest=digest_parts("members", *(digest_bytes(texts[name]) for name in sorted(texts))),
    )
