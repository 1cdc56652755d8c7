"""The commit that added each row of a table."""

import numpy as np

from manifests.dataset import Dataset
from manifests.parts import TableName


def commit_numbers(dataset: Dataset, table: TableName) -> np.ndarray:
    """Return the commit number of each row of `table`."""
    visible = {part.path for part in dataset.parts(table)}
    rows = [
        (commit.number, part.rows)
        for commit in dataset.commits
        for part in commit.added
        if part.path in visible
    ]
    return np.repeat(*np.array(rows, np.int64).reshape(-1, 2).T)
