"""Rows of older schema versions are brought up to date; newer ones are refused; no change goes unnoticed."""

import json
from dataclasses import asdict
from hashlib import blake2b
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from kinora.cli import main as cli
from manifests import parts, records, schemas
from manifests.dataset import Commit, Dataset, DatasetError, Part
from manifests.migrations import STEPS

MEDIA_1 = pa.schema(
    [
        pa.field("media_id", pa.string(), nullable=False),
        pa.field("clip_id", pa.string(), nullable=False),
        pa.field("encoding", pa.string(), nullable=False),
        pa.field("path", pa.string(), nullable=False),
        pa.field("offset", pa.int64(), nullable=False),
        pa.field("length", pa.int64(), nullable=False),
        pa.field("extension", pa.string(), nullable=False),
        pa.field("num_frames", pa.int64(), nullable=False),
        pa.field("height", pa.int64(), nullable=False),
        pa.field("width", pa.int64(), nullable=False),
        pa.field("fps", pa.float64(), nullable=False),
        pa.field("duration_s", pa.float64(), nullable=False),
    ],
    metadata={"kinora.record": "Media", "kinora.version": "1"},
)
"""As version 1 was written, with no help of today's code."""
ROW_1 = {
    "media_id": "m1",
    "clip_id": "c1",
    "encoding": "e",
    "path": "media/t.tar",
    "offset": 512,
    "length": 4,
    "extension": "mp4",
    "num_frames": 3,
    "height": 48,
    "width": 80,
    "fps": 25.0,
    "duration_s": 0.12,
}
SINCE = {"digest": "", "window_index": 0, "num_windows": 0, "window_start_pts": None, "window_end_pts": None}
SINCE |= {"audio": ""}
"""What a row of version 1 has now besides."""
PINNED = {
    "SourceRow": (1, "457d71d54fd8"),
    "Clip": (1, "6bc962b0814b"),
    "Gap": (1, "2f0c86b61115"),
    "Score": (1, "2210e9921a21"),
    "Selection": (2, "5ca81d0e5cb2"),
    "Duplicate": (1, "d64f621449f5"),
    "Media": (4, "b9c1aafc18a1"),
    "Caption": (3, "9910f8356623"),
    "Review": (2, "87c65fe71977"),
    "Failure": (2, "2271a2298bb7"),
    "Removal": (1, "633021d37155"),
}
"""Version and shape of each record."""


def write_dataset_of_version_1(root: Path) -> None:
    """Lay out by hand what the first Kinora wrote: parts without a digest, a log of version 1."""
    (root / "_log").mkdir(parents=True)
    (root / "media").mkdir()
    (root / "media" / "t.tar").write_bytes(bytes(2048))
    pq.write_table(pa.Table.from_pylist([ROW_1], schema=MEDIA_1), root / "media" / "part-0.parquet")
    common = {"format": "kinora-dataset", "version": 1, "removed": [], "config": {}, "config_digest": ""}
    common |= {"counts": {}, "seconds": 0.0, "at": "2025-01-01T00:00:00+00:00"}
    part = {"table": "media", "path": "media/part-0.parquet", "rows": 1}
    for number, added in enumerate(([], [part])):
        entry = common | {"stage": "cut", "number": number, "added": added}
        (root / "_log" / f"{number:08d}.json").write_text(json.dumps(entry))


def test_a_dataset_of_version_1_reads_as_today(tmp_path, capsys):
    write_dataset_of_version_1(tmp_path / "d")
    dataset = Dataset.open(tmp_path / "d")
    [media] = dataset.records("media")
    assert asdict(media) == {**ROW_1, **SINCE}
    assert media.key == "c1"
    assert dataset.read("media", ["clip_id", "digest"]).to_pylist() == [{"clip_id": "c1", "digest": ""}]
    new = dataset.write_records("media", [records.Media(**{**ROW_1, "media_id": "m2", "digest": "d"})])
    dataset = dataset.commit(Commit(stage="cut", added=(new,)))
    assert dataset.read("media")["digest"].to_pylist() == ["", "d"]  # old and new parts side by side
    assert cli.main(["captions", "check", "--dataset", str(tmp_path / "d"), "--json"]) == 0
    checked = json.loads(capsys.readouterr().out)
    assert (checked["parts"], checked["unverified"], checked["broken"]) == (2, 1, [])


