"""Plain dataclasses to JSON, and JSON of a request to dataclasses, with checks of every field."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from datetime import date, datetime
from enum import Enum
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from manifests.review.web.errors import BadRequest

T = TypeVar("T")
MAX_INTEGER = 2**53 - 1
"""Largest integer that JSON means the same in every language."""


def to_json(value: Any) -> Any:
    """Return `value` as JSON types. Bytes are left out (None), and so are numbers that JSON lacks."""
    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: to_json(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {str(key): to_json(each) for key, each in cast(Mapping[Any, Any], value).items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [to_json(each) for each in cast(Sequence[Any], value)]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, datetime | date):
        return value.isoformat()
    return value if isinstance(value, str | int | bool | NoneType) else None


def from_json(record: type[T], values: object, **known: Any) -> T:
    """Return an instance of a dataclass from a JSON object.

    Args:
        known: fields that the server fills in, which the object may not have.

    Raises:
        BadRequest: a field is unknown, missing, or of another type.
    """
    if not isinstance(values, dict):
        raise BadRequest(f"{record.__name__}: not a JSON object")
    given = cast(dict[str, Any], values)
    hints = get_type_hints(record)
    declared = {each.name: each for each in fields(cast(Any, record)) if each.name not in known}
    if unknown := sorted(given.keys() - declared.keys()):
        raise BadRequest(f"{unknown[0]}: no field of {record.__name__}")
    made = {name: _value(hints[name], given[name], name) for name in declared if name in given}
    for name, each in declared.items():
        if name not in made and each.default is MISSING and each.default_factory is MISSING:
            raise BadRequest(f"{name}: missing")
    return record(**made, **known)


def _value(hint: Any, value: Any, name: str) -> Any:
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        if value is None and NoneType in inner:
            return None
        return _value(next(each for each in inner if each is not NoneType), value, name)
    if origin is Literal:
        if value not in inner:
            raise BadRequest(f"{name}: {value!r} is none of {', '.join(map(str, inner))}")
        return value
    if origin is not None and issubclass(origin, Sequence):
        if not isinstance(value, list):
            raise BadRequest(f"{name}: not a list")
        return tuple(_value(inner[0], each, name) for each in cast(list[Any], value))
    if is_dataclass(hint):
        return from_json(cast(type[Any], hint), value)
    if isinstance(hint, type) and issubclass(hint, Enum):
        try:
            return hint(value)
        except ValueError:
            raise BadRequest(
                f"{name}: {value!r} is none of {', '.join(str(e.value) for e in hint)}"
            ) from None
    if isinstance(value, int) and abs(value) > MAX_INTEGER:
        raise BadRequest(f"{name}: is beyond {MAX_INTEGER}")
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        raise BadRequest(f"{name}: {value!r} is no {hint.__name__}")
    if isinstance(value, float) and not math.isfinite(value):
        raise BadRequest(f"{name}: is not finite")
    return value
