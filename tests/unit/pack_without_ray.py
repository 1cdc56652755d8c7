"""Pack in this process, for tests that need no Ray; tests/ray packs with it."""

from collections.abc import Sequence
from typing import Any

import pytest

from pipeline.jobs import pack as job
from pipeline.pack.stage import pack_batch
from pipeline.pack.tars import PlannedTar


def patch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the tasks of a pack in this process, one after the other."""
    monkeypatch.setattr(job._Writing, "_on_ray", _here)


def _here(writing: job._Writing, tars: Sequence[PlannedTar], out_uri: str) -> list[dict[str, Any]]:
    tasks = writing._tasks(([tar] for tar in tars), tars)
    rows = (pack_batch(task, dataset_uri=writing.dataset.uri, out_uri=out_uri) for task in tasks)
    return [sample for row in rows for sample in writing._result(row, out_uri)]