def test_scores_beside_a_record_survive_its_migration():
    table = pa.Table.from_pylist(
        [ROW_1 | {"motion": 0.5}], schema=MEDIA_1.append(pa.field("motion", pa.float64()))
    )
    new = schemas.upgrade(records.Media, table, 1)
    assert new.to_pylist() == [{**ROW_1, **SINCE, "motion": 0.5}]
    assert new.schema.metadata == schemas.arrow_schema(records.Media).metadata


def test_captions_of_version_2_have_no_parts_and_heard_nothing():
    current = schemas.arrow_schema(records.Caption)
    old = pa.schema([field for field in current if field.name not in ("parts", "heard")])
    row = {field.name: None if field.nullable else "a" for field in old} | {"frames_shown": [0]}
    table = pa.Table.from_pylist(
        [row | {"agreement": 0.5}], schema=old.append(pa.field("agreement", pa.float64()))
    )
    new = schemas.upgrade(records.Caption, table, 2)
    assert new.to_pylist() == [{**row, "parts": None, "heard": "", "agreement": 0.5}]
    assert [*new.schema] == [*current, pa.field("agreement", pa.float64())]


REVIEW_1 = pa.schema(
    [
        pa.field("clip_id", pa.string(), nullable=False),
        pa.field("caption_version", pa.string(), nullable=False),
        pa.field("reviewer", pa.string(), nullable=False),
        pa.field("at", pa.string(), nullable=False),
        pa.field("verdict", pa.string(), nullable=False),
        pa.field("new_text", pa.string(), nullable=True),
        pa.field("reason", pa.string(), nullable=False),
    ],
    metadata={"kinora.record": "Review", "kinora.version": "1"},
)


def test_reviews_of_version_1_get_ids_and_name_the_text_that_they_replace(tmp_path):
    dataset = Dataset.create(tmp_path / "d")
    old = {"clip_id": "c", "caption_version": "v", "reviewer": "ann", "at": "2025-01-01", "reason": "r"}
    rows = [old | {"verdict": "edit", "new_text": "x"}, old | {"verdict": "approve", "new_text": None}]
    path = dataset.root / "reviews" / "part-0.parquet"
    path.parent.mkdir()
    pq.write_table(pa.Table.from_pylist(rows, schema=REVIEW_1), path)
    part = Part(table="reviews", path="reviews/part-0.parquet", rows=2)
    edit, approval = dataset.commit(Commit(stage="review", added=(part,))).records("reviews")
    assert (edit.verdict, edit.length, edit.new_text) == (records.Verdict.EDIT, "dense", "x")
    assert (approval.verdict, approval.length, approval.new_text) == (records.Verdict.APPROVE, "", None)
    assert len({edit.review_id, approval.review_id, ""}) == 3
    assert {edit.clip_id, edit.reason, edit.reviewer} == {"c", "r", "ann"}
    assert (edit.media_id, edit.saw, edit.blind, edit.start_s) == ("", "", False, None)


