"""Helpers for Arrow columns."""
# pyarrow and DuckDB have no complete types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false, reportUnknownLambdaType=false

from typing import Any

import pyarrow as pa
import pyarrow.compute

pc: Any = pyarrow.compute
"""`pyarrow.compute` as Any: it generates its functions at import, so type checkers do not see them."""


def combine(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    """Return `column` as one contiguous array."""
    whole = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    return pa.concat_arrays(whole.chunks) if isinstance(whole, pa.ChunkedArray) else whole
