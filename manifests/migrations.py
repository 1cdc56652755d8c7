"""How rows of an older schema version become rows of the next: one function a step, oldest first.

A step sees the whole table of one part, score columns included, and returns it with the columns that the next
version has. Once shipped, a step is never changed: files of that version are out there.
"""

from collections.abc import Callable, Mapping

import pyarrow as pa

Step = Callable[[pa.Table], pa.Table]


def media_1_to_2(table: pa.Table) -> pa.Table:
    """Version 2 knows the digest of each clip's bytes; of older ones it is not known."""
    return table.append_column("digest", pa.array([""] * table.num_rows, pa.string()))


def failure_1_to_2(table: pa.Table) -> pa.Table:
    """Version 2 marks what is in quarantine; before, nothing was."""
    return table.append_column("quarantined", pa.array([False] * table.num_rows, pa.bool_()))


STEPS: Mapping[str, tuple[Step, ...]] = {"Media": (media_1_to_2,), "Failure": (failure_1_to_2,)}
"""By record: step i leads from version i + 1 to i + 2. A record without steps is at version 1."""
