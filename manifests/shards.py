"""Where every packed sample lies: one byte range of one tar, in a memory-mapped Arrow file.

Opening an index of a million samples costs no memory: rows are read one at a time from the map.
"""

from collections.abc import Iterable
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import Self

import pyarrow as pa

from manifests.records import Bucket, SampleRef

FILE_NAME = "index.arrow"

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

    def __init__(self, root: Path, table: pa.Table) -> None:
        self.root, self._table = root, table

    @classmethod
    def load(cls, root: Path | str) -> Self:
        """Map the index below `root`. Raises FileNotFoundError or ValueError, with the remedy."""
        path = Path(root) / FILE_NAME
        if not path.is_file():
            raise FileNotFoundError(
                f"{root}: no {FILE_NAME}; make the shards with `kinora pack --out {root}`"
            )
        try:
            table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
        except pa.ArrowInvalid as error:
            raise ValueError(f"{path}: not a shard index ({error}); pack again") from error
        if b"kinora.fps" not in (table.schema.metadata or {}):
            raise ValueError(f"{path}: not a shard index of Kinora (no fps); pack again")
        return cls(Path(root), table)

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
        with (self.root / ref.shard).open("rb") as shard:
            shard.seek(ref.offset)
            return shard.read(ref.length)


def write_index(root: Path, samples: Iterable[SampleRef], *, fps: float) -> None:
    """Write the index of `samples` below `root`, whole or not at all."""
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
    partial = root / f".{FILE_NAME}.partial"
    with pa.OSFile(str(partial), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    partial.replace(root / FILE_NAME)
