"""Scorers of your own: functions, or classes that load a model, given in the configuration as `module:name`.

    from pipeline.columns import Column

    def brightness(frames_THWC):
        return {"my_brightness": float(frames_THWC.mean()) / 255}

    brightness.columns = (Column("my_brightness", "float64", "mean of all channels, 0 to 1", (0.0, 1.0)),)
    brightness.version = "1"

Without `version`, a change of the module's source is another scorer. A class is made once per actor.
"""

import inspect
import math
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from manifests.own_functions import call_own, load_own
from pipeline.columns import Column
from pipeline.errors import OwnScorerFailed

SETTING = "analyze.scorers.own"
_TYPES: dict[str, tuple[type, ...]] = {
    "float64": (int, float),
    "int64": (int,),
    "bool": (bool,),
    "string": (str,),
    "binary": (bytes,),
}


class OwnScorer:
    """Calls the function, and checks what it returns against its columns."""

    def __init__(self, name: str) -> None:
        self._call: Callable[[np.ndarray], Any] = call_own(name, SETTING)
        self._name, self._columns = name, {column.name: column for column in own_columns(name)}

    def score(self, frames: Sequence[np.ndarray]) -> dict[str, Any]:
        """Return the columns of a clip from its frames, rgb_HWC of one size.

        Raises OwnScorerFailed for what the scorer raises, for an unknown column, and for a value of another
        type, infinite or out of range.
        """
        try:
            values = self._call(np.stack(frames))
        except Exception as error:
            raise OwnScorerFailed(f"{self._name}: {type(error).__name__}: {error}") from error
        if not isinstance(values, dict):
            raise OwnScorerFailed(f"{self._name} returned {type(values).__name__}, not a dict of its columns")
        if unknown := sorted(map(str, values.keys() - self._columns.keys())):
            raise OwnScorerFailed(f"{self._name} returned {', '.join(unknown)}, which it does not declare")
        return {name: self._checked(self._columns[name], value) for name, value in values.items()}

    def _checked(self, column: Column, value: Any) -> Any:
        value = value.item() if isinstance(value, np.generic) else value
        if value is None or (isinstance(value, float) and math.isnan(value)):
            return None
        is_bool = isinstance(value, bool)
        if not isinstance(value, _TYPES[column.type]) or (is_bool and column.type != "bool"):
            raise OwnScorerFailed(f"{self._name} returned {value!r} for {column.name}, a {column.type}")
        if isinstance(value, float) and math.isinf(value):
            raise OwnScorerFailed(
                f"{self._name} returned {value!r} for {column.name}: give a finite number or NaN"
            )
        if column.range is not None and not column.range[0] <= value <= column.range[1]:
            raise OwnScorerFailed(f"{self._name} returned {value!r} for {column.name}, out of {column.range}")
        if isinstance(value, str):
            return value.encode(errors="backslashreplace").decode()  # a file cannot hold half a character
        return float(value) if column.type == "float64" else value


def own_columns(name: str) -> tuple[Column, ...]:
    """Return the columns that a scorer declares. Raises ValueError if they are none or not valid."""
    declared: Any = getattr(load_own(name, SETTING), "columns", ())
    columns = tuple(declared) if isinstance(declared, tuple | list) else ()
    if not columns or not all(isinstance(each, Column) and each.type in _TYPES for each in columns):
        raise ValueError(
            f"{SETTING}: {name}: set its attribute `columns` to a tuple of pipeline.columns.Column"
        )
    return columns


def own_version(name: str) -> str:
    """Return the version that a scorer states, or else the source of its module."""
    found = load_own(name, SETTING)
    version = getattr(found, "version", None)
    return f"version {version}" if version is not None else inspect.getsource(sys.modules[found.__module__])
