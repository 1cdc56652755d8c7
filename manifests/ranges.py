"""Ranges of configuration fields: declared in a field's type, checked when the configuration is made.

>>> @dataclass
... class Config:
...     steps: PositiveInt
...     __post_init__ = check_ranges
>>> Config(steps=0)
ValueError: steps=0 is out of range: Config.steps must be at least 1
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, cast, get_args, get_origin, get_type_hints


@dataclass(frozen=True, kw_only=True, slots=True)
class Range:
    """Bounds of a number, which must also be finite."""

    min: float | None = None
    """Smallest value allowed."""
    above: float | None = None
    """Lower bound that is itself not allowed."""
    max: float | None = None
    """Largest value allowed."""
    below: float | None = None
    """Upper bound that is itself not allowed."""

    def __contains__(self, value: float) -> bool:
        return (
            math.isfinite(value)
            and (self.min is None or value >= self.min)
            and (self.above is None or value > self.above)
            and (self.max is None or value <= self.max)
            and (self.below is None or value < self.below)
        )

    def __str__(self) -> str:
        bounds = {"at least": self.min, "above": self.above, "at most": self.max, "below": self.below}
        given = [f"{words} {bound:g}" for words, bound in bounds.items() if bound is not None]
        return " and ".join(given) or "finite"


Finite = Annotated[float, Range()]
UnitFloat = Annotated[float, Range(min=0, max=1)]
"""A probability or fraction."""
PositiveFloat = Annotated[float, Range(above=0)]
NonNegativeFloat = Annotated[float, Range(min=0)]
PositiveInt = Annotated[int, Range(min=1)]
NonNegativeInt = Annotated[int, Range(min=0)]


def check_ranges(config: Any) -> None:
    """Raise ValueError for a field of a dataclass out of its range. Assign it to `__post_init__`."""
    values = {name: getattr(config, name) for name in config.__dataclass_fields__}
    check_values(type(config), values, type(config).__name__)


def check_values(annotated: Any, values: Mapping[str, Any], owner: str) -> None:
    """Raise ValueError for a value out of its range; `annotated` is the class or function that names it."""
    for name, hint in _hints(annotated).items():
        if name not in values:
            continue
        for value, allowed in _bounded(values[name], hint):
            if value not in allowed:
                raise ValueError(
                    f"{name}={value} is out of range: {_declaring(annotated, name) or owner}.{name} "
                    f"must be {allowed}"
                )


def _declaring(annotated: Any, name: str) -> str:
    """Return the name of the class that declares a field; empty for a function."""
    bases = cast(tuple[type, ...], getattr(annotated, "__mro__", ()))
    return next((base.__name__ for base in bases if name in vars(base).get("__annotations__", {})), "")


@cache
def _hints(annotated: Any) -> dict[str, Any]:
    return get_type_hints(annotated, include_extras=True)


def _bounded(value: Any, hint: Any) -> Iterator[tuple[float, Range]]:
    """Yield each number of a value with its range; a tuple's items and optional values have their own."""
    if get_origin(hint) is Annotated:
        if isinstance(value, int | float) and not isinstance(value, bool):
            yield from ((value, item) for item in hint.__metadata__ if isinstance(item, Range))
        return
    inner = get_args(hint)
    if isinstance(value, tuple | list) and get_origin(hint) is tuple:
        items = cast(tuple[Any, ...] | list[Any], value)
        hints = [inner[0]] * len(items) if len(inner) == 2 and inner[1] is ... else inner
        for item, item_hint in zip(items, hints, strict=False):
            yield from _bounded(item, item_hint)
    elif value is not None:
        for option in inner:
            yield from _bounded(value, option)
