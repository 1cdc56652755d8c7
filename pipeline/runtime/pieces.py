"""Return the results of a task in pieces, so that long tasks are committed as they go.

A worker that dies loses the piece it worked on. Ray runs the task again and expects the same rows in the same
order, so each piece is recorded before it is returned, and the next attempt returns the recorded ones first.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from manifests.digest import digest_parts
from pipeline.runtime.attempt_log import AttemptStore
from pipeline.runtime.units import TaskResult

PIECE_S = 60.0
"""Time after which a task closes a piece, in seconds."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Piece:
    """The result of the next `num_units` units of a task, in their order."""

    num_units: int
    result: TaskResult


class PieceLog:
    """The pieces that earlier attempts at one task returned."""

    def __init__(self, store: AttemptStore, row: Mapping[str, Any]) -> None:
        """Open the log of the task whose units are in `row`. Each chunk of a unit is a task of its own."""
        name = digest_parts("pieces", row["task"], row["units"], row.get("chunk", ""))
        self._store, self._name = store, f"pieces-{name}"

    def read(self) -> Iterator[Piece]:
        """Yield the recorded pieces, in order."""
        for line in self._store.read(self._name):
            try:
                content = json.loads(line)
            except (
                ValueError
            ):  # the worker died while it wrote this line; the next one returned the piece again
                continue
            yield Piece(num_units=content["num_units"], result=TaskResult.from_row(content))

    def append(self, piece: Piece) -> None:
        """Record a piece whose parts are written."""
        line = json.dumps({"num_units": piece.num_units, **piece.result.to_row()})
        self._store.append(self._name, f"\n{line}")  # not at the end of a line that a dead worker began


def rest_of(row: Mapping[str, Any], num_units: int) -> dict[str, Any]:
    """Return the row of a task without its first `num_units` units."""
    units: Sequence[Any] = json.loads(row["units"])[num_units:]
    return {**row, "units": json.dumps(units), "unit_index": list(row["unit_index"])[num_units:]}
