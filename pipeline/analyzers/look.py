"""What every analyzer sees of a frame, and the span that it is asked about."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol

import numpy as np


@dataclass(frozen=True, slots=True)
class Column:
    """One score column of the clips table. It is null where there was nothing to measure."""

    name: str
    type: Literal["float64", "int64", "bool", "string", "binary"]
    """Name of its Arrow type; a name, because the decoding process loads no Arrow."""
    about: str
    """What it tells and in which unit, in a few words."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Look:
    """One decoded frame at the analysis size."""

    index: int
    """0 for the first frame of the source."""
    time_s: float
    """Seconds since the first frame."""
    rgb_HWC: np.ndarray
    gray_HW: np.ndarray
    sampled: bool
    """One of the few frames a second that dear analyzers look at."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """Frames `start` to `end - 1` of a source, counted from 0."""

    start: int
    end: int


class Analyzer(Protocol):
    """Fed once with every frame, in order; then asked about each clip."""

    COLUMNS: ClassVar[tuple[Column, ...]]
    """What `columns` returns."""

    def update(self, look: Look) -> None: ...

    def columns(self, span: Span) -> dict[str, Any]:
        """Return the score columns of one clip; None where there was nothing to measure."""
        ...
