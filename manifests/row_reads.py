"""Read single rows of a table without the parts that hold none of them."""
# pyarrow has no complete types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false, reportUnknownLambdaType=false

from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa

from manifests.dataset import Dataset
from manifests.parts import TableName


def read_rows(
    dataset: Dataset,
    table: TableName,
    columns: Sequence[str],
    row_N: np.ndarray,
    transform: Callable[[pa.Table], pa.Table] = lambda rows: rows,
) -> pa.Table:
    """Return rows of a table by their index among those of `Dataset.read`, in the order of `row_N`.

    Args:
        transform: applied to the rows of each part, which bounds memory; returns as many.
    """
    order_N = np.argsort(row_N, kind="stable")
    parts = dataset.parts(table)
    start_P = np.concatenate([[0], np.cumsum([part.rows for part in parts])]).astype(np.int64)
    bound_P = np.searchsorted(row_N[order_N], start_P)

    def read(number: int) -> pa.Table:
        own_N = row_N[order_N[bound_P[number] : bound_P[number + 1]]] - start_P[number]
        rows = _take(dataset.read_part(parts[number], columns), own_N)
        return transform(rows).replace_schema_metadata(None)

    held = [number for number in range(len(parts)) if bound_P[number] < bound_P[number + 1]]
    if not held:
        return dataset.read(table, columns, lambda part: transform(part.slice(0, 0)))
    place_N = np.empty_like(order_N)
    place_N[order_N] = np.arange(len(order_N))
    found = pa.concat_tables(dataset.map_parallel(read, held), promote_options="default")
    return _take(found, place_N)


def _take(rows: pa.Table, row_N: np.ndarray) -> pa.Table:
    """Return rows in the order of `row_N`; all of them in their own order are not copied."""
    if len(row_N) == rows.num_rows and np.array_equal(row_N, np.arange(len(row_N))):
        return rows
    return rows.take(pa.array(row_N))
