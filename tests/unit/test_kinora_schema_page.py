"""docs/manifests.md says what the code says, and its way to read a dataset without Kinora works."""

import contextlib
import io
import re

import pytest
from small_dataset import write_dataset

from kinora.schema_page import BEGIN, COMMIT_DOCS, DECISION_DOCS, END, PAGE, SPECIAL, field_docs, render
from manifests.parts import RECORDS
from manifests.review.decisions import DECISION_COLUMNS
from manifests.schemas import VERSIONS, arrow_schema
from manifests.view_schemas import COMMITS_SCHEMA, VIEWS


def test_the_page_holds_the_reference_of_today():
    """When this fails: `python -m kinora.schema_page`."""
    text = PAGE.read_text()
    assert text.count(BEGIN) == text.count(END) == 1
    assert text.split(BEGIN)[1].split(END)[0].strip() == render().strip()


def test_every_column_of_every_table_is_described():
    text = render()
    for table, record in RECORDS.items():
        assert f"### `{table}`" in text
        assert f"Record `{record.__name__}`, version {VERSIONS[record.__name__]}." in text
        docs = field_docs(record)
        assert [*docs] == arrow_schema(record).names
        assert [name for name, about in docs.items() if not (about or SPECIAL.get((table, name)))] == []
    assert {*DECISION_DOCS} == {*DECISION_COLUMNS}
    assert {*COMMIT_DOCS} == {*COMMITS_SCHEMA.names}
    assert all(f"| `{name}` |" in text for name in VIEWS)


@pytest.fixture
def code() -> str:
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
    assert len(blocks) == 2
    return "".join(blocks)


def test_the_tables_are_read_without_kinora(code, tmp_path, monkeypatch):
    pytest.importorskip("pandas")
    dataset = write_dataset(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert "kinora" not in re.sub(r"#.*", "", code)
    names: dict = {}
    with contextlib.redirect_stdout(io.StringIO()) as shown:
        exec(code, names)
    assert names["captions"].to_pylist() == dataset.read("captions").to_pylist()
    assert "refused" in shown.getvalue()
    assert len(names["frame"]) == 6
    for table in RECORDS:
        if dataset.parts(table):  # type: ignore[arg-type]
            found = names["read_table"](tmp_path / "data", table)
            assert found.to_pylist() == dataset.read(table).to_pylist()  # type: ignore[arg-type]
