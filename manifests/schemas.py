"""Arrow schemas derived from the record dataclasses, and conversion between records and tables.

The metadata of every part names its record and schema version. A changed record needs a migration step in
`manifests/migrations.py`, which raises its version; tests pin a digest of each schema.
"""
# pyarrow and DuckDB have no complete types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false, reportUnknownLambdaType=false

import types
from collections.abc import Iterable, Mapping
from dataclasses import fields
from enum import StrEnum
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

import pyarrow as pa

from manifests.migrations import STEPS

R = TypeVar("R")


class SchemaError(ValueError):
    """A file holds rows of another record, or of a newer schema version."""

    is_damage = True
    """As of `manifests.storage.DamagedError`."""


VERSIONS: Mapping[str, int] = {
    name: 1 + len(STEPS.get(name, ()))
    for name in (
        "SourceRow",
        "Clip",
        "Gap",
        "Score",
        "Selection",
        "Duplicate",
        "Media",
        "Caption",
        "Review",
        "Failure",
        "Removal",
    )
}
"""The current schema version of each record."""

_ARROW = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_(), bytes: pa.binary()}


def arrow_schema(record: type) -> pa.Schema:
    """Return the Arrow schema of a record class.

    Raises TypeError for a field whose type has no Arrow equivalent.
    """
    hints = get_type_hints(record)
    columns = [_column(field.name, hints[field.name]) for field in fields(record)]
    version = str(VERSIONS.get(record.__name__, 1))
    return pa.schema(columns, metadata={"kinora.record": record.__name__, "kinora.version": version})


def version_of(record: type, found: pa.Schema, where: str) -> int:
    """Return the schema version of a file with the schema `found`.

    Raises SchemaError if the file holds another record, or a newer version.
    """
    metadata = found.metadata or {}
    name = metadata.get(b"kinora.record", b"").decode()
    number = metadata.get(b"kinora.version", b"").decode()
    if name != record.__name__ or not number.isdecimal():
        held = f"{name} rows of version {number or '?'}" if name else "no record of Kinora"
        raise SchemaError(
            f"{where}: holds {held} where {record.__name__} rows belong; restore it from a copy"
        )
    known = VERSIONS[record.__name__]
    if int(number) > known:
        raise SchemaError(
            f"{where}: {name} rows of schema version {number}, and this Kinora knows versions up to {known}; "
            "upgrade Kinora to read this dataset, or read an older commit of it"
        )
    return int(number)


def upgrade(record: type, table: pa.Table, version: int) -> pa.Table:
    """Migrate `table`, with all columns of `record` at `version`, to the current schema."""
    for step in STEPS.get(record.__name__, ())[version - 1 :]:
        table = step(table)
    current = arrow_schema(record)
    extra = [table.schema.field(name) for name in table.column_names if name not in current.names]
    full = pa.schema([*current, *extra], metadata=current.metadata)
    return table.select(full.names).cast(full)


def to_table(record: type, rows: Iterable[Any]) -> pa.Table:
    """Convert instances of `record` to a table; an empty one if there are none.

    Halves of characters, as in the error of a file whose name is not UTF-8, are written as `\\udcff`.
    """
    names = [field.name for field in fields(record)]
    plain = [{name: _to_arrow(getattr(row, name)) for name in names} for row in rows]
    try:
        return pa.Table.from_pylist(plain, schema=arrow_schema(record))
    except UnicodeEncodeError:
        plain = [{name: _to_utf8(value) for name, value in row.items()} for row in plain]
        return pa.Table.from_pylist(plain, schema=arrow_schema(record))


def from_table(record: type[R], table: pa.Table) -> list[R]:
    """Convert the rows of `table` to records, without the columns that `record` lacks (scores).

    Raises ValueError if a column of the record is missing.
    """
    hints = get_type_hints(record)
    names = [field.name for field in fields(record)]  # type: ignore[arg-type]
    if missing := [name for name in names if name not in table.column_names]:
        raise ValueError(
            f"the table lacks the column(s) {', '.join(missing)} of {record.__name__} "
            "; it was not read through the dataset, which brings older rows up to date"
        )
    convert = {name: _from_arrow(hints[name]) for name in names}
    return [
        record(**{name: convert[name](row[name]) for name in names})
        for row in table.select(names).to_pylist()
    ]


def _column(name: str, hint: Any) -> pa.Field:
    inner, nullable = _unwrap(hint)
    if get_origin(inner) is tuple:
        return pa.field(name, pa.list_(_ARROW[get_args(inner)[0]]), nullable=nullable)
    if isinstance(inner, type) and issubclass(inner, StrEnum):
        return pa.field(name, pa.string(), nullable=nullable)
    if inner not in _ARROW:
        raise TypeError(f"field {name}: {inner} has no column type; use one of {sorted(map(str, _ARROW))}")
    return pa.field(name, _ARROW[inner], nullable=nullable)


def _unwrap(hint: Any) -> tuple[Any, bool]:
    if get_origin(hint) in (Union, types.UnionType):
        inner = [arg for arg in get_args(hint) if arg is not types.NoneType]
        return inner[0], True
    return hint, False


def _to_arrow(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else str(value) if isinstance(value, StrEnum) else value


def _to_utf8(value: Any) -> Any:
    return value.encode(errors="backslashreplace").decode() if isinstance(value, str) else value


def _from_arrow(hint: Any) -> Any:
    inner, _ = _unwrap(hint)
    if get_origin(inner) is tuple:
        return lambda value: None if value is None else tuple(value)
    if isinstance(inner, type) and issubclass(inner, StrEnum):
        return lambda value: None if value is None else inner(value)
    return lambda value: value
