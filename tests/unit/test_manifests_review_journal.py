"""The journal: torn lines, damage, one writer, full disks, S3, and every row in the dataset exactly once."""

import errno
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from manifests.dataset import Commit, Dataset, DatasetError
from manifests.integrity import repair, verify
from manifests.records import Review, Verdict
from manifests.review import journal as journals
from manifests.review.journal import FileJournal, ObjectJournal, Overtaken, commit_entries, open_journal


def row(number: int, **fields) -> Review:
    values: dict[str, Any] = {
        "clip_id": "c",
        "media_id": f"m{number}",
        "reviewer": "ann",
        "at": "2026",
        "new_text": "ä\n\r\u2028",
    }
    return Review(review_id=f"{number:08x}", verdict=Verdict.EDIT, length="dense", **(values | fields))


def ids(dataset: Dataset) -> list[str]:
    return [each.review_id for each in dataset.refresh().records("reviews")]


def journal_ids(dataset: Dataset) -> list[str]:
    journal = open_journal(dataset)
    found = [each.review_id for entry in journal.entries for each in entry.rows]
    journal.close()
    return found


def files(dataset: Dataset) -> list[Path]:
    return sorted((dataset.root / "_review").glob("*.jsonl"))


def test_entries_come_back_as_they_were(place):
    dataset = Dataset.create(place)
    journal = open_journal(dataset)
    sent = [(row(1),), (row(2), row(3, start_s=0.5))]
    for rows in sent:
        journal.append(rows, base=dataset.number)
    journal.close()
    again = open_journal(dataset)
    assert [entry.rows for entry in again.entries] == sent
    assert {entry.base for entry in again.entries} == {0}
    again.close()


def test_a_row_is_committed_exactly_once_wherever_a_kill_falls(place):
    dataset = Dataset.create(place)
    journal = open_journal(dataset)
    for number in (1, 2):
        journal.append([row(number)], base=dataset.number)
    entries = [*journal.entries]
    dataset, count = commit_entries(dataset, entries)
    assert count == 2
    journal.close()  # as killed before `forget`
    journal = open_journal(dataset)
    journal.append([row(3)], base=dataset.number)
    dataset, count = commit_entries(dataset, journal.entries)
    assert count == 1
    assert commit_entries(dataset, journal.entries)[1] == 0
    journal.forget([*journal.entries])
    assert journal.entries == []
    journal.close()
    assert ids(dataset) == [row(number).review_id for number in (1, 2, 3)]
    again = open_journal(dataset)
    assert commit_entries(dataset, again.entries)[1] == 0  # on S3 objects stay for a while
    again.close()
    assert {commit.stage for commit in dataset.commits[1:]} == {"review"}
    assert dict(dataset.commits[-1].counts) == {"reviews": 1, "reviewers": 1}


def test_two_servers_on_s3_commit_each_row_once(s3_uri):
    dataset = Dataset.create(s3_uri)
    now = [0.0]
    one, other = (ObjectJournal(dataset.storage, clock=lambda: now[0]) for _ in range(2))
    one.append([row(1)], base=0)
    with pytest.raises(Overtaken, match="another process recorded a decision first"):
        other.append([row(2)], base=0)
    assert [entry.rows for entry in other.poll()] == [(row(1),)]
    other.append([row(2)], base=0)
    assert [entry.rows for entry in one.poll()] == [(row(2),)]
    assert one.poll() == []
    mine, theirs = [*one.entries], [*other.entries]
    commit_entries(dataset, mine)  # both rows
    after, count = commit_entries(dataset, theirs)  # from a snapshot that does not know
    assert count == 0
    one.forget(mine)
    other.forget(theirs)
    assert ids(after) == [row(1).review_id, row(2).review_id]
    assert (one.entries, other.entries) == ([], [])
    with pytest.raises(Overtaken):  # a process that is late finds the number taken
        ObjectJournal(Unlisted(dataset.storage)).append([row(3)], base=0)  # type: ignore[arg-type]
    now[0] = 100.0
    one.forget([])
    assert [found.key for found in dataset.storage.list("_review")] == ["_review/000000000002.json"]
    third = open_journal(dataset)
    assert third.append([row(3)], base=after.number).key == "_review/000000000003.json"


class Unlisted:
    """The storage as a process sees it that listed it before anything was written."""

    def __init__(self, storage) -> None:
        self._storage = storage

    def list(self, folder: str) -> list:
        return []

    def __getattr__(self, name: str):
        return getattr(self._storage, name)


def test_another_writer_who_commits_first_is_no_harm(place):
    dataset = Dataset.create(place)
    journal = open_journal(dataset)
    journal.append([row(1)], base=0)
    Dataset.open(place).commit(Commit(stage="other"))
    after, count = commit_entries(dataset, journal.entries)
    assert (count, [commit.stage for commit in after.commits]) == (1, ["create", "other", "review"])
    journal.close()


