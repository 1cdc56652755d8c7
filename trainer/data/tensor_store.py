"""An append-only store of tensors by name, in a folder or on S3.

Tensors lie in safetensors parts; beside each part, a Parquet file of the same name says where each of its
tensors begins. It is written second, so a part without one was cut short and is invisible, as is a part whose
file is gone or shorter than its index says. A reader fetches single tensors by byte range and holds no file
open.

A tensor's name is a key, such as the digest of what was encoded, or a key, a space and a variant.
"""

import io
import json
import os
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Self
from uuid import uuid4

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors.numpy import save

from manifests.arrow import combine, pc
from manifests.storage import ObjectInfo, Storage, open_storage

_TENSORS, _INDEX = ".safetensors", ".parquet"
_SCHEMA = pa.schema(
    [
        pa.field("space", pa.string(), nullable=False),
        pa.field("name", pa.string(), nullable=False),
        pa.field("offset", pa.int64(), nullable=False),
        pa.field("length", pa.int64(), nullable=False),
        pa.field("dtype", pa.string(), nullable=False),
        pa.field("shape", pa.list_(pa.int32()), nullable=False),
    ]
)
_LISTED = pa.schema([*_SCHEMA, pa.field("part", pa.string(), nullable=False)])
_DTYPES = {"F16": np.dtype("<f2"), "F32": np.dtype("<f4")}
_ABANDONED_S = 24 * 3600.0
"""Age at which a part without an index counts as left by a killed process."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Unreferenced:
    """Tensors of a store that nothing refers to."""

    rows: int
    bytes: int


class TensorStore:
    """The parts below one folder of a storage."""

    def __init__(self, uri: str, folder: str) -> None:
        self.uri, self.folder = uri, folder
        self._opened: tuple[int, Storage] | None = None

    @property
    def storage(self) -> Storage:
        """The storage; a forked process opens connections of its own."""
        if self._opened is None or self._opened[0] != os.getpid():
            self._opened = os.getpid(), open_storage(self.uri)
        return self._opened[1]

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_opened": None}

    def write(self, space: str, tensors: Mapping[str, np.ndarray]) -> int:
        """Write one part; return its bytes.

        Args:
            space: what names are unique within, such as the digest of the network that made the tensors.
        """
        # safetensors writes a strided view's memory as it lies, scrambled
        data = save({name: np.ascontiguousarray(value) for name, value in tensors.items()})
        index, part = _index_of(space, data), f"{self.folder}/{uuid4().hex}"
        self.storage.put(part + _TENSORS, data)
        self.storage.put(part + _INDEX, _parquet(index))
        return len(data)

    def table(self, space: str | None = None) -> pa.Table:
        """Return where every tensor lies, of one space or of all."""
        sizes = {info.key: info.size for info in self._files()}
        parts = sorted(key.removesuffix(_INDEX) for key in sizes if key.endswith(_INDEX))
        stored = [sizes.get(part + _TENSORS, 0) for part in parts]
        with ThreadPoolExecutor(self.storage.max_concurrency) as pool:
            tables = [table for table in pool.map(self._read_index, parts, stored) if table is not None]
        table = pa.concat_tables([_LISTED.empty_table(), *tables])
        return table if space is None else table.filter(pc.equal(table["space"], space))

    def read(self, row: Mapping[str, Any]) -> np.ndarray:
        """Return the tensor of one row of `table` as float32."""
        path = row["part"] + _TENSORS
        try:
            data = self.storage.read_range(path, row["offset"], row["length"])
        except FileNotFoundError as error:
            raise FileNotFoundError(f"{self.uri}/{path}: is not there any more; encode again") from error
        if len(data) != row["length"]:
            raise ValueError(f"{self.uri}/{path}: is cut short; encode again")
        return np.frombuffer(data, _DTYPES[row["dtype"]]).reshape(row["shape"]).astype(np.float32)

    def unreferenced(self, keys: Collection[str]) -> Unreferenced:
        """Return what has none of `keys`, and what killed processes left."""
        table = self.table()
        dead = table.filter(pc.invert(_has_key(table, keys)))
        abandoned = sum(info.size for info in self._abandoned(table))
        return Unreferenced(rows=dead.num_rows, bytes=(pc.sum(dead["length"]).as_py() or 0) + abandoned)

    def drop(self, keys: Collection[str]) -> Unreferenced:
        """Delete what has none of `keys`; return it. Do not call it while a training reads the store."""
        found, table = self.unreferenced(keys), self.table()
        for part in pc.unique(table.filter(pc.invert(_has_key(table, keys)))["part"]).to_pylist():
            rows = table.filter(pc.equal(table["part"], part))
            self._rewrite(rows.filter(_has_key(rows, keys)))
            self.storage.delete(part + _INDEX)
            self.storage.delete(part + _TENSORS)
        for info in self._abandoned(table):
            self.storage.delete(info.key)
        return found

    def _rewrite(self, rows: pa.Table) -> None:
        """Write the tensors of some rows of one part as a new part."""
        for space in pc.unique(rows["space"]).to_pylist():
            kept = rows.filter(pc.equal(rows["space"], space)).to_pylist()
            stored = {row["name"]: self.read(row).astype(_DTYPES[row["dtype"]]) for row in kept}
            self.write(space, stored)

    def _files(self) -> Iterator[ObjectInfo]:
        return self.storage.list(self.folder)

    def _abandoned(self, table: pa.Table) -> list[ObjectInfo]:
        """Return the files of parts that `table` lacks, old enough that none is being written."""
        parts = {*pc.unique(table["part"]).to_pylist()}
        old_s = time.time() - _ABANDONED_S
        return [
            info
            for info in self._files()
            if info.key.removesuffix(_TENSORS).removesuffix(_INDEX) not in parts and info.modified_s < old_s
        ]

    def _read_index(self, part: str, num_bytes: int) -> pa.Table | None:
        """Return the index of one part; None if it was dropped meanwhile, or the part is damaged.

        Args:
            num_bytes: size of its tensors' file.
        """
        try:
            table = pq.read_table(io.BytesIO(self.storage.read(part + _INDEX)), schema=_SCHEMA)
        except (FileNotFoundError, pa.ArrowInvalid):
            return None
        if num_bytes < (pc.max(pc.add(table["offset"], table["length"])).as_py() or 0):
            return None
        return table.append_column(_LISTED.field("part"), pa.array([part] * table.num_rows, pa.string()))


class TensorReader:
    """Chosen tensors of a store, by position."""

    def __init__(self, store: TensorStore, table: pa.Table) -> None:
        """Args:
        table: rows of `store.table`.
        """
        self._store, self._table = store, table.combine_chunks()

    @classmethod
    def open(cls, store: TensorStore, space: str) -> Self:
        """Open the tensors of one space."""
        return cls(store, store.table(space))

    def positions(self, names: Sequence[str]) -> np.ndarray:
        """Return the position of each tensor, -1 for one that the store lacks."""
        found = pc.index_in(pa.array(names, pa.string()), value_set=combine(self._table["name"]))
        return pc.fill_null(found, -1).to_numpy(zero_copy_only=False)

    def at(self, position: int) -> np.ndarray:
        """Return one tensor as float32."""
        return self._store.read(self._table.slice(position, 1).to_pylist()[0])


class PartWriter:
    """Collect tensors, and write a part when they are large or old, so that a kill loses at most one."""

    def __init__(self, store: TensorStore, space: str, *, max_bytes: int, max_s: float) -> None:
        self._store, self._space, self._max_bytes, self._max_s = store, space, max_bytes, max_s
        self._tensors: dict[str, np.ndarray] = {}
        self._bytes, self._since = 0, time.monotonic()
        self.written_bytes = 0

    def add(self, tensors: Mapping[str, np.ndarray]) -> None:
        """Add tensors that belong into one part."""
        self._tensors |= tensors
        self._bytes += sum(tensor.nbytes for tensor in tensors.values())
        if self._bytes >= self._max_bytes or time.monotonic() - self._since >= self._max_s:
            self.flush()

    def flush(self) -> None:
        """Write what was collected."""
        if self._tensors:
            self.written_bytes += self._store.write(self._space, self._tensors)
        self._tensors, self._bytes, self._since = {}, 0, time.monotonic()


def compact(values: np.ndarray) -> np.ndarray:
    """Return values as float16 if it holds them, else as float32. Raises ValueError if one is not finite."""
    largest = np.abs(values).max(initial=0)
    if not np.isfinite(largest):
        raise ValueError("gives values that are not finite")
    return values.astype(np.float16 if largest <= np.finfo(np.float16).max else np.float32)


def _index_of(space: str, data: bytes) -> pa.Table:
    """Return where each tensor of a safetensors file lies."""
    size = int.from_bytes(data[:8], "little")
    header: dict[str, Any] = json.loads(data[8 : 8 + size])
    header.pop("__metadata__", None)
    rows = [
        {
            "space": space,
            "name": name,
            "offset": 8 + size + tensor["data_offsets"][0],
            "length": tensor["data_offsets"][1] - tensor["data_offsets"][0],
            "dtype": tensor["dtype"],
            "shape": tensor["shape"],
        }
        for name, tensor in header.items()
    ]
    return pa.Table.from_pylist(rows, schema=_SCHEMA)


def _parquet(table: pa.Table) -> bytes:
    pq.write_table(table, sink := pa.BufferOutputStream(), compression="zstd")
    return sink.getvalue().to_pybytes()


def _has_key(table: pa.Table, keys: Collection[str]) -> pa.ChunkedArray:
    """Return which names begin with one of `keys`."""
    own = pc.list_element(pc.split_pattern(table["name"], " ", max_splits=1), 0)
    return pc.is_in(own, value_set=pa.array(list(keys), pa.string()))
