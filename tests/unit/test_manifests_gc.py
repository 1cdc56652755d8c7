"""`kinora gc` deletes what nothing refers to, and never what the newest commit or a running job needs."""

import json
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from test_manifests_conservation import CLIPS, GAP, KEPT, MEDIA, SOURCE

from kinora.cli import main as cli
from manifests import integrity
from manifests.dataset import Commit, ConflictError, Dataset, DatasetError
from manifests.gc import delete_garbage, find_garbage
from manifests.live_view import LiveView
from manifests.storage import open_storage

DAY_S = 24 * 3600.0


def cut(dataset: Dataset, tar: str, clips: dict[str, str], data: bytes = b"pixels") -> Dataset:
    """Commit a tar with a medium of each clip, by clip id the encoding."""
    dataset.storage.put(f"media/{tar}.tar", data * len(clips))
    about = {name: getattr(MEDIA, name) for name in ("extension", "num_frames", "height", "width", "fps")}
    rows = [
        type(MEDIA)(
            media_id=clip_id, clip_id=clip_id, encoding=encoding, path=f"media/{tar}.tar", offset=6 * n,
            length=6, duration_s=4.0, **about,
        )
        for n, (clip_id, encoding) in enumerate(clips.items())
    ]  # fmt: skip
    return dataset.commit(Commit(stage="cut", added=(dataset.write_records("media", rows),)))


@pytest.fixture
def dataset(place) -> Dataset:
    """Clip c5 in `old.tar`, then in `new.tar`; c50, which is not selected, in `other.tar`; an orphan."""
    dataset = Dataset.create(place)
    added = {"sources": [SOURCE], "clips": CLIPS, "gaps": [GAP], "selections": [KEPT]}
    parts = tuple(dataset.write_records(table, rows) for table, rows in added.items())
    dataset = dataset.commit(Commit(stage="test", added=parts))
    dataset = cut(dataset, "old", {"c5": "crf 18"})
    dataset = cut(dataset, "other", {"c50": "crf 18"})
    dataset = cut(dataset, "new", {"c5": "crf 20"})
    dataset.storage.put("media/orphan.tar", b"half")
    return dataset


def tars(dataset: Dataset) -> set[str]:
    return {Path(found.key).stem for found in dataset.storage.list("media") if found.key.endswith(".tar")}


def gc(dataset: Dataset, *, after_s: float = 2 * DAY_S, age_s: float = DAY_S) -> dict:
    """Run it `after_s` seconds from now."""
    now_s = time.time() + after_s
    garbage = find_garbage(dataset, older_than_s=age_s, now_s=now_s)
    delete_garbage(dataset, garbage, older_than_s=age_s, now_s=now_s)
    return {"tars": len(garbage.tars), "media": garbage.media, "young": garbage.young_tars}


def test_media_cut_anew_and_orphans_go_and_all_else_stays(dataset):
    before = [found.key for found in dataset.storage.list()]
    garbage = find_garbage(dataset, older_than_s=DAY_S, now_s=time.time() + 2 * DAY_S)
    assert [found.key for found in garbage.tars] == ["media/old.tar"]
    assert [found.key for found in dataset.storage.list()] == before
    assert gc(dataset) == {"tars": 1, "media": 1, "young": 0}
    assert tars(dataset) == {"new", "other"}
    newest = dataset.refresh()
    assert newest.commits[-1].stage == "gc"
    assert LiveView(newest).media["path"].to_pylist() == ["media/new.tar"]
    assert LiveView(Dataset.open(dataset.uri, at=2)).media["path"].to_pylist() == ["media/old.tar"]
    found = integrity.verify(newest, media=True)
    assert (found.broken, found.orphans) == ([], [])
    assert gc(newest) == {"tars": 0, "media": 0, "young": 0}
    assert newest.refresh().number == newest.number


def test_what_a_running_job_may_read_or_write_stays(dataset):
    assert gc(dataset, after_s=0) == {"tars": 0, "media": 0, "young": 1}
    assert tars(dataset) == {"old", "other", "new", "orphan"}


