"""`--at`: a commit number, or a time, of a dataset."""

import json
from datetime import UTC, datetime

import pytest
from small_dataset import write_dataset

from kinora.cli.main import main
from manifests.dataset import Dataset, DatasetError
from manifests.snapshots import parse_at, until

NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("at", "parsed"),
    [
        (None, None),
        (3, 3),
        ("3", 3),
        ("2026-11-29T12:00", NOON),
        ("2026-11-29 12:00:00", NOON),
        ("2026-11-29T13:00+01:00", NOON),
        ("2026-11-29", NOON.replace(hour=0)),
    ],
)
def test_an_at_is_a_number_or_a_time(at, parsed):
    assert parse_at(at) == parsed


@pytest.mark.parametrize("at", ["yesterday", "-1", "2026-13-01", ""])
def test_anything_else_is_an_error_that_shows_both_forms(at):
    with pytest.raises(ValueError, match=r"neither a commit number nor a time such as 2026-11-29T12:00"):
        parse_at(at)


class Commit:
    def __init__(self, number: int, hour: int) -> None:
        self.number, self.at = number, NOON.replace(hour=hour).isoformat()


def test_a_time_gives_what_a_reader_saw_then():
    commits = [Commit(0, 10), Commit(1, 11), Commit(2, 13)]
    assert [c.number for c in until(commits, NOON, "d")] == [0, 1]
    assert [c.number for c in until(commits, NOON.replace(hour=11), "d")] == [0, 1]
    assert [c.number for c in until(commits, NOON.replace(hour=23), "d")] == [0, 1, 2]
    with pytest.raises(ValueError, match=r"d: no commit at .*09:00.* yet; the first is of .*10:00"):
        until(commits, NOON.replace(hour=9), "d")


def test_after_a_clock_that_goes_back_no_later_commit_is_taken():
    commits = [Commit(0, 10), Commit(1, 14), Commit(2, 11)]
    assert [c.number for c in until(commits, NOON, "d")] == [0]


@pytest.fixture(scope="module")
def uri(tmp_path_factory) -> str:
    """A dataset whose commits are an hour apart: 0 at 10:00, 1 at 11:00, …"""
    dataset = write_dataset(tmp_path_factory.mktemp("snapshots"))
    for commit in dataset.commits:
        path = dataset.root / "_log" / f"{commit.number:08d}.json"
        entry = json.loads(path.read_text()) | {"at": NOON.replace(hour=10 + commit.number).isoformat()}
        path.write_text(json.dumps(entry))
    return dataset.uri


def test_a_dataset_opens_at_a_time(uri):
    assert Dataset.open(uri, at="2026-11-29T12:30").number == 2
    assert Dataset.open(uri, at="2026-11-30").number == Dataset.open(uri).number == 6
    with pytest.raises(DatasetError, match="no commit 99; the newest is 6"):
        Dataset.open(uri, at="99")


READING = {
    "status": (),
    "failures": (),
    "explain": (),
    "captions sample": ("--n", "1"),
    "pack": ("--dry-run", "--out", "{out}", "--buckets", '["17x48x64"]', "--fps", "24"),
}


@pytest.mark.parametrize("command", READING)
def test_reading_commands_take_a_number_or_a_time(uri, command, tmp_path, capsys):
    words = [word.format(out=tmp_path / "out") for word in (*command.split(), *READING[command])]

    def read(at: str):
        code = main([*words, "--dataset", uri, "--at", at, "--json"])
        shown = json.loads(capsys.readouterr().out)
        shown.pop("seconds", None)
        return code, shown

    assert read("6") == read("2026-11-29T16:59")
    assert read("6") != read("0") == read("2026-11-29T10:59")
    assert main([*words, "--dataset", uri, "--at", "noon"]) == 2
    assert "neither a commit number nor a time" in capsys.readouterr().err


def test_a_report_is_of_a_commit(uri, tmp_path):
    page = tmp_path / "page.html"
    assert main(["report", "--dataset", uri, "--out", str(page), "--at", "2026-11-29T10:30"]) == 0
    assert "0 files" in page.read_text()
    assert main(["report", "--dataset", uri, "--out", str(page), "--at", "6"]) == 0
    assert "2 files" in page.read_text()
