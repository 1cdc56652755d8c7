"""Immutable Parquet parts: write one atomically, read one under the current schema."""
# pyarrow and DuckDB have no complete types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false, reportUnknownLambdaType=false

from collections.abc import Collection, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from errno import ENOENT
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq

from manifests import records, schemas
from manifests.arrow import combine, pc
from manifests.digest import digest_bytes
from manifests.storage import DamagedError, LocalStorage, Storage, open_storage

TableName = Literal[
    "sources",
    "clips",
    "gaps",
    "scores",
    "selections",
    "duplicates",
    "media",
    "captions",
    "reviews",
    "failures",
    "removals",
]

RECORDS: Mapping[str, type] = {
    "sources": records.SourceRow,
    "clips": records.Clip,
    "gaps": records.Gap,
    "scores": records.Score,
    "selections": records.Selection,
    "duplicates": records.Duplicate,
    "media": records.Media,
    "captions": records.Caption,
    "reviews": records.Review,
    "failures": records.Failure,
    "removals": records.Removal,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """One immutable Parquet file of rows."""

    table: str
    path: str
    """Key relative to the dataset."""
    rows: int
    size_bytes: int = 0
    digest: str = ""
    """128-bit BLAKE2b of the file; empty in log entries of version 1."""


_SAMPLE_ROWS = 1000
"""Rows that decide whether a column is written with a dictionary."""


class PartStore:
    """Reads and writes the parts of a dataset, without its log: all that a task needs to write rows."""

    def __init__(self, location: Storage | str | Path) -> None:
        self.storage = open_storage(location) if isinstance(location, str | Path) else location

    def write_part(self, table: TableName, rows: pa.Table) -> Part:
        """Write `rows` as a new part, which becomes visible when a commit adds it.

        Extra columns (scores) are kept. Raises ValueError if a column of the table's record is missing.
        """
        data = self.encode(table, rows)
        path = f"{table}/part-{uuid4().hex}.parquet"
        self.storage.put(path, data)
        return Part(
            table=table, path=path, rows=rows.num_rows, size_bytes=data.nbytes, digest=digest_bytes(data)
        )

    def encode(self, table: TableName, rows: pa.Table) -> memoryview:
        """Return the content of a part. Raises ValueError as `write_part`."""
        wanted = schemas.arrow_schema(RECORDS[table])
        if missing := [name for name in wanted.names if name not in rows.column_names]:
            raise ValueError(f"{table}: the part lacks the column(s) {', '.join(missing)}")
        extra = [rows.schema.field(name) for name in rows.column_names if name not in wanted.names]
        full = pa.schema([*wanted, *extra], metadata=wanted.metadata)
        sink = pa.BufferOutputStream()
        cast = rows.select(full.names).cast(full)
        dictionary: Any = _with_dictionary(cast)
        pq.write_table(cast, sink, compression="zstd", use_dictionary=dictionary)
        return memoryview(sink.getvalue())

    def write_records(self, table: TableName, rows: Iterable[Any]) -> Part:
        """Write records as a new part of `table`."""
        return self.write_part(table, schemas.to_table(RECORDS[table], rows))

    def read_part(
        self, part: Part, columns: Sequence[str] | None = None, *, without: Collection[str] = ()
    ) -> pa.Table:
        """Return the rows of `part` under the current schema, with those of `columns` that it has.

        Args:
            columns: all but `without` by default.

        Raises schemas.SchemaError for a part of a newer version of Kinora, DamagedError for a damaged one.
        """
        with self._open(part) as file:
            parquet = pq.ParquetFile(file)
            record, where = RECORDS[part.table], f"{self.storage.uri}/{part.path}"
            version = schemas.version_of(record, parquet.schema_arrow, where)
            if version == schemas.VERSIONS[record.__name__]:
                if columns is None and without:
                    columns = [name for name in parquet.schema_arrow.names if name not in without]
                return parquet.read(columns=columns, use_threads=False)  # parts are read concurrently
            table = schemas.upgrade(record, parquet.read(use_threads=False), version)
        if columns is None:
            return table.drop_columns([name for name in without if name in table.column_names])
        return table.select([name for name in columns if name in table.column_names])

    def schema(self, part: Part) -> pa.Schema:
        """Return the columns in the file of `part`."""
        with self._open(part) as file:
            return pq.read_schema(file)

    @contextmanager
    def _open(self, part: Part) -> Generator[Any]:
        """Open a part. Raises DamagedError, with its name, if it is missing or damaged."""
        try:
            with self._reader(part.path) as file:
                yield file
        except (FileNotFoundError, pa.ArrowException, OSError) as error:
            if isinstance(error, OSError) and error.errno not in (None, ENOENT):  # Arrow's own have no number
                raise
            raise DamagedError(
                f"{self.storage.uri}/{part.path}: is missing or damaged ({error}); restore it from a copy. "
                "`kinora captions check` lists all damage"
            ) from error

    def _reader(self, key: str) -> Any:
        """Open a file; one on a disk without Python's file object, through which every read takes the GIL."""
        if isinstance(self.storage, LocalStorage):
            return pa.OSFile(str(self.storage.root / key))
        return self.storage.open_reader(key)


_NOT_COUNTED = (pa.types.is_nested, pa.types.is_dictionary, pa.types.is_null, pa.types.is_float16)
"""Types whose distinct values Arrow does not count."""


def _with_dictionary(table: pa.Table) -> list[str]:
    """Return the columns with few values among the first rows; of others a dictionary slows down reading."""
    first = table.slice(0, _SAMPLE_ROWS)
    leaves = (leaf for name in table.schema.names for leaf in _leaves(combine(first[name]), name))
    return [path for path, values in leaves if pc.count_distinct(values).as_py() <= len(values) / 2]


def _leaves(values: pa.Array, path: str) -> Iterator[tuple[str, pa.Array]]:
    """Yield the values within lists and structs, with their path in Parquet; those of plain types alone."""
    kind = values.type
    if pa.types.is_list(kind):
        yield from _leaves(pc.list_flatten(values), f"{path}.list.element")
    elif pa.types.is_struct(kind):
        for index, field in enumerate(kind):
            yield from _leaves(pc.struct_field(values, [index]), f"{path}.{field.name}")
    elif not any(is_kind(kind) for is_kind in _NOT_COUNTED):
        yield path, values