SELECTION_1 = pa.schema(
    [
        pa.field("clip_id", pa.string(), nullable=False),
        pa.field("kept", pa.bool_(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("detail", pa.string(), nullable=False),
        pa.field("rules", pa.string(), nullable=False),
    ],
    metadata={"kinora.record": "Selection", "kinora.version": "1"},
)


def test_the_review_band_leaves_the_prefix_of_a_detail(tmp_path):
    rows = [
        ("a", True, "kept", "review: nsfw 0.83 > 0.5 nsfw"),
        ("b", True, "kept", ""),
        ("c", False, "black", "0.9 > 0.5 of frames"),
        ("d", False, "too_dark", "review: this is no mark"),
    ]
    table = pa.Table.from_pylist(
        [dict(zip(SELECTION_1.names, (*row, "r"), strict=True)) for row in rows], schema=SELECTION_1
    )
    dataset = Dataset.create(tmp_path / "d")
    path = dataset.root / "selections" / "part-0.parquet"
    path.parent.mkdir()
    pq.write_table(table, path)
    part = Part(table="selections", path="selections/part-0.parquet", rows=len(rows))
    found = dataset.commit(Commit(stage="select", added=(part,))).records("selections")
    assert [(row.review, row.detail) for row in found] == [
        ("nsfw", "0.83 > 0.5 nsfw"),
        ("", ""),
        ("", "0.9 > 0.5 of frames"),
        ("", "review: this is no mark"),
    ]


def relabelled(dataset: Dataset, **labels: str) -> Dataset:
    """Commit a failures part whose metadata says something else."""
    schema = schemas.arrow_schema(records.Failure)
    metadata = {key.decode(): value.decode() for key, value in schema.metadata.items()}
    metadata |= {f"kinora.{name}": value for name, value in labels.items()}
    path = dataset.root / "failures" / "part-x.parquet"
    path.parent.mkdir()
    pq.write_table(schema.with_metadata(metadata).empty_table(), path)
    part = Part(table="failures", path="failures/part-x.parquet", rows=0)
    return dataset.commit(Commit(stage="x", added=(part,)))


def test_a_newer_version_is_refused_with_a_remedy(tmp_path, capsys):
    dataset = relabelled(Dataset.create(tmp_path / "d"), version="99")
    with pytest.raises(
        schemas.SchemaError, match=r"part-x.parquet: Failure rows of schema version 99.*upgrade"
    ):
        dataset.read("failures")
    assert Dataset.open(tmp_path / "d", at=0).read("failures").num_rows == 0
    assert cli.main(["captions", "check", "--dataset", str(tmp_path / "d")]) == 4
    assert "schema version 99" in capsys.readouterr().out


def test_rows_of_another_record_are_refused(tmp_path):
    dataset = relabelled(Dataset.create(tmp_path / "d"), record="Clip")
    with pytest.raises(schemas.SchemaError, match="holds Clip rows of version 2 where Failure rows belong"):
        dataset.read("failures")


def test_a_newer_log_is_refused(tmp_path):
    Dataset.create(tmp_path / "d")
    entry = tmp_path / "d" / "_log" / "00000000.json"
    entry.write_text(entry.read_text().replace('"version": 3', '"version": 5'))
    with pytest.raises(DatasetError, match="upgrade to read it"):
        Dataset.open(tmp_path / "d")


def shape(record: type) -> str:
    """Return a name of a record's columns: another one means that files look different now."""
    columns = [(field.name, str(field.type), field.nullable) for field in schemas.arrow_schema(record)]
    return blake2b(repr(columns).encode(), digest_size=6).hexdigest()


def test_no_record_changes_without_a_migration():
    """When this fails: add a step to `manifests/migrations.py`, test it with a file, pin the new shape."""
    found = {r.__name__: (schemas.VERSIONS[r.__name__], shape(r)) for r in parts.RECORDS.values()}
    assert found == PINNED
    assert {*schemas.VERSIONS} == {*found} >= {*STEPS}


def test_a_text_that_is_not_utf8_costs_no_row(tmp_path):
    """The name of a file, and so the error about it, may hold bytes that are no text."""
    names = dict.fromkeys(("stage", "unit", "code", "remedy", "config"), "x")
    rows = [
        records.Failure(**names, uri="b\udcff.mp4", message="cannot open b\udcff.mp4 🔴"),
        records.Failure(**names, uri="é.mp4", message="é"),
    ]
    part = parts.PartStore(str(tmp_path)).write_records("failures", rows)
    table = pq.read_table(tmp_path / part.path)
    assert table["uri"].to_pylist() == ["b\\udcff.mp4", "é.mp4"]
    assert table["message"].to_pylist() == ["cannot open b\\udcff.mp4 🔴", "é"]
