"""Commands that read a dataset print the same on S3 as for a copy of it on a disk."""

import json
from pathlib import Path

import pytest
from small_dataset import VERSIONS, write_dataset

from kinora.cli.main import main
from manifests.dataset import Commit, Dataset
from manifests.records import Review, Verdict

READERS = {
    "sql": [
        "captions",
        "sql",
        "SELECT version, outcome, count(*) AS n FROM caption_attempts GROUP BY 1, 2 ORDER BY 1, 2",
    ],
    "views": ["captions", "sql"],
    "sql-score": ["captions", "sql", "FROM captioned SELECT clip_id, short WHERE motion > 0.1 ORDER BY ALL"],
    "sample": ["captions", "sample", "--where", "motion > 0.1"],
    "diff": ["captions", "diff", *VERSIONS],
    "stats": ["captions", "stats"],
    "check": ["captions", "check", "--media"],
    "card": ["captions", "card"],
    "status": ["status"],
    "failures": ["failures"],
    "explain": ["explain"],
    "trace": ["trace", "ab12"],
    "before": ["status", "--at", "6"],
}


def test_commands_print_the_same_on_s3_as_on_a_disk(s3_uri, tmp_path, capsys):
    remote = write_dataset(tmp_path, s3_uri)
    media = remote.records("media")[0]
    review = Review(
        review_id="ab12", clip_id=media.clip_id, media_id=media.media_id, reviewer="ann", at="2026",
        verdict=Verdict.EDIT, length="short", new_text="A box.", caption_version=VERSIONS[1],
    )  # fmt: skip
    remote = remote.commit(Commit(stage="review", added=(remote.write_records("reviews", [review]),)))
    local = Dataset.create(tmp_path / "copy").storage
    for found in remote.storage.list():
        path = Path(local.uri, found.key)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(remote.storage.read(found.key))

    def printed(words: list[str], uri: str) -> str:
        assert main([*words, "--dataset", uri, "--json"]) == 0, words
        return capsys.readouterr().out.replace(uri, "DATASET")

    for name, words in READERS.items():
        on_s3 = printed(words, remote.uri)
        assert on_s3 == printed(words, local.uri), name
        assert json.loads(on_s3.splitlines()[-1] if on_s3.count("\n") == 1 else on_s3), name


@pytest.mark.parametrize("where", ["disk", "s3"])
def test_a_sheet_and_a_report_of_a_dataset(where, tmp_path, request, capsys):
    uri = request.getfixturevalue("s3_uri") if where == "s3" else str(tmp_path / "data")
    dataset = write_dataset(tmp_path, uri)
    sheet, page = tmp_path / "sheet.jpg", tmp_path / "report.html"
    assert main(["captions", "sample", "--dataset", dataset.uri, "--sheet", str(sheet)]) == 0
    assert main(["report", "--dataset", dataset.uri, "--out", str(page)]) == 0
    assert sheet.read_bytes().startswith(b"\xff\xd8")
    assert "3 of 3 captions" in capsys.readouterr().out
    assert "<!doctype html" in page.read_text().lower()
