"""`kinora captions check`: damage is reported, old orphans are removed, a writer at work keeps its parts."""

import json
import os
import time

import pytest

from kinora.cli import main as cli
from manifests import integrity
from manifests.dataset import Commit, ConflictError, Dataset
from manifests.digest import digest_bytes
from manifests.records import Failure, Media
from manifests.storage.s3 import S3Storage


def failure(unit: str) -> Failure:
    return Failure(stage="x", unit=unit, uri="/u", code="X", message="m", remedy="r", config="c")


def add(dataset: Dataset, unit: str) -> Dataset:
    return dataset.commit(Commit(stage="x", added=(dataset.write_records("failures", [failure(unit)]),)))


def cut(dataset: Dataset, data: bytes = b"pixels", length: int = 6) -> Commit:
    """Write a tar and the row of its clip, uncommitted."""
    with dataset.storage.open_writer("media/t.tar") as tar:
        tar.write(data)
    sizes = {"num_frames": 1, "height": 1, "width": 1, "fps": 1.0, "duration_s": 1.0}
    place = {
        "path": "media/t.tar",
        "offset": 0,
        "length": length,
        "extension": "mp4",
        "digest": digest_bytes(b"pixels"),
    }
    row = Media(media_id="m", clip_id="c1", encoding="e", **place, **sizes)
    return Commit(stage="cut", added=(dataset.write_records("media", [row]),))


def check(uri: str, capsys, *flags: str) -> tuple[int, dict]:
    code = cli.main(["captions", "check", "--dataset", uri, "--json", *flags])
    return code, json.loads(capsys.readouterr().out)


def test_a_whole_dataset_adds_up(place, capsys):
    dataset = add(add(Dataset.create(place), "a"), "b")
    dataset.commit(cut(dataset))
    code, said = check(place, capsys, "--media")
    assert code == 0
    assert (said["commits"], said["parts"], said["rows"], said["tars"], said["tar_bytes"]) == (4, 3, 3, 1, 6)
    assert (said["broken"], said["orphans"], said["unfinished"], said["unverified"]) == ([], [], [], 0)


def test_what_is_missing_or_damaged_is_said(place, capsys):
    dataset = add(add(add(Dataset.create(place), "a"), "b"), "c")
    dataset = dataset.commit(cut(dataset, b"pixelZ"))
    first, second, third = (part.path for part in dataset.parts("failures"))
    whole = dataset.storage.read(second)
    dataset.storage.delete(first)
    dataset.storage.put(second, whole[:-1] + b"?")
    dataset.storage.put(third, whole[:100])
    code, said = check(place, capsys, "--media")
    assert code == 4
    assert len(said["broken"]) == 4
    for sentence, words in zip(
        said["broken"],
        [f"{first}: missing (1 rows of failures)", "(digest)", "has 100 bytes", "clip c1 are not those"],
        strict=True,
    ):
        assert words in sentence
    code, said = check(place, capsys, "--quick")
    assert code == 4
    assert len(said["broken"]) == 2  # sizes alone do not tell a changed byte


@pytest.mark.parametrize(("data", "length"), [(b"pix", 6), (b"pixels", 7)])
def test_a_tar_that_ends_early_is_said(tmp_path, capsys, data, length):
    dataset = Dataset.create(tmp_path / "d")
    dataset.commit(cut(dataset, data, length))
    code, said = check(str(tmp_path / "d"), capsys)
    assert code == 4
    assert f"has {len(data)} bytes, and clips up to byte {length}" in said["broken"][0]
    dataset.storage.delete("media/t.tar")
    assert "media/t.tar: missing" in check(str(tmp_path / "d"), capsys)[1]["broken"][0]


def test_a_hole_in_the_log_is_damage(place, capsys):
    dataset = add(add(Dataset.create(place), "a"), "b")
    dataset.storage.delete("_log/00000001.json")
    code, said = check(place, capsys)
    assert code == 4
    assert "00000001.json: this commit is missing" in said["broken"][0]
    dataset.storage.put("_log/00000001.json", b"{half")
    assert "not a log entry" in check(place, capsys)[1]["broken"][0]


