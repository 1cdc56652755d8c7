"""Records as Arrow tables: the dataclass is the schema, so the two cannot drift apart."""

import types
from collections.abc import Iterable
from dataclasses import fields
from enum import StrEnum
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

import pyarrow as pa

R = TypeVar("R")

VERSION = 2
"""Raised whenever a record changes; written into every part."""

_ARROW = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_(), bytes: pa.binary()}


def schema(record: type) -> pa.Schema:
    """Return the Arrow schema of a record class.

    Raises TypeError for a field whose type has no column type.
    """
    hints = get_type_hints(record)
    columns = [_column(field.name, hints[field.name]) for field in fields(record)]
    return pa.schema(columns, metadata={"kinora.record": record.__name__, "kinora.version": str(VERSION)})


def to_table(record: type, rows: Iterable[Any]) -> pa.Table:
    """Return `rows`, instances of `record`, as a table (also when there are none)."""
    names = [field.name for field in fields(record)]
    plain = [{name: _plain(getattr(row, name)) for name in names} for row in rows]
    return pa.Table.from_pylist(plain, schema=schema(record))


def from_table(record: type[R], table: pa.Table) -> list[R]:
    """Return the records in `table`; columns that `record` lacks (scores) are left out.

    Raises ValueError when a column of the record is missing.
    """
    hints = get_type_hints(record)
    names = [field.name for field in fields(record)]  # type: ignore[arg-type]
    if missing := [name for name in names if name not in table.column_names]:
        raise ValueError(
            f"the table lacks the column(s) {', '.join(missing)} of {record.__name__} "
            f"(schema version {VERSION}); it was written by another version of Kinora"
        )
    make = {name: _maker(hints[name]) for name in names}
    return [
        record(**{name: make[name](row[name]) for name in names}) for row in table.select(names).to_pylist()
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


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else str(value) if isinstance(value, StrEnum) else value


def _maker(hint: Any) -> Any:
    inner, _ = _unwrap(hint)
    if get_origin(inner) is tuple:
        return lambda value: None if value is None else tuple(value)
    if isinstance(inner, type) and issubclass(inner, StrEnum):
        return lambda value: None if value is None else inner(value)
    return lambda value: value
