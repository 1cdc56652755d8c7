"""Parts hold columns of any type beside those of their record, and read back as they were written."""

from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from manifests.dataset import Dataset
from manifests.records import Failure

CLAIM = {"text": "A cat sleeps.", "verdict": "supported", "start_s": 0.5, "end_s": None}
COLUMNS = {
    "claims": pa.array(
        [[CLAIM, CLAIM], [], None, [CLAIM]],
        pa.list_(
            pa.struct([("text", pa.string()), ("verdict", pa.string()), ("start_s", pa.float64()),
                       ("end_s", pa.float64())])
        ),
    ),
    "record": pa.array([{"a": 1, "b": {"c": ["x", "y"]}}] * 3 + [None]),
    "nested": pa.array([[[1, 2], []], [[3]], None, []], pa.list_(pa.list_(pa.int64()))),
    "by_name": pa.array([[("a", 1)], [], None, [("b", 2)]], pa.map_(pa.string(), pa.int64())),
    "vector": pa.array([[1.0, 2.0]] * 4, pa.list_(pa.float32(), 2)),
    "nothing": pa.nulls(4),
    "flag": pa.array([True, False, None, True]),
    "data": pa.array([b"\x00", None, b"\xff", b""]),
    "when": pa.array([datetime(2026, 1, 1, tzinfo=UTC)] * 4, pa.timestamp("us", "UTC")),
    "half": pa.array([1.0, 2.0, None, 1.0], pa.float32()).cast(pa.float16()),
}  # fmt: skip


@pytest.mark.parametrize("name", COLUMNS)
@pytest.mark.parametrize("num_rows", [4, 0])
def test_a_column_of_any_type_comes_back(tmp_path, name, num_rows):
    dataset = Dataset.create(tmp_path / "d")
    failure = Failure(stage="cut", unit="u", uri="x", code="C", message="m", remedy="r", config="c")
    rows = dataset.write_records("failures", [failure] * 4)
    table = dataset.read_part(rows).append_column(name, COLUMNS[name]).slice(0, num_rows)
    part = dataset.write_part("failures", table.replace_schema_metadata(None))
    assert dataset.read_part(part)[name].to_pylist() == COLUMNS[name].to_pylist()[:num_rows]


def test_values_that_repeat_are_stored_once_also_within_lists_and_structs(tmp_path):
    dataset = Dataset.create(tmp_path / "d")
    failure = Failure(stage="cut", unit="u", uri="x", code="C", message="m", remedy="r", config="c")
    table = dataset.read_part(dataset.write_records("failures", [failure] * 100))
    claims = [[{"verdict": "supported", "text": f"claim {n} {k}"} for k in range(3)] for n in range(100)]
    part = dataset.write_part("failures", table.append_column("claims", pa.array(claims)))
    with dataset.storage.open_reader(part.path) as file:
        group = pq.ParquetFile(file).metadata.row_group(0)
    encodings = {group.column(i).path_in_schema: group.column(i).encodings for i in range(group.num_columns)}
    assert "RLE_DICTIONARY" in encodings["claims.list.element.verdict"]
    assert "RLE_DICTIONARY" not in encodings["claims.list.element.text"]
