"""Helpers for Arrow columns."""
# pyarrow and DuckDB have no complete types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false, reportUnknownLambdaType=false

from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute

from manifests.digest import DIGEST_BYTES, raw_digest

pc: Any = pyarrow.compute
"""`pyarrow.compute` as Any: it generates its functions at import, so type checkers do not see them."""


def combine(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    """Return `column` as one contiguous array."""
    whole = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    return pa.concat_arrays(whole.chunks) if isinstance(whole, pa.ChunkedArray) else whole


def digest_texts(texts: pa.ChunkedArray | pa.Array) -> pa.Array:
    """Return `digest_parts` of each text alone; null for null."""
    chunks = texts.chunks if isinstance(texts, pa.ChunkedArray) else [texts]
    return pa.concat_arrays([pa.array([], pa.string()), *map(_digest_chunk, chunks)])


def _digest_chunk(texts: pa.Array) -> pa.Array:
    """Hash slices of the buffer, without a Python string for each text."""
    texts = pa.concat_arrays([texts.cast(pa.large_string())])  # begins at the beginning of its buffers
    _, offsets, data = texts.buffers()
    ends = np.frombuffer(offsets, np.int64)[: len(texts) + 1].tolist() if len(texts) else [0]
    view = memoryview(data or b"")
    digests = b"".join([raw_digest(view[first:last]) for first, last in pairwise(ends)]).hex().encode()
    starts_N = np.arange(len(texts) + 1, dtype=np.int32) * 2 * DIGEST_BYTES
    found = pa.Array.from_buffers(
        pa.string(), len(texts), [None, pa.py_buffer(starts_N), pa.py_buffer(digests)]
    )
    return pc.if_else(texts.is_valid(), found, pa.scalar(None, pa.string())) if texts.null_count else found
