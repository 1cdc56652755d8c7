"""A dataset on a disk and on S3: the same promises, through the same interface."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pytest

from kinora.cli import main as cli
from manifests import schemas
from manifests.dataset import Commit, ConflictError, Dataset, DatasetError
from manifests.live_view import LiveView
from manifests.records import Caption, Failure, Media, Outcome
from manifests.storage import open_storage


def failure(unit: str) -> Failure:
    return Failure(
        stage="caption", unit=unit, uri=f"/{unit}", code="ERROR", message="no", remedy="fix", config="c"
    )


def test_what_a_place_promises(place):
    storage = open_storage(place)
    assert storage.list_root() == set()
    storage.put("a/one", b"0123456789")
    storage.put("a/b/two", memoryview(b"x"))
    assert storage.read("a/one") == b"0123456789"
    assert storage.read_range("a/one", 3, 4) == b"3456"
    assert storage.read_range("a/one", 8, 4) == b"89"
    assert storage.read_range("a/one", 20, 4) == b""
    assert {(s.key, s.size) for s in storage.list()} == {("a/one", 10), ("a/b/two", 1)}
    assert [s.key for s in storage.list("a/b")] == ["a/b/two"]
    assert storage.list_root() == {"a"}
    storage.delete("a/one")
    storage.delete("a/one")  # what is gone may be deleted
    for ask in (storage.read, storage.open_reader):
        with pytest.raises(FileNotFoundError, match="a/one"):
            ask("a/one")


def test_put_new_happens_once(place):
    storage = open_storage(place)
    assert storage.put_if_absent("log/1", b"mine")
    assert not storage.put_if_absent("log/1", b"theirs")
    assert storage.put_if_absent("log/1", b"mine")  # a try whose answer was lost is known by its bytes
    assert storage.read("log/1") == b"mine"
    assert list(storage.incomplete_uploads()) == []


def test_an_exception_while_writing_publishes_nothing(place):
    storage = open_storage(place)
    with suppress(RuntimeError), storage.open_writer("media/x.tar") as out:
        out.write(b"half of it")
        raise RuntimeError("half")
    assert list(storage.list()) == []
    assert list(storage.incomplete_uploads()) == []


def test_storages_share_a_client_while_the_settings_are_the_same(s3_uri, monkeypatch):
    from manifests.storage.s3 import S3Storage

    client = S3Storage(s3_uri)._client
    assert S3Storage(f"{s3_uri}/below")._client is client
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "another")
    assert S3Storage(s3_uri)._client is not client
    assert S3Storage(s3_uri)._client._request_signer._credentials.access_key == "another"


def test_a_large_object_is_read_by_what_is_asked_of_it(s3_uri, monkeypatch):
    storage = open_storage(s3_uri)
    with storage.open_writer("big") as out:
        out.write(bytes(range(256)) * 8192)
    fetched: list[int] = []
    ranges = storage.read_range
    monkeypatch.setattr(storage, "read_range", lambda k, at, n: fetched.append(n) or ranges(k, at, n))
    with storage.open_reader("big") as file:
        assert file.seek(-3, 2) == 2**21 - 3
        assert file.read() == b"\xfd\xfe\xff"
        file.seek(256)
        assert file.read(2) == b"\x00\x01"
    assert sum(fetched) == 5


def test_a_dataset_reads_back_whole_and_as_it_was(place):
    dataset = Dataset.create(place)
    for unit in "abc":
        dataset = dataset.commit(
            Commit(stage="x", added=(dataset.write_records("failures", [failure(unit)]),), counts={"n": 1})
        )
    scored = schemas.to_table(Failure, [failure("d")]).append_column("motion", pa.array([0.5]))
    dataset = dataset.commit(Commit(stage="x", added=(dataset.write_part("failures", scored),)))
    again = Dataset.open(place)
    assert again.read("failures", ["unit", "motion"]).to_pylist() == [
        {"unit": "a", "motion": None},
        {"unit": "b", "motion": None},
        {"unit": "c", "motion": None},
        {"unit": "d", "motion": 0.5},
    ]
    assert again.columns("failures")[-1] == "motion"
    assert [f.unit for f in Dataset.open(place, at=2).records("failures")] == ["a", "b"]
    assert again.commits[1].counts == {"n": 1}
    assert {"kinora", "pyarrow", "python"} <= {*again.commits[1].versions}
    with pytest.raises(DatasetError, match="no commit 9; the newest is 4"):
        Dataset.open(place, at=9)


def test_a_place_with_something_else_is_never_touched(place):
    storage = open_storage(place)
    storage.put("thesis.txt", b"mine")
    with pytest.raises(DatasetError, match="already holds something that is not"):
        Dataset.create(place)
    assert [stored.key for stored in storage.list()] == ["thesis.txt"]


def test_one_prefix_does_not_see_its_neighbour(s3_uri):
    Dataset.create(s3_uri + "-2")
    assert Dataset.open_if_exists(s3_uri) is None
    with pytest.raises(DatasetError, match="no dataset here"):
        Dataset.open(s3_uri)


@pytest.mark.parametrize("rounds", [10, pytest.param(200, marks=pytest.mark.slow)])
def test_writers_in_a_race(place, rounds):
    """Two writers go for each number: each commit gets in once, none twice, none is lost."""
    start = threading.Barrier(2)
    Dataset.create(place)

    def write(writer: str) -> int:
        lost, dataset = 0, Dataset.open(place)
        for number in range(rounds):
            dataset = dataset.refresh()
            part = dataset.write_records("failures", [failure(f"{writer}{number}")])
            commit = Commit(stage=writer, added=(part,))
            start.wait()  # both go for one number
            try:
                dataset.commit(commit)
            except ConflictError:
                lost += 1
                dataset.commit(commit, rebase=True)
        return lost

    with ThreadPoolExecutor(2) as writers:
        lost = sum(writers.map(write, "ab"))
    dataset = Dataset.open(place)
    assert [commit.number for commit in dataset.commits] == list(range(2 * rounds + 1))
    assert sorted(dataset.read("failures")["unit"].to_pylist()) == sorted(
        f"{writer}{number}" for writer in "ab" for number in range(rounds)
    )
    assert lost >= rounds  # of two that raced for one number, one lost each time


def test_a_removal_does_not_go_on_top_of_another(place):
    dataset = Dataset.create(place)
    part = dataset.write_records("failures", [failure("a")])
    dataset = dataset.commit(Commit(stage="x", added=(part,)))
    first = Dataset.open(place).commit(Commit(stage="compact", removed=(part.path,)))
    with pytest.raises(ConflictError, match="another writer removed"):
        dataset.commit(Commit(stage="compact", removed=(part.path,)), rebase=True)
    other = dataset.write_records("failures", [failure("b")])
    assert dataset.commit(Commit(stage="x", added=(other,)), rebase=True).number == first.number + 1
    assert Dataset.open(place).read("failures")["unit"].to_pylist() == ["b"]


def dataset_with_a_caption(uri: str) -> Dataset:
    """One clip, cut and captioned; no source, so that `status` has something to object to."""
    dataset = Dataset.create(uri)
    text = {
        "text": "A red ball rolls.",
        "short": "A ball.",
        "captioner": "vlm",
        "model": "m",
        "revision": "r",
    }
    caption = Caption(
        clip_id="c1",
        media_id="m1",
        outcome=Outcome.OK,
        prompt_digest="p",
        decoding="{}",
        frames_shown=(0,),
        **text,
    )
    sizes = {"num_frames": 1, "height": 1, "width": 1, "fps": 1.0, "duration_s": 1.0}
    with dataset.storage.open_writer("media/t.tar") as tar:
        tar.write(b"pixels")
    place = {"path": "media/t.tar", "offset": 0, "length": 6, "extension": "mp4"}
    media = Media(media_id="m1", clip_id="c1", encoding="e", **place, **sizes)
    added = (dataset.write_records("captions", [caption]), dataset.write_records("media", [media]))
    return dataset.commit(Commit(stage="caption", added=added))


@pytest.mark.parametrize("command", ["status", "failures", "explain", "captions sample", "captions check"])
def test_the_commands_read_s3_as_they_read_a_folder(command, s3_uri, tmp_path, capsys):
    said = []
    for uri in (s3_uri, str(tmp_path / "d")):
        dataset_with_a_caption(uri)
        code = cli.main([*command.split(), "--dataset", uri, "--json"])
        said.append((code, capsys.readouterr().out))
    if command != "captions check":  # which says when each orphan was written
        assert said[0] == said[1]
    assert said[0][0] == said[1][0] in (0, 3)


def test_the_past_is_read_from_the_command_line(place, capsys):
    dataset_with_a_caption(place)
    assert cli.main(["status", "--dataset", place, "--at", "0", "--json"]) == 0
    assert '"commit": 0' in capsys.readouterr().out
    assert cli.main(["captions", "sample", "--dataset", place, "--at", "7"]) == 2
    assert "no commit 7; the newest is 1" in capsys.readouterr().err


def test_views_read_s3(s3_uri):
    dataset = dataset_with_a_caption(s3_uri)
    assert (
        LiveView(dataset).captions().num_rows == LiveView(dataset).media.num_rows == 0
    )  # the clip was never selected


def test_an_unknown_scheme_is_refused():
    with pytest.raises(DatasetError, match=r"s3://bucket/prefix"):
        Dataset.open("gs://bucket/x")
    with pytest.raises(DatasetError, match="and nothing else"):
        Dataset.open("s3://")
    assert Dataset.open_if_exists(Path("/nowhere/at/all")) is None
