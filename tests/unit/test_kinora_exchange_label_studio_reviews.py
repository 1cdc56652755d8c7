"""Annotations of exported tasks become reviews, once, with the caption that the annotator saw."""

import json
from pathlib import Path
from typing import Any

import exchange_dataset
import pytest

from kinora.exchange.config import ExportConfig
from kinora.exchange.export import export
from kinora.exchange.export_rows import ExportRows
from kinora.exchange.formats.label_studio import SPAN_LABEL, to_frames, to_seconds
from kinora.exchange.label_studio_reviews import ReviewImportReport, import_annotations
from manifests.dataset import Dataset
from manifests.live_view import LiveView


@pytest.fixture
def root(tmp_path) -> Path:
    exchange_dataset.make_dataset(tmp_path)
    export(Dataset.open(tmp_path / "data"), str(tmp_path / "out"), ExportConfig(format="label-studio"))
    return tmp_path


def annotated(root: Path, *annotations: list[dict[str, Any]], by: Any = 7, **about: Any) -> Path:
    """Write the tasks as Label Studio exports them, the first ones with annotations of these results."""
    tasks = json.loads((root / "out" / "videos" / "tasks.json").read_text())
    for number, (task, result) in enumerate(zip(tasks, annotations, strict=False)):
        task |= {"id": 100 + number, "predictions": [1, 2]}
        annotation = {"id": 10 + number, "completed_by": by, "created_at": "2026-03-01T10:00:00Z"}
        task["annotations"] = [
            annotation | {"updated_at": "2026-03-01T12:30:00+02:00", "result": result} | about
        ]
    path = root / "annotations.json"
    path.write_text(json.dumps(tasks))
    return path


def text(length: str, text: str) -> dict[str, Any]:
    return {"from_name": length, "to_name": "video", "type": "textarea", "value": {"text": [text]}}


def verdict(name: str) -> dict[str, Any]:
    return {"from_name": "verdict", "to_name": "video", "type": "choices", "value": {"choices": [name]}}


def run(root: Path, path: Path, **about: Any) -> ReviewImportReport:
    return import_annotations(str(root / "data"), str(path), **about)


def reviews(root: Path) -> list[dict[str, Any]]:
    return LiveView(Dataset.open(root / "data")).reviews.to_pylist()


def only_review(root: Path) -> dict[str, Any]:
    found = [row.values["review"] for row in ExportRows(Dataset.open(root / "data"))]
    [row] = [each for each in found if each]
    return row


def test_verdicts_edits_and_spans_become_reviews_once(root):
    tasks = json.loads((root / "out" / "videos" / "tasks.json").read_text())
    shown = [task["data"] for task in tasks]
    span = {"ranges": [{"start": 4, "end": 9}], "timelinelabels": [SPAN_LABEL]}
    path = annotated(
        root,
        [verdict("approve"), text("short", shown[0]["short"]), text("dense", shown[0]["dense"])],
        [verdict("approve"), text("short", " A better one. "), text("dense", shown[1]["dense"])],
        [verdict("reject"), text("reason", "shaky")],
        [{"from_name": "spans", "to_name": "video", "type": "timelinelabels", "value": span}],
        [text("dense", shown[4]["dense"])],
        by={"id": 3, "email": "ada@x.org"},
    )
    assert run(root, path, dry_run=True).reviews == {"approve": 1, "edit": 1, "reject": 1, "span": 1}
    assert reviews(root) == []
    report = run(root, path)
    assert (report.annotations, report.undecided, report.broken, report.unmatched) == (5, 1, 0, 0)
    rows = reviews(root)
    assert [row["verdict"] for row in rows] == ["approve", "edit", "reject", "span"]
    assert [row["media_id"] for row in rows] == [each["media_id"] for each in shown[:4]]
    assert {row["reviewer"] for row in rows} == {"ada@x.org"}
    assert {row["at"] for row in rows} == {"2026-03-01T10:30:00+00:00"}
    assert (rows[1]["length"], rows[1]["new_text"]) == ("short", "A better one.")
    assert rows[2]["reason"] == "shaky"
    fps = shown[3]["fps"]
    assert (rows[3]["start_s"], rows[3]["end_s"]) == (3 / fps, 9 / fps)
    again = run(root, path)
    assert (again.reviews, again.unchanged) == ({}, 4)
    assert len(reviews(root)) == 4
    exported = {row.values["media_id"]: row.values for row in ExportRows(Dataset.open(root / "data"))}
    edited = exported[shown[1]["media_id"]]
    assert (edited["short"], edited["edited"], edited["review"]["stale"]) == ("A better one.", True, False)
    assert exported[shown[2]["media_id"]]["review"]["verdict"] == "reject"


