"""`kinora captions check` on reviews, and every reading command on damage: a clear message, exit code 4."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from small_dataset import VERSIONS, write_dataset

from kinora.cli.main import main
from manifests.dataset import Commit, Dataset
from manifests.records import Review, Verdict
from manifests.review.checks import problems


@pytest.fixture
def dataset(tmp_path) -> Dataset:
    return write_dataset(tmp_path)


def review(dataset: Dataset, review_id: str, verdict: str, **fields: object) -> Review:
    media = dataset.read("media").to_pylist()[0]
    about = {"clip_id": media["clip_id"], "media_id": media["media_id"], "caption_version": VERSIONS[0]}
    about |= {"reviewer": "ann", "at": "2026-11-29T12:00:00+00:00"}
    return Review(**(about | {"review_id": review_id, "verdict": verdict} | fields))  # type: ignore[arg-type]


def with_reviews(dataset: Dataset, *rows: Review) -> Dataset:
    return dataset.commit(Commit(stage="review", added=(dataset.write_records("reviews", rows),)))


def test_reviews_that_make_sense_break_no_rule(dataset, capsys):
    dataset = with_reviews(
        dataset,
        review(dataset, "a", Verdict.APPROVE),
        review(dataset, "b", Verdict.EDIT, length="short", new_text="A box."),
        review(dataset, "c", Verdict.SPAN, start_s=0.1, end_s=0.4),
        review(dataset, "d", Verdict.REJECT, action="bulk"),
        review(dataset, "e", Verdict.WITHDRAW, media_id="", withdraws="bulk"),
        review(dataset, "a", Verdict.APPROVE),  # sent twice
    )
    assert problems(dataset) == []
    assert main(["captions", "check", "--dataset", dataset.uri]) == 0


@pytest.mark.parametrize(
    ("fields", "rule"),
    [
        ({"verdict": "maybe"}, "no verdict that Kinora knows"),
        ({"verdict": "reject", "media_id": "elsewhere"}, "media that was never cut"),
        ({"verdict": "edit", "length": "short"}, "has no text"),
        ({"verdict": "edit", "new_text": "x", "length": "long"}, "does not say which one"),
        ({"verdict": "span", "start_s": 2.0, "end_s": 1.0}, "ends before it starts"),
        ({"verdict": "span"}, "no start and end"),
        ({"verdict": "withdraw", "withdraws": "nothing"}, "names no review and no action"),
        ({"verdict": "reject", "review_id": "b"}, "one id has two different reviews"),
    ],
)
def test_reviews_that_make_none_are_listed(dataset, capsys, fields, rule):
    good = review(dataset, "b", Verdict.APPROVE)
    dataset = with_reviews(dataset, good, review(dataset, **({"review_id": "x"} | fields)))
    assert main(["captions", "check", "--dataset", dataset.uri, "--json"]) == 4
    [problem] = json.loads(capsys.readouterr().out)["broken"]
    assert rule in problem
    assert fields.get("review_id", "x") in problem


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:200])


def overwrite_rows(path: Path) -> None:
    """Replace all but the footer, which a Parquet file ends with, by zeros."""
    content = bytearray(path.read_bytes())
    end = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    content[4:end] = bytes(end - 4)
    path.write_bytes(bytes(content))


def other_schema(path: Path) -> None:
    table = pq.read_table(path).replace_schema_metadata({"kinora.record": "Gap", "kinora.version": "1"})
    pq.write_table(table, path)


READING = (
    ("status",),
    ("captions", "stats"),
    ("captions", "sample"),
    ("captions", "sql", "SELECT count(*) FROM captions WHERE text <> ''"),
    ("captions", "diff", *VERSIONS),
)


@pytest.mark.parametrize("damage", [truncate, overwrite_rows, other_schema, Path.unlink])
def test_a_damaged_part_is_named_by_every_reading_command(dataset, capsys, damage):
    part = dataset.parts("captions")[0]
    damage(Path(dataset.uri) / part.path)
    for words in READING:
        assert main([*words, "--dataset", dataset.uri]) == 4, words
        shown = capsys.readouterr()
        assert part.path in shown.err.replace("\n", ""), words
        assert "restore it" in shown.err, words
    assert main(["captions", "check", "--dataset", dataset.uri]) == 4
    assert part.path in capsys.readouterr().out.replace("\n", "")
    assert main(["status", "--dataset", dataset.uri, "--at", "4"]) == 0  # before the damage all is well


def test_a_damaged_log_entry_is_named(dataset, capsys):
    (dataset.root / "_log" / "00000003.json").write_text("{")
    for words in (*READING, ("captions", "check")):
        assert main([*words, "--dataset", dataset.uri]) == 4, words
        shown = capsys.readouterr()
        assert "00000003.json" in (shown.out + shown.err).replace("\n", ""), words
    assert main(["status", "--dataset", dataset.uri, "--at", "2"]) == 0


def test_missing_media_is_named(dataset, capsys):
    (dataset.root / "media" / "one.tar").unlink()
    assert main(["captions", "check", "--dataset", dataset.uri]) == 4
    shown = capsys.readouterr().out
    assert "media/one.tar: missing" in shown
    assert "cut its clips again" in shown.replace("\n", " ")


def test_changed_media_is_named_by_its_clip(dataset, capsys):
    media = dataset.read("media").to_pylist()[1]
    tar = dataset.root / media["path"]
    content = bytearray(tar.read_bytes())
    content[media["offset"] + 5] ^= 1
    tar.write_bytes(bytes(content))
    assert main(["captions", "check", "--dataset", dataset.uri]) == 0
    assert main(["captions", "check", "--media", "--dataset", dataset.uri]) == 4
    assert media["clip_id"] in capsys.readouterr().out.replace("\n", "")
