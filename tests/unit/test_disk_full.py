"""A disk that fills: what could not be written, where, and what to do; nothing of it stays behind."""

import errno
import os

import pytest

from manifests import storage
from manifests.storage import storage_at
from manifests.store import Commit, Dataset


def test_a_full_disk_is_named_with_path_and_remedy_and_a_later_run_goes_on(tmp_path, monkeypatch):
    dataset = Dataset.create(tmp_path / "d")

    def full(out) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(storage, "_sync", full)
        with pytest.raises(OSError, match=r"d/failures/part-.*is full.*make room there and run the same"):
            dataset.put_records("failures", [])
        with pytest.raises(OSError, match=r"_log/00000001.json: cannot be written"):
            dataset.commit(Commit(stage="x"))
    assert [*storage_at(tmp_path / "d").unfinished()] == []
    assert [found.key for found in storage_at(tmp_path / "d").walk()] == ["_log/00000000.json"]
    assert len(dataset.commit(Commit(stage="x")).commits) == 2
