"""A sequence of units that are rows of a table until they are read."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, TypeVar, overload

import numpy as np
import pyarrow as pa

from manifests.arrow import pc

T = TypeVar("T")

_BATCH_UNITS = 1024
"""Units built at a time while iterating."""


class LazyUnits(Sequence[T], Generic[T]):
    """A sequence of units, each built from consecutive rows of a table with equal keys."""

    def __init__(
        self, table: pa.Table, keys: Sequence[str], make: Callable[[Sequence[dict[str, Any]]], T]
    ) -> None:
        """Build units by `make` from `table`, sorted by `keys`; without keys, each row is a unit."""
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
            return [self[each] for each in range(*index.indices(len(self)))]
        index = range(len(self))[index]  # raises IndexError; resolves a negative index
        return next(self._units(index, index + 1))

    def __iter__(self) -> Iterator[T]:
        for first in range(0, len(self), _BATCH_UNITS):
            yield from self._units(first, min(first + _BATCH_UNITS, len(self)))

    def _units(self, first: int, last: int) -> Iterator[T]:
        begin, end = (int(self._starts_N[index]) for index in (first, last))
        rows = self.table.slice(begin, end - begin).to_pylist()
        for index in range(first, last):
            yield self._make(rows[self._starts_N[index] - begin : self._starts_N[index + 1] - begin])


def _starts(table: pa.Table, keys: Sequence[str]) -> np.ndarray:
    """Return the first row of each unit, and the number of rows as the last element."""
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
