"""The store: all of a commit or nothing, the past stays readable, nothing foreign is overwritten."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from pathlib import Path

import pyarrow as pa
import pytest

from manifests import schemas
from manifests.dataset import Commit, Dataset, DatasetError
from manifests.live_view import LiveView
from manifests.records import Caption, Failure, Outcome, SourceRow, SourceStatus, clip_id


def failure(unit: str, code: str = "NOT_MEDIA") -> Failure:
    return Failure(
        stage="analyze", unit=unit, uri=f"/{unit}", code=code, message="no", remedy="fix", config="c"
    )


def source(key: str, analysis: str, status: SourceStatus) -> SourceRow:
    nothing = {field.name: None for field in fields(SourceRow)}
    known = {"source_key": key, "uri": f"/{key}", "size_bytes": 1, "etag": "1", "carried": "{}"}
    return SourceRow(**{**nothing, **known, "analysis": analysis, "status": status})


def test_rows_come_back_as_they_went_in(tmp_path):
    caption = Caption(
        clip_id="c",
        media_id="m",
        outcome=Outcome.REFUSED,
        text=None,
        short=None,
        captioner="vlm",
        model="x",
        revision="r",
        prompt_digest="p",
        decoding="{}",
        frames_shown=(0, 4),
    )
    dataset = Dataset.create(tmp_path / "d")
    dataset = dataset.commit(Commit(stage="caption", added=(dataset.write_records("captions", [caption]),)))
    assert Dataset.open(tmp_path / "d").records("captions") == [caption]
    (part,) = (tmp_path / "d" / "captions").iterdir()
    for harm in (part.write_bytes, lambda _: part.unlink()):
        harm(b"PAR1")
        with pytest.raises(DatasetError, match=f"{part.name}: is missing or damaged .*; restore it"):
            Dataset.open(tmp_path / "d").records("captions")


def test_a_part_counts_only_once_committed_and_the_past_stays(tmp_path):
    dataset = Dataset.create(tmp_path / "d")
    part = dataset.write_records("failures", [failure("a")])
    assert Dataset.open(tmp_path / "d").read("failures").num_rows == 0
    dataset = dataset.commit(Commit(stage="analyze", added=(part,)))
    dataset = dataset.commit(Commit(stage="analyze", removed=(part.path,)))
    assert dataset.read("failures").num_rows == 0
    assert Dataset.open(tmp_path / "d", at=1).read("failures").num_rows == 1


def test_scores_are_columns_and_parts_may_differ(tmp_path):
    dataset = Dataset.create(tmp_path / "d")
    plain = schemas.to_table(Failure, [failure("a")])
    scored = schemas.to_table(Failure, [failure("b")]).append_column("motion", pa.array([0.5]))
    added = (dataset.write_part("failures", plain), dataset.write_part("failures", scored))
    rows = dataset.commit(Commit(stage="analyze", added=added)).read("failures").to_pylist()
    assert [(row["unit"], row["motion"]) for row in rows] == [("a", None), ("b", 0.5)]


def test_a_part_without_a_required_column_is_refused(tmp_path):
    dataset = Dataset.create(tmp_path / "d")
    with pytest.raises(ValueError, match=r"captions: the part lacks the column.*clip_id"):
        dataset.write_part("captions", pa.table({"text": ["x"]}))


def test_a_folder_with_something_else_is_never_touched(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(DatasetError, match="already holds something that is not"):
        Dataset.create(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
    with pytest.raises(DatasetError, match="no dataset here"):
        Dataset.open(tmp_path)
    with pytest.raises(DatasetError, match="is a file"):
        Dataset.create(tmp_path / "thesis.txt")


def race(root: Path, writer: int) -> int:
    wins = 0
    for _ in range(20):
        dataset = Dataset.open(root)
        part = dataset.write_records("failures", [failure(f"{writer}")])
        try:
            dataset.commit(Commit(stage="race", added=(part,)))
            wins += 1
        except DatasetError:
            pass
    return wins


def test_two_writers_cannot_both_win(tmp_path):
    root = tmp_path / "d"
    Dataset.create(root)
    with ThreadPoolExecutor(2) as writers:
        won = sum(writers.map(race, [root, root], [0, 1]))
    dataset = Dataset.open(root)
    assert dataset.read("failures").num_rows == won >= 20
    assert [commit.number for commit in dataset.commits] == list(range(won + 1))
    stale = Dataset.open(root)
    dataset.commit(Commit(stage="first"))
    with pytest.raises(DatasetError, match="another writer made commit"):
        stale.commit(Commit(stage="second"))


def test_the_newest_attempt_at_a_source_counts(tmp_path):
    dataset = Dataset.create(tmp_path / "d")
    bad = dataset.write_records("sources", [source("a", "v1", SourceStatus.FAILED)])
    fail = dataset.write_records("failures", [failure("a")])
    dataset = dataset.commit(Commit(stage="analyze", added=(bad, fail)))
    assert LiveView(dataset).failures["unit"].to_pylist() == ["a"]
    good = dataset.write_records("sources", [source("a", "v2", SourceStatus.OK)])
    dataset = dataset.commit(Commit(stage="analyze", added=(good,)))
    assert LiveView(dataset).sources["status"].to_pylist() == ["ok"]
    assert LiveView(dataset).failures.num_rows == 0


def test_a_clip_id_depends_on_the_span_alone():
    assert clip_id("d", 0, 0, 10) == clip_id("d", 0, 0, 10)
    assert (
        len({clip_id("d", 0, 0, 10), clip_id("d", 0, 0, 11), clip_id("e", 0, 0, 10), clip_id("d", 1, 0, 10)})
        == 4
    )