def test_a_task_exported_after_a_review_settles_it(root):
    run(root, annotated(root, [verdict("approve")]))
    export(Dataset.open(root / "data"), str(root / "later"), ExportConfig(format="label-studio"))
    (root / "out").rename(root / "first")
    (root / "later").rename(root / "out")
    run(root, annotated(root, [verdict("reject")], by=8))
    [row] = [
        each.values["review"] for each in ExportRows(Dataset.open(root / "data")) if each.values["review"]
    ]
    assert (row["verdict"], row["disagreement"]) == ("reject", False)
    run(root, annotated(root, [verdict("flag")], by=9))
    [row] = [
        each.values["review"] for each in ExportRows(Dataset.open(root / "data")) if each.values["review"]
    ]
    assert (row["verdict"], row["disagreement"]) == (None, True)


def test_what_cannot_be_recorded_is_named_and_the_rest_goes_on(root):
    bad = {"ranges": [{"start": 9, "end": 4}], "timelinelabels": [SPAN_LABEL]}
    path = annotated(
        root,
        [text("short", "  ")],
        [verdict("perhaps")],
        [{"from_name": "spans", "value": bad}],
        [{"from_name": "verdict", "value": {}}],
        [verdict("approve")],
    )
    tasks = json.loads(path.read_text())
    tasks[5]["data"]["media_id"] = "of another dataset"
    tasks[5]["annotations"] = tasks[4]["annotations"]
    path.write_text(json.dumps(tasks))
    report = run(root, path)
    assert (report.reviews, report.broken, report.unmatched) == ({"approve": 1}, 4, 1)
    assert [each.line for each in report.problems] == [1, 2, 3, 4]
    assert "short caption is empty" in report.problems[0].message
    assert "'perhaps'" in report.problems[1].message
    assert report.failed_share == pytest.approx(4 / 6)


def test_skipped_annotations_and_other_files(root, tmp_path):
    assert run(root, annotated(root, [verdict("reject")], was_cancelled=True)).undecided == 1
    for content in (b"{", b"{}", b"[1]", b'[{"video": "x"}]'):
        (tmp_path / "other.json").write_bytes(content)
        with pytest.raises(ValueError, match=r"other\.json: is not .*export as JSON"):
            run(root, tmp_path / "other.json")


@pytest.mark.parametrize("fps", [24.0, 30000 / 1001, 25.0, 14 / 3])
def test_frames_and_seconds_are_each_others_inverse(fps):
    for first in range(1, 14):
        for last in range(first, 15):
            assert to_frames(*to_seconds(first, last, fps), fps, 14) == (first, last)


@pytest.mark.parametrize(
    ("about", "message"),
    [
        ({"annotations": 5}, "`annotations` is 5, not a list"),
        ({"annotations": ["x"]}, "has not the form of Label Studio's results"),
        ({"result": 7}, "has not the form"),
        ({"result": ["x"]}, "has not the form"),
        ({"result": [text("dense", "half \ud83d")]}, "half a character"),
        ({"result": [verdict("reject"), text("reason", "\ud83d")]}, "half a character"),
        ({"completed_by": {"email": "\ud83d"}, "result": [verdict("approve")]}, "half a character"),
        (
            {"result": [{"from_name": "s", "value": {
                "ranges": [{"start": 1, "end": 10**400}], "timelinelabels": [SPAN_LABEL]}}]},
            "has not the form",
        ),
    ],
)  # fmt: skip
def test_annotations_of_another_form_are_named(root, about, message):
    path = annotated(root, [verdict("approve")], [verdict("flag")])
    tasks = json.loads(path.read_text())
    if "annotations" in about:
        tasks[0] |= about
    else:
        tasks[0]["annotations"][0] |= about
    tasks[2]["data"]["media_id"] = ["a list"]
    path.write_text(json.dumps(tasks))
    report = run(root, path)
    assert (report.reviews, report.broken, report.unmatched) == ({"flag": 1}, 1, 1)
    assert message in report.problems[0].message