def test_a_tar_that_was_replaced_lately_stays_however_old_it_is(tmp_path):
    """A job that began before the new cut may still read it."""
    dataset = Dataset.create(tmp_path / "d")
    parts = tuple(
        dataset.write_records(table, rows)
        for table, rows in {"sources": [SOURCE], "clips": CLIPS, "gaps": [GAP], "selections": [KEPT]}.items()
    )
    dataset = cut(dataset.commit(Commit(stage="test", added=parts)), "old", {"c5": "crf 18"})
    for entry in (tmp_path / "d" / "_log").glob("0*.json"):
        log = json.loads(entry.read_text())
        entry.write_text(
            json.dumps(log | {"at": datetime.fromtimestamp(time.time() - 9 * DAY_S, UTC).isoformat()})
        )
    dataset = cut(Dataset.open(tmp_path / "d"), "new", {"c5": "crf 20"})
    assert gc(dataset, after_s=0.5 * DAY_S, age_s=DAY_S) == {"tars": 0, "media": 0, "young": 1}
    assert gc(dataset, after_s=2 * DAY_S, age_s=DAY_S) == {"tars": 1, "media": 1, "young": 0}


def test_a_tar_that_also_holds_media_that_count_stays(tmp_path):
    dataset = Dataset.create(tmp_path / "d")
    parts = (dataset.write_records("sources", [SOURCE]), dataset.write_records("clips", CLIPS))
    dataset = cut(dataset.commit(Commit(stage="test", added=parts)), "both", {"c5": "a", "c50": "a"})
    dataset = cut(dataset, "new", {"c5": "b"})
    garbage = find_garbage(dataset, older_than_s=0, now_s=time.time() + 1)
    assert (len(garbage.tars), garbage.mixed_tars, garbage.mixed_bytes) == (0, 1, 6)


def test_a_writer_that_refers_to_a_tar_meanwhile_wins(dataset):
    now_s = time.time() + 2 * DAY_S
    garbage = find_garbage(dataset, older_than_s=DAY_S, now_s=now_s)
    back = cut(dataset, "old", {"c5": "crf 18"})
    with pytest.raises(ConflictError, match=r"media/old.tar"):
        delete_garbage(dataset, garbage, older_than_s=DAY_S, now_s=now_s)
    assert LiveView(back).media["path"].to_pylist() == ["media/old.tar"]
    assert "old" in tars(dataset)


def test_a_kill_in_the_middle_leaves_a_whole_dataset_and_the_next_run_goes_on(tmp_path, dataset):
    if dataset.uri.startswith("s3://"):
        pytest.skip("the killed process is led to no S3")
    code = f"""
import os, time
from manifests.dataset import Dataset
from manifests.gc import delete_garbage, find_garbage
from manifests.storage import LocalStorage
LocalStorage.delete = lambda self, key: os._exit(9)  # killed after the commit, before the first deletion
dataset, now_s = Dataset.open({dataset.uri!r}), time.time() + {2 * DAY_S}
delete_garbage(dataset, find_garbage(dataset, older_than_s=1, now_s=now_s), older_than_s=1, now_s=now_s)
"""
    root = str(Path(__file__).parents[2])
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 9
    newest = dataset.refresh()
    assert newest.commits[-1].stage == "gc"
    assert tars(dataset) == {"old", "other", "new", "orphan"}
    found = integrity.verify(newest, media=True)
    assert found.broken == []
    assert {Path(orphan.key).stem for orphan in found.orphans} == {"old", "orphan"}
    gc(newest)
    assert tars(dataset) == {"new", "other"}
    assert integrity.verify(newest.refresh()).broken == []


def test_a_damaged_dataset_is_left_alone(dataset):
    dataset.storage.delete("media/new.tar")
    with pytest.raises(DatasetError, match=r"media/new.tar: missing.*nothing was deleted"):
        find_garbage(dataset, older_than_s=0, now_s=time.time())


def test_the_command_counts_by_kind_and_needs_a_place(dataset, capsys):
    def run(*flags: str) -> dict:
        assert cli.main(["gc", "--dataset", dataset.uri, "--older-than-h", "0", "--json", *flags]) == 0
        return json.loads(capsys.readouterr().out)

    said = run("--dry-run")
    assert said["dropped"] == {
        "tars of media that were cut anew": {"count": 1, "bytes": 6},
        "orphaned files": {"count": 1, "bytes": 4},
    }
    assert "would lose the pixels of 1 media" in said["notes"][0]
    assert tars(dataset) == {"old", "other", "new", "orphan"}
    assert run()["dropped"] == said["dropped"]
    assert tars(dataset) == {"new", "other"}
    assert run()["dropped"] == {}
    assert cli.main(["gc"]) == 2
    assert "name what to clean up" in capsys.readouterr().err
    assert cli.main(["gc", "--dataset", dataset.uri, "--older-than-h", "-1"]) == 2
    assert open_storage(dataset.uri).list_root() >= {"_log", "media"}