def test_repair_removes_old_orphans_and_keeps_past_commits_readable(place, capsys):
    dataset = add(add(Dataset.create(place), "a"), "b")
    removed = dataset.parts("failures")[0].path
    dataset = dataset.commit(Commit(stage="compact", removed=(removed,)))
    orphan = dataset.write_records("failures", [failure("never")]).path
    dataset.storage.put("media/orphan.tar", b"pixels")
    dataset.storage.put("_log/probe-1", b"x")
    dataset.storage.put("notes/mine.txt", b"mine")
    begin_unfinished_write(dataset)
    code, said = check(place, capsys)
    assert code == 0
    assert {found["key"] for found in said["orphans"]} == {orphan, "media/orphan.tar", "_log/probe-1"}
    assert (len(said["unfinished"]), said["foreign"]) == (1, ["notes"])
    code, said = check(place, capsys, "--repair")  # a day has not passed: a writer may be at work on these
    assert said["repaired"]["orphans"] == 0
    if not place.startswith("s3"):  # moto says of each upload that it began in 2010
        assert (said["repaired"]["unfinished"], said["repaired"]["left"]) == (0, 4)
    code, said = check(place, capsys, "--repair", "--older-than-h", "0")
    assert code == 0
    assert (said["repaired"]["orphans"], said["repaired"]["left"]) == (3, 0)
    code, said = check(place, capsys)
    assert (said["orphans"], said["unfinished"], said["foreign"]) == ([], [], ["notes"])
    assert dataset.storage.read("notes/mine.txt") == b"mine"
    assert Dataset.open(place, at=2).read("failures").num_rows == 2
    assert add(Dataset.open(place), "after").read("failures")["unit"].to_pylist() == ["b", "after"]


def begin_unfinished_write(dataset: Dataset) -> None:
    """Leave what a killed writer would."""
    storage = dataset.storage
    if isinstance(storage, S3Storage):
        bucket, prefix = storage._bucket, storage._prefix
        storage._client.create_multipart_upload(Bucket=bucket, Key=f"{prefix}media/never.tar")
    else:
        (dataset.root / "media" / ".never.tar.0a.partial").write_bytes(b"half")


def test_a_slow_writer_is_refused_rather_than_robbed(place):
    """Its parts were thrown away before it committed them: the commit fails, nothing dangles."""
    dataset = add(Dataset.create(place), "a")
    slow, late = cut(dataset), Dataset.open(place)
    findings = integrity.verify(dataset)
    integrity.repair(dataset, findings, older_than_s=0, now_s=time.time() + 60)
    for writer in (dataset, late, Dataset.open(place)):
        with pytest.raises(ConflictError, match="a repair deleted"):
            writer.commit(slow, rebase=True)
    assert integrity.verify(dataset).broken == []


def test_a_clip_whose_tar_was_thrown_away_is_refused(tmp_path):
    dataset = Dataset.create(tmp_path / "d")
    dataset.storage.put("media/t.tar", b"pixels")
    integrity.repair(dataset, integrity.verify(dataset), older_than_s=0, now_s=time.time() + 60)
    with pytest.raises(ConflictError, match=r"a repair deleted media/t\.tar"):
        dataset.refresh().commit(cut(dataset))


def test_a_repair_does_not_take_what_was_committed_meanwhile(place):
    dataset = add(Dataset.create(place), "a")
    commit = cut(dataset)
    findings = integrity.verify(dataset)
    assert len(findings.orphans) == 2
    dataset.commit(commit)
    with pytest.raises(ConflictError, match="commit 2 needs"):
        integrity.repair(dataset, findings, older_than_s=0, now_s=time.time() + 60)
    assert integrity.verify(dataset, media=True).broken == []


def test_a_repair_that_was_killed_is_ended_by_the_next(tmp_path):
    dataset = Dataset.create(tmp_path / "d")
    orphan = dataset.write_records("failures", [failure("never")])
    dataset = dataset.commit(
        Commit(stage=integrity.REPAIR, removed=(orphan.path,))
    )  # killed before it deleted
    done = integrity.repair(dataset, integrity.verify(dataset), older_than_s=1e9, now_s=time.time())
    assert (done.orphans, dataset.refresh().number) == (1, 1)
    assert not os.path.exists(dataset.root / orphan.path)


def test_a_person_can_read_it(tmp_path, capsys):
    dataset = add(Dataset.create(tmp_path / "d"), "a")
    dataset.write_records("failures", [failure("never")])
    assert cli.main(["captions", "check", "--dataset", str(tmp_path / "d")]) == 0
    said = capsys.readouterr().out
    assert "no problems found" in said
    assert "--repair" in said
    assert cli.main(["captions", "check", "--dataset", str(tmp_path / "d"), "--older-than-h", "-1"]) == 2