@pytest.mark.parametrize("keep", [1, 20, -1])
def test_a_torn_last_line_is_dropped_and_the_rest_is_kept(tmp_path, keep):
    dataset = Dataset.create(tmp_path / "d")
    journal = open_journal(dataset)
    for number in (1, 2):
        journal.append([row(number)], base=0)
    journal.close()
    (path,) = files(dataset)
    first, second = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(first + second[:keep])
    journal = open_journal(dataset)
    assert [entry.rows for entry in journal.entries] == [(row(1),)]
    journal.append([row(3)], base=0)
    journal.close()
    assert journal_ids(dataset) == [row(1).review_id, row(3).review_id]


def test_a_damaged_line_is_refused_with_its_place(tmp_path):
    dataset = Dataset.create(tmp_path / "d")
    journal = open_journal(dataset)
    for number in (1, 2):
        journal.append([row(number)], base=0)
    journal.close()
    (path,) = files(dataset)
    path.write_bytes(path.read_bytes().replace(b"m1", b"m9"))
    with pytest.raises(
        DatasetError, match=re.escape(f"{path}, line 1: this entry of the review journal is damaged")
    ):
        open_journal(dataset)
    with pytest.raises(DatasetError, match="damaged"):
        open_journal(dataset)  # the lock was released


def test_one_process_writes_at_a_time_and_a_kill_releases_the_lock(tmp_path):
    dataset = Dataset.create(tmp_path / "d")
    code = (
        "import sys; from manifests.dataset import Dataset\n"
        "from manifests.review.journal import open_journal\n"
        "journal = open_journal(Dataset.open(sys.argv[1])); print('open', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, dataset.uri]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "open\n"
        with pytest.raises(
            DatasetError, match=f"process {other.pid} on .* has the reviews of this dataset open"
        ):
            open_journal(dataset)
        other.kill()
    open_journal(dataset).close()


class FullDisk:
    """A disk that takes `room` bytes more, in writes that may be short."""

    def __init__(self, out, room: int) -> None:
        self._out, self.room = out, room

    def write(self, data) -> int:
        if not self.room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        taken = min(self.room, len(data), 7)
        self.room -= taken
        return self._out.write(data[:taken])

    def __getattr__(self, name: str):
        return getattr(self._out, name)


@pytest.mark.parametrize("room", [0, 1, 100, 10_000])
def test_a_full_disk_records_all_or_nothing(tmp_path, room):
    dataset = Dataset.create(tmp_path / "d")
    journal = open_journal(dataset)
    assert isinstance(journal, FileJournal)
    journal.append([row(1)], base=0)
    journal._out = FullDisk(journal._out, room)  # type: ignore[assignment]
    recorded = [row(1)]
    try:
        journal.append([row(2)], base=0)
        recorded.append(row(2))
    except OSError as error:
        assert "make room there" in str(error)  # noqa: PT017
    assert (len(recorded) == 2) is (room == 10_000)
    journal._out.room = 1 << 20  # type: ignore[attr-defined]
    journal.append([row(3)], base=0)
    recorded.append(row(3))
    journal.close()
    assert journal_ids(dataset) == [each.review_id for each in recorded]


def test_a_write_that_cannot_be_taken_back_stops_the_journal(tmp_path, monkeypatch):
    dataset = Dataset.create(tmp_path / "d")
    journal = open_journal(dataset)
    journal.append([row(1)], base=0)

    def fail(*_: object) -> None:
        raise OSError(errno.EIO, "input/output error")

    monkeypatch.setattr(journals.os, "fsync", fail)
    for _ in range(2):
        with pytest.raises(OSError, match=r"output error|could not be taken back"):
            journal.append([row(2)], base=0)
    monkeypatch.undo()
    with pytest.raises(OSError, match="Look at the disk"):
        journal.append([row(2)], base=0)
    journal.close()
    assert journal_ids(dataset)[0] == row(1).review_id


def test_entries_of_a_newer_version_are_refused(tmp_path, monkeypatch):
    dataset = Dataset.create(tmp_path / "d")
    journal = open_journal(dataset)
    journal.append([row(1)], base=0)
    journal.close()
    monkeypatch.setattr(journals, "_FIELDS", tuple(name for name in journals._FIELDS if name != "blind"))
    with pytest.raises(DatasetError, match=r"unknown fields \(blind\); upgrade"):
        open_journal(dataset)


def test_a_repair_leaves_the_journal_alone(place):
    dataset = Dataset.create(place)
    journal = open_journal(dataset)
    journal.append([row(1)], base=0)
    journal.close()
    findings = verify(dataset)
    assert (findings.orphans, findings.foreign, findings.broken) == ([], [], [])
    repair(dataset, findings, older_than_s=0, now_s=1e12)
    assert journal_ids(dataset) == [row(1).review_id]
