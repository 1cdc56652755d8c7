"""A disk that fills: what could not be written, where, and what to do; nothing of it stays behind."""

import errno
import json
import os
from pathlib import Path

import numpy as np
import pytest

from manifests.dataset import Commit, Dataset
from manifests.shards import index_table
from manifests.storage import local, open_storage
from pipeline.config import CutConfig
from pipeline.cut import stage as cut_stage
from pipeline.cut.unit import CutUnit
from pipeline.pack.shard_sets import LocalShardSet
from pipeline.pack.stage import pack_batch
from pipeline.runtime.attempt_log import AttemptLog
from pipeline.runtime.context import StageContext
from pipeline.runtime.units import to_row
from pipeline.sources.stat import stat_source
from video.encode import encode_mp4


def no_room(*_, **__) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_is_named_with_path_and_remedy_and_a_later_run_goes_on(tmp_path, monkeypatch):
    dataset = Dataset.create(tmp_path / "d")

    with monkeypatch.context() as patch:
        patch.setattr(local, "_sync", no_room)
        with pytest.raises(OSError, match=r"d/failures/part-.*is full.*make room there and run the same"):
            dataset.write_records("failures", [])
        with pytest.raises(OSError, match=r"_log/00000001.json: cannot be written"):
            dataset.commit(Commit(stage="x"))
    assert [*open_storage(tmp_path / "d").incomplete_uploads()] == []
    assert [found.key for found in open_storage(tmp_path / "d").list()] == ["_log/00000000.json"]
    assert len(dataset.commit(Commit(stage="x")).commits) == 2


def test_clips_that_find_no_room_are_no_failures_and_leave_nothing(tmp_path, monkeypatch):
    dataset = Dataset.create(tmp_path / "d")
    encode_mp4(np.full((12, 48, 64, 3), 90, np.uint8), 12, tmp_path / "a.mp4")
    source = stat_source(str(tmp_path / "a.mp4"))
    unit = CutUnit(
        source_key=source.source_key,
        uri=source.uri,
        time_base_num=1,
        time_base_den=12,
        clip_ids=("a",),
        spans=((0, 12),),
    )
    context = StageContext(dataset_uri=dataset.uri, attempts_uri=str(tmp_path / "attempts"))
    monkeypatch.setattr(cut_stage, "_store", no_room)
    with pytest.raises(OSError, match=r"media/.*\.tar: cannot be written, .*/d is full"):
        list(cut_stage.cut_batch(to_row([unit]), config=CutConfig(), context=context))
    assert [found.key for found in dataset.storage.list()] == ["_log/00000000.json"]
    assert [*dataset.storage.incomplete_uploads()] == []


def test_a_note_that_finds_no_room_keeps_no_unit_from_its_work(tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "mkdir", no_room)
    assert AttemptLog(tmp_path / "attempts").run("unit", "/a.mp4", lambda: 7) == 7


def test_shards_that_find_no_room_are_told_without_rays_many_lines(tmp_path, monkeypatch):
    Dataset.create(tmp_path / "d")
    monkeypatch.setattr(local, "_sync", no_room)
    row = {"units": json.dumps([{"path": "a/0.tar", "kind": "joined", "samples": []}])}
    done = pack_batch(row, dataset_uri=str(tmp_path / "d"), out_uri=str(tmp_path / "s"))
    assert "s/a/0.tar: cannot be written" in done["full"]
    monkeypatch.setattr(Path, "write_bytes", no_room)
    place = LocalShardSet(tmp_path / "shards")
    place.begin("x", "joined")
    with pytest.raises(OSError, match=r"shards: cannot be written, .* is full"):
        place.publish(index_table([]), {}, 8.0)
    place.clean_up()
    assert {path.name for path in tmp_path.iterdir()} == {"d", "s"}
