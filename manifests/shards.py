"""Where every packed sample lies: one byte range of one tar, in a memory-mapped Arrow file.

Opening an index of a million samples costs no memory: rows are read one at a time from the map. One on S3 is
fetched whole, and the samples by range.
"""

import json
import os
from collections.abc import Iterable
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import Self

import pyarrow as pa

from manifests.records import Bucket, SampleRef
from manifests.storage import Storage, open_storage

INDEX_FILE = "index.arrow"
PACK_FILE = "pack.json"
"""Says that a place holds a shard set, and of what; on S3 it is written last."""
SET_KEY = "set"
"""In the `PACK_FILE` at the top of a place on S3: the folder of the set that counts."""

_SCHEMA = pa.schema(
    [
        pa.field("clip_id", pa.string(), nullable=False),
        pa.field("num_frames", pa.int32(), nullable=False),
        pa.field("height", pa.int32(), nullable=False),
        pa.field("width", pa.int32(), nullable=False),
        pa.field("shard", pa.string(), nullable=False),
        pa.field("offset", pa.int64(), nullable=False),
        pa.field("length", pa.int64(), nullable=False),
    ]
)


class ShardIndex:
    """Every sample of one packed set, in the order it was packed."""

    def __init__(self, root: Path, table: pa.Table, s3: str = "") -> None:
        self.root, self._table, self._s3 = root, table, s3
        self._place: tuple[int, Storage] | None = None

    @classmethod
    def load(cls, root: Path | str) -> Self:
        """Map the index below `root`. Raises FileNotFoundError or ValueError, with the remedy."""
        if str(root).startswith("s3://"):
            place, data = _on_s3(str(root))
            return cls(
                Path(place.uri), _opened(pa.BufferReader(data), f"{place.uri}/{INDEX_FILE}"), place.uri
            )
        path = Path(root) / INDEX_FILE
        if not path.is_file():
            raise FileNotFoundError(
                f"{root}: no {INDEX_FILE}; make the shards with `kinora pack --out {root}`"
            )
        return cls(Path(root), _opened(pa.memory_map(str(path)), str(path)))

    @property
    def fps(self) -> float:
        """Frame rate that the buckets' frame counts are meant at."""
        return float(self._table.schema.metadata[b"kinora.fps"])

    @property
    def num_samples(self) -> int:
        return self._table.num_rows

    @cached_property
    def digest(self) -> str:
        """Name of the content: equal only if the training data is equal."""
        state = blake2b(str(self.fps).encode(), digest_size=16)
        for batch in self._table.to_batches():
            with pa.ipc.new_stream(sink := pa.BufferOutputStream(), batch.schema) as writer:
                writer.write_batch(batch)
            state.update(memoryview(sink.getvalue()))
        return state.hexdigest()

    def sample(self, row: int) -> SampleRef:
        """Return sample `row`, 0 <= row < num_samples."""
        cell = {name: self._table.column(name)[row].as_py() for name in _SCHEMA.names}
        return SampleRef(
            clip_id=cell["clip_id"],
            bucket=Bucket(num_frames=cell["num_frames"], height=cell["height"], width=cell["width"]),
            shard=cell["shard"],
            offset=cell["offset"],
            length=cell["length"],
        )

    def counts(self) -> dict[Bucket, int]:
        """Return how many samples each bucket holds."""
        groups = self._table.group_by(["num_frames", "height", "width"]).aggregate([([], "count_all")])
        return {
            Bucket(num_frames=row["num_frames"], height=row["height"], width=row["width"]): row["count_all"]
            for row in groups.to_pylist()
        }

    def read(self, ref: SampleRef) -> bytes:
        """Return the tar members of one sample, headers and all."""
        if self._s3:
            return self._storage().read_range(ref.shard, ref.offset, ref.length)
        with (self.root / ref.shard).open("rb") as shard:
            shard.seek(ref.offset)
            return shard.read(ref.length)

    def _storage(self) -> Storage:
        """Return the place on S3; a process that was forked off gets connections of its own."""
        if self._place is None or self._place[0] != os.getpid():
            self._place = os.getpid(), open_storage(self._s3)
        return self._place[1]


def _on_s3(root: str) -> tuple[Storage, bytes]:
    """Return the place of the set that counts below `root`, and the bytes of its index."""
    top = open_storage(root)
    try:
        about = json.loads(top.read(PACK_FILE))
    except FileNotFoundError:
        raise FileNotFoundError(
            f"{top.uri}: no {PACK_FILE}, so there is no whole shard set; "
            f"`kinora pack --out {top.uri}` makes one"
        ) from None
    place = open_storage(f"{top.uri}/{about[SET_KEY]}") if about.get(SET_KEY) else top
    return place, place.read(INDEX_FILE)


def _opened(source: pa.NativeFile, where: str) -> pa.Table:
    try:
        table = pa.ipc.open_file(source).read_all()
    except pa.ArrowInvalid as error:
        raise ValueError(f"{where}: not a shard index ({error}); pack again") from error
    if b"kinora.fps" not in (table.schema.metadata or {}):
        raise ValueError(f"{where}: not a shard index of Kinora (no fps); pack again")
    return table


def serialize_index(samples: Iterable[SampleRef], *, fps: float) -> bytes:
    """Return the file of the index of `samples`."""
    rows = [
        {
            "clip_id": sample.clip_id,
            "num_frames": sample.bucket.num_frames,
            "height": sample.bucket.height,
            "width": sample.bucket.width,
            "shard": sample.shard,
            "offset": sample.offset,
            "length": sample.length,
        }
        for sample in samples
    ]
    table = pa.Table.from_pylist(rows, schema=_SCHEMA.with_metadata({"kinora.fps": repr(fps)}))
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def write_index(root: Path, samples: Iterable[SampleRef], *, fps: float) -> None:
    """Write the index of `samples` below `root`, whole or not at all."""
    partial = root / f".{INDEX_FILE}.partial"
    partial.write_bytes(serialize_index(samples, fps=fps))
    partial.replace(root / INDEX_FILE)
