"""A shard set and its index: the byte range of every packed sample in its tar, or in its two tars.

    tars/videos/ar_…/dur_…/res_…/NNNNNN.tar     joined layout: KEY.mp4, KEY.txt and KEY.json side by side
    tars/images/ar_…/dur_…/res_…/NNNNNN.tar     stills, all of one picture format
    media/videos/ar_…/…/NNNNNN.tar              split layout: KEY.mp4 alone, and the stills below media/images
    captions/videos/ar_…/…/NNNNNN.tar           KEY.txt and KEY.json of the same keys, in the same order
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

from manifests.arrow import combine, pc
from manifests.digest import digest_bytes, digest_parts
from manifests.records import Bucket, SampleRef
from manifests.replacing import replacing
from manifests.storage import Storage, open_storage

INDEX_FILE = "index.arrow"
PARQUET_FILE = "index.parquet"
TARS = "tars"
"""Folder of the tars of a joined set, for readers of WebDataset."""
MEDIA_TARS, CAPTION_TARS = "media", "captions"
"""Folders of the tars of a split set."""
VIDEOS, IMAGES = "videos", "images"
"""Folders below these."""
ENCODED = "encoded"
PACK_FILE = "pack.json"
"""Describes a shard set; on S3 it is written last, and marks the set complete."""
SET_KEY = "set"
"""Key in the root `PACK_FILE` on S3: the folder of the current set."""
LAYOUT_KEY, JOINED, SPLIT = "layout", "joined", "split"
"""Key in `PACK_FILE`, and its values."""

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
        pa.field("sidecar", pa.string(), nullable=False),
        pa.field("sidecar_offset", pa.int64(), nullable=False),
        pa.field("sidecar_length", pa.int64(), nullable=False),
        pa.field("sidecar_digest", pa.string(), nullable=False),
    ]
)
_HASHED_ROWS = 65536
_LOCATION = {"shard", "offset", "length", "sidecar", "sidecar_offset", "sidecar_length", "sidecar_digest"}
"""Columns that say where a sample lies and how it was packed, not what it is."""
_SIDECAR = ("sidecar", "sidecar_offset", "sidecar_length")


class ShardIndex:
    """The samples of one shard set, in packing order."""

    def __init__(self, root: Path, table: pa.Table, s3: str = "", out_uri: str = "") -> None:
        """Args:
        root: what the paths of tars are relative to.
        s3: the same as a URI, for a set on S3.
        """
        self.root, self._stored, self._s3 = root, table, s3
        self.out_uri = out_uri or str(root)
        """What `kinora pack --out` named: on S3, the prefix above the current set."""
        self._table = _with_defaults(table)
        self._opened: tuple[int, Storage] | None = None

    @classmethod
    def load(cls, root: Path | str) -> Self:
        """Open the index below `root`. Raises FileNotFoundError or ValueError, with the remedy."""
        if str(root).startswith("s3://"):
            storage, data, tars_uri = _open_s3(str(root))
            return cls(
                Path(tars_uri),
                _read_table(pa.BufferReader(data), f"{storage.uri}/{INDEX_FILE}"),
                tars_uri,
                open_storage(root).uri,
            )
        path = Path(root) / INDEX_FILE
        if not path.is_file():
            raise FileNotFoundError(
                f"{root}: no {INDEX_FILE}; make the shards with `kinora pack --out {root}`"
            )
        return cls(Path(root), _read_table(pa.memory_map(str(path)), str(path)))

    @property
    def table(self) -> pa.Table:
        """Its rows, with all columns of today's version."""
        return self._table

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
        sizes: dict[str, int] = {}
        for shard, offset, length in (("shard", "offset", "length"), tuple(_SIDECAR)):
            ends = pc.add(self._table[offset], self._table[length])
            table = pa.table({"shard": self._table[shard], "end": ends})
            rows = table.group_by("shard").aggregate([("end", "max")]).to_pylist()
            sizes |= {row["shard"]: row["end_max"] for row in rows if row["shard"]}
        return sizes

    def read(self, ref: SampleRef) -> bytes:
        """Return the tar members of one sample, with their headers. Raises FileNotFoundError.

        Those of a split set follow each other as if they came from one tar: media, then texts.
        """
        members = self._read(ref.shard, ref.offset, ref.length)
        return members + self.read_sidecar(ref) if ref.sidecar else members

    def read_sidecar(self, ref: SampleRef) -> bytes:
        """Return the tar members of the texts of a sample of a split set. Raises FileNotFoundError."""
        return self._read(ref.sidecar, ref.sidecar_offset, ref.sidecar_length)

    def _read(self, tar: str, offset: int, length: int) -> bytes:
        try:
            if self._s3:
                return self._storage().read_range(tar, offset, length)
            with (self.root / tar).open("rb") as file:
                file.seek(offset)
                return file.read(length)
        except FileNotFoundError as error:
            raise FileNotFoundError(
                f"{self.out_uri}: the tar {tar} of the index is not there; bring it back, or pack again"
            ) from error

    def _storage(self) -> Storage:
        """Return the S3 storage; a forked process opens connections of its own."""
        if self._opened is None or self._opened[0] != os.getpid():
            self._opened = os.getpid(), open_storage(self._s3)
        return self._opened[1]


def _open_s3(root: str) -> tuple[Storage, bytes, str]:
    """Return the storage of the current set below `root`, the bytes of its index, and where its tars lie.

    Those of a split set lie at the root, since sets share them.
    """
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
    is_split = description.get(LAYOUT_KEY) == SPLIT
    return storage, storage.read(INDEX_FILE), root_storage.uri if is_split else storage.uri


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
            empty = 0 if pa.types.is_integer(field.type) else ""
            column = table[same] if same else pa.repeat(pa.scalar(empty, field.type), table.num_rows)
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
    index = pc.utf8_lpad(media["window_index"].cast(pa.string()), 3, "0")
    of_window = pc.binary_join_element_wise(media["clip_id"], index, "-")
    return combine(pc.if_else(pc.less(media["num_windows"], 2), media["clip_id"], of_window))


def index_table(samples: Iterable[SampleRef]) -> pa.Table:
    """Return the rows of the index of `samples`."""
    names = [field.name for field in fields(SampleRef) if field.name != "bucket"]
    rows = [{name: getattr(sample, name) for name in names} | asdict(sample.bucket) for sample in samples]
    return pa.Table.from_pylist(rows, schema=_SCHEMA)


def serialize_index(table: pa.Table, *, fps: float) -> dict[str, bytes]:
    """Return an index by file name: as an Arrow file, and as Parquet.

    Args:
        table: the columns of `index_table`, in any order.
    """
    table = table.select(_SCHEMA.names).cast(_SCHEMA.with_metadata({"kinora.fps": repr(fps)}))
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
    for name, data in serialize_index(index_table(samples), fps=fps).items():
        with replacing(root / name) as partial:
            partial.write_bytes(data)


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
