"""What every user of Arrow columns needs."""

from typing import Any

import pyarrow as pa
import pyarrow.compute

pc: Any = pyarrow.compute
"""Made when it is imported, so that checkers see none of its functions."""


def combine(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    """Return a column in one piece."""
    whole = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    return pa.concat_arrays(whole.chunks) if isinstance(whole, pa.ChunkedArray) else whole
