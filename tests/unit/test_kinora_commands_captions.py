"""`kinora captions sql | sample | diff | stats`: figures, files, filters, and 80 columns."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import cv2
import pytest
from small_dataset import VERSIONS, write_dataset

from kinora.cli.main import main
from kinora.commands.captions_diff import plain_diff
from manifests.dataset import Commit, Dataset
from manifests.records import Review, Verdict, caption_digest


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Dataset:
    dataset = write_dataset(tmp_path_factory.mktemp("captions"))
    [first, second, _] = dataset.records("captions")[3:]
    rows = [
        Review(
            review_id=f"r{number}",
            clip_id=caption.clip_id,
            media_id=caption.media_id,
            reviewer="ann",
            at="2026-11-29T12:00:00+00:00",
            verdict=verdict,
            caption_version=VERSIONS[1],
            caption_digest=caption_digest(caption.short, caption.medium, caption.text),
        )
        for number, (caption, verdict) in enumerate(((first, Verdict.APPROVE), (second, Verdict.REJECT)))
    ]
    part = dataset.write_records("reviews", rows)
    return dataset.commit(Commit(stage="review", added=(part,)))


def run(capsys, dataset: Dataset, *words: str, code: int = 0) -> str:
    assert main(["captions", *words, "--dataset", dataset.uri]) == code
    shown = capsys.readouterr()
    return shown.out if code in (0, 3) else shown.err


def data(capsys, dataset: Dataset, *words: str) -> dict:
    return json.loads(run(capsys, dataset, *words, "--json"))


@pytest.mark.parametrize(
    "words",
    [
        ("sql",),
        ("sql", "SELECT * FROM captioned"),
        ("sql", "SELECT clip_id, short, num_frames FROM captioned"),
        ("sample", "--n", "3"),
        ("diff", *VERSIONS),
        ("stats",),
    ],
)
def test_the_text_fits_80_columns(dataset, capsys, monkeypatch, words):
    monkeypatch.setenv("COLUMNS", "80")
    lines = run(capsys, dataset, *words).splitlines()
    assert lines
    assert max(map(len, lines)) <= 80


def test_sql_prints_rows_json_and_csv(dataset, tmp_path, capsys):
    statement = "SELECT version, count(*) AS n FROM caption_attempts GROUP BY version ORDER BY version"
    expected = [{"version": version, "n": 3} for version in VERSIONS]
    assert data(capsys, dataset, "sql", statement) == {"columns": ["version", "n"], "rows": expected}
    out = tmp_path / "new" / "rows.csv"
    assert "2 rows" in run(capsys, dataset, "sql", statement, "--csv", str(out))
    with out.open(newline="") as file:
        assert [*csv.DictReader(file)] == [{"version": version, "n": "3"} for version in VERSIONS]
    run(capsys, dataset, "sql", "SELECT frames_shown, text FROM captions WHERE false", "--csv", str(out))
    assert out.read_text() == "frames_shown,text\n"
    assert [*out.parent.iterdir()] == [out]


def test_sql_limits_what_it_prints_but_not_json(dataset, capsys):
    statement = "SELECT range AS n FROM range(100)"
    assert "3 of 100 rows (--limit)" in run(capsys, dataset, "sql", statement, "--limit", "3")
    assert len(data(capsys, dataset, "sql", statement)["rows"]) == 100


def test_sql_refuses_with_exit_code_2_and_writes_nothing(dataset, tmp_path, capsys):
    out = tmp_path / "rows.csv"
    error = run(capsys, dataset, "sql", "SELECT nope FROM clips", "--csv", str(out), code=2)
    assert "no column 'nope'" in error
    assert "brightness" in error
    assert "only one SELECT" in run(capsys, dataset, "sql", "DROP VIEW clips", code=2)
    assert [*tmp_path.iterdir()] == []


def test_sql_without_a_statement_lists_views_and_columns(dataset, capsys):
    shown = run(capsys, dataset, "sql")
    assert "captioned" in shown
    assert "brightness" in shown


def test_reviews_are_views_too(dataset, capsys):
    rows = data(capsys, dataset, "sql", "SELECT verdict, stale FROM decisions ORDER BY verdict")["rows"]
    assert rows == [{"verdict": "approve", "stale": False}, {"verdict": "reject", "stale": False}]


def test_sample_filters(dataset, capsys):
    def clips(*words: str) -> int:
        return data(capsys, dataset, "sample", "--n", "9", *words)["of"]

    assert clips() == 3
    assert clips("--version", VERSIONS[1], "--outcome", "refused") == 1
    assert clips("--captioner", "vlm") == 2
    assert clips("--where", "brightness > 0.25 AND short ILIKE '%box%'") == 2
    bucket = ("--bucket", "1x48x80")
    run(capsys, dataset, "sample", *bucket, code=3)
    assert "is none of" in run(capsys, dataset, "sample", "--bucket", "3x3x3", code=2)
    assert "no column 'nope'" in run(capsys, dataset, "sample", "--where", "nope > 1", code=2)
    assert VERSIONS[0] in run(capsys, dataset, "sample", "--version", "other", code=3)


def test_a_sample_is_the_same_for_a_seed(dataset, capsys):
    first = data(capsys, dataset, "sample", "--n", "2", "--seed", "4")
    assert first == data(capsys, dataset, "sample", "--n", "2", "--seed", "4")


def test_a_contact_sheet_shows_the_frames_that_the_model_saw(dataset, tmp_path, capsys):
    out = tmp_path / "sheets" / "a.jpg"
    found = data(capsys, dataset, "sample", "--n", "3", "--sheet", str(out))
    assert found["missing_media"] == []
    picture_HWC = cv2.cvtColor(cv2.imread(str(out)), cv2.COLOR_BGR2RGB).astype(int)
    assert picture_HWC.shape[0] > 3 * 112
    by_color = {"red": (200, 30, 30), "green": (30, 160, 60), "blue": (30, 60, 200)}
    top = 10
    for row in found["captions"]:
        name = next(color for color in by_color if color in row["short"])
        strip_HWC = picture_HWC[top + 100, 10:500]
        seen = abs(strip_HWC - by_color[name]).sum(-1) < 60
        assert seen.sum() > 300  # three frames, 149 pixels wide each
        top += 112 + 2 * 10


def test_the_ending_of_a_sheet_says_what_is_written(dataset, tmp_path, capsys):
    begins = {"a.jpg": b"\xff\xd8\xff", "a.JPEG": b"\xff\xd8\xff", "a.png": b"\x89PNG", "a.webp": b"RIFF"}
    for name, magic in begins.items():
        run(capsys, dataset, "sample", "--n", "1", "--sheet", str(tmp_path / name))
        assert (tmp_path / name).read_bytes().startswith(magic)
    said = run(capsys, dataset, "sample", "--sheet", str(tmp_path / "a.gif"), code=2)
    assert "end the name in .jpg, .jpeg, .png, .webp" in " ".join(said.split())
    assert not (tmp_path / "a.gif").exists()


def test_a_sheet_says_which_media_is_missing(tmp_path, capsys):
    dataset = write_dataset(tmp_path)
    (Path(dataset.uri) / "media" / "one.tar").unlink()
    out = tmp_path / "a.jpg"
    words = ("sample", "--n", "3", "--sheet", str(out), "--dataset", dataset.uri, "--json")
    assert main(["captions", *words]) == 4
    found = json.loads(capsys.readouterr().out)
    assert len(found["missing_media"]) == 3
    assert "one.tar" in found["missing_media"][0]
    assert out.stat().st_size > 1000


def test_diff_of_two_versions(dataset, capsys):
    found = data(capsys, dataset, "diff", *VERSIONS, "--length", "short")
    assert found["counts"] == {"both": 2, "changed": 2, "only_before": 1, "only_after": 0}
    assert found["outcomes"] == {"ok -> refused": 1}
    assert [each["changed"] for each in found["differences"]] == [pytest.approx(3 / 11)] * 2
    shown = run(capsys, dataset, "diff", *VERSIONS, "--length", "short", "--n", "1")
    assert "A [-white -]box[- moves right-] over" in shown.replace("\n", " ")


def test_diff_of_two_commits(dataset, capsys):
    found = data(capsys, dataset, "diff", "5", "6")
    assert found["counts"]["both"] == 3
    assert found["counts"]["changed"] == 2
    assert data(capsys, dataset, "diff", "6", "6")["counts"]["changed"] == 0
    run(capsys, dataset, "diff", "4", "6", code=3)


def test_diff_names_the_versions_that_there_are(dataset, capsys):
    error = run(capsys, dataset, "diff", "vlm", VERSIONS[0], code=2)
    assert VERSIONS[1] in error
    assert "no commit number" in error


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("a b c", "a b c", "a b c"),
        ("a red box", "a blue box", "a [-red-]{+blue+} box"),
        ("one two three", "four five three", "[-one two-]{+four five+} three"),
        ("", "new", "{+new+}"),
        ("gone", "", "[-gone-]"),
        ("stop.", "stop!", "stop[-.-]{+!+}"),
    ],
)
def test_words_that_differ(before, after, expected):
    assert plain_diff(before, after) == expected


def test_stats_by_version(dataset, capsys):
    found = data(capsys, dataset, "stats", "--length", "short")["versions"]
    first, second = (found[version] for version in VERSIONS)
    assert first["outcomes"] == {"ok": 3}
    assert second["outcomes"] == {"ok": 2, "refused": 1}
    assert (first["counts"], second["counts"]) == (1, 2)
    assert (first["words_50"], second["words_50"]) == (7, 4)
    assert first["distinct_words"] == 9  # a white box moves right over red green blue
    assert first["same_opening"] == 1
    assert first["opening"] == "A white box moves"
    assert second["opening"] == "A box over green."  # as often as "A box over red.": the first by alphabet
    assert (second["reviewed"], second["approved"], second["rejected"]) == (2, 1, 1)
    assert second["reviewed_share"] == pytest.approx(2 / 3)
    assert first["reviewed"] == 0


def test_repeated_texts_are_counted(tmp_path, capsys):
    dataset = write_dataset(tmp_path)
    rows = dataset.records("captions")[:3]
    same = [replace(row, version="same", text="All the same.", short=None) for row in rows[:2]]
    same.append(replace(rows[2], version="same", text="Another one.", short=None))
    dataset = dataset.commit(Commit(stage="caption", added=(dataset.write_records("captions", same),)))
    assert data(capsys, dataset, "stats")["versions"]["same"]["same_text"] == pytest.approx(2 / 3)


def test_an_empty_dataset_says_what_to_do(tmp_path, capsys):
    dataset = Dataset.create(tmp_path / "d")
    for words in (("stats",), ("sample",)):
        assert "kinora caption" in run(capsys, dataset, *words, code=3)
    assert "no rows" in run(capsys, dataset, "sql", "SELECT * FROM clips")
