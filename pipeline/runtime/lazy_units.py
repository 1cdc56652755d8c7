"""Units of work that lie in a table until they are handed out: a million of them are columns, not objects."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, TypeVar, overload

import numpy as np
import pyarrow as pa

from manifests.arrow import pc

T = TypeVar("T")

_BATCH_UNITS = 1024
"""How many units are made at once while they are iterated over."""


class LazyUnits(Sequence[T], Generic[T]):
    """A sequence of units, each made of the rows of a table that follow one another with equal keys."""

    def __init__(
        self, table: pa.Table, keys: Sequence[str], make: Callable[[Sequence[dict[str, Any]]], T]
    ) -> None:
        """Take the rows of `table`, sorted by `keys`; without keys every row is a unit."""
        self.table = table.combine_chunks()
        self._make = make
        self._starts_N = _starts(self.table, keys)

    def __len__(self) -> int:
        return len(self._starts_N) - 1

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[T]: ...
    def __getitem__(self, index: int | slice) -> T | Sequence[T]:
        if isinstance(index, slice):
            return [self[at] for at in range(*index.indices(len(self)))]
        at = range(len(self))[index]  # raises IndexError, and counts negative ones from the end
        return next(self._units(at, at + 1))

    def __iter__(self) -> Iterator[T]:
        for first in range(0, len(self), _BATCH_UNITS):
            yield from self._units(first, min(first + _BATCH_UNITS, len(self)))

    def _units(self, first: int, last: int) -> Iterator[T]:
        begin, end = (int(self._starts_N[at]) for at in (first, last))
        rows = self.table.slice(begin, end - begin).to_pylist()
        for at in range(first, last):
            yield self._make(rows[self._starts_N[at] - begin : self._starts_N[at + 1] - begin])


def _starts(table: pa.Table, keys: Sequence[str]) -> np.ndarray:
    """Return where each unit begins, and the number of rows as the last one."""
    num = table.num_rows
    if not keys or num == 0:
        return np.arange(num + 1)
    new_N = np.zeros(num, bool)
    new_N[0] = True
    for key in keys:
        column = table[key]
        other = pc.not_equal(column.slice(1), column.slice(0, num - 1))
        new_N[1:] |= other.fill_null(True).to_numpy()
    return np.append(np.flatnonzero(new_N), num)
