"""Rows of several parts by index, in any order, from the parts that hold them alone."""

import numpy as np
import pytest

from manifests.dataset import Commit, Dataset
from manifests.records import Failure
from manifests.row_reads import read_rows


@pytest.fixture
def dataset(tmp_path) -> Dataset:
    dataset = Dataset.create(tmp_path / "d")
    for part in range(3):
        rows = [
            Failure(stage="x", unit=f"{part}-{n}", uri="/u", code="C", message="m", remedy="r", config="c")
            for n in range(4)
        ]
        dataset = dataset.commit(Commit(stage="x", added=(dataset.write_records("failures", rows),)))
    return dataset


@pytest.mark.parametrize("rows", [[], [0], [11, 0, 5], [4, 4, 7, 3], [*range(12)], [10, 9, 8]])
def test_rows_come_in_the_order_asked_for(dataset, rows):
    whole = dataset.read("failures", ["unit", "code"])
    found = read_rows(dataset, "failures", ["unit", "code"], np.array(rows, np.int64))
    assert found.to_pylist() == [whole.slice(row, 1).to_pylist()[0] for row in rows]


def test_parts_without_a_row_are_not_read(dataset):
    first, *others = dataset.parts("failures")
    for part in others:
        dataset.storage.delete(part.path)
    assert read_rows(dataset, "failures", ["unit"], np.array([3, 1]))["unit"].to_pylist() == ["0-3", "0-1"]
    assert first.rows == 4
