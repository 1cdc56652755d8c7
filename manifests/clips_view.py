"""Live rows of some clips, and the clips whose live rows a series of commits may have changed.

The rules of `LiveView` decide about each clip apart from all others, so the rows of these clips are enough.
"""
# pyarrow has no complete types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import pyarrow as pa

from manifests.arrow import combine, pc
from manifests.caption_order import latest_requests
from manifests.dataset import Commit, Dataset
from manifests.live_view import LiveView
from manifests.newest_rows import is_among
from manifests.parts import TableName
from manifests.row_commits import commit_numbers
from manifests.row_reads import read_rows
from manifests.view_tables import TABLES, ViewName

_OF_CLIPS: Final[tuple[TableName, ...]] = (
    "clips",
    "scores",
    "selections",
    "duplicates",
    "media",
    "captions",
)
"""Tables whose rows name a clip."""


class ClipsView(LiveView):
    """The live rows of some clips: `sources`, and the views of `_OF_CLIPS`.

    Of all clips it reads the ids alone; other columns from the parts that have rows of these.
    """

    def __init__(self, dataset: Dataset, clip_id: pa.Array) -> None:
        super().__init__(dataset)
        self._clip_id = clip_id
        self._own: dict[TableName, np.ndarray] = {}

    def row_indices(self, view: ViewName, version: str | None = None) -> np.ndarray:
        """Return the index of each row of `read` among all rows of the table in the dataset."""
        rows_N = super().row_indices(view, version)
        table = TABLES[view]
        return self._own_rows(table)[rows_N] if table in _OF_CLIPS else rows_N

    def caption_requests(self) -> dict[str, int]:
        """Return the number of the commit that last asked for each caption version of the dataset."""
        return _requests(_captions(self.dataset), self.dataset.commits)

    def _own_rows(self, table: TableName) -> np.ndarray:
        if table not in self._own:
            ids = self.dataset.read(table, ["clip_id"])["clip_id"]
            self._own[table] = np.flatnonzero(is_among(ids, self._clip_id))
        return self._own[table]

    def _all_rows(self, table: TableName, columns: Sequence[str]) -> pa.Table:
        if table not in _OF_CLIPS:
            return super()._all_rows(table, columns)
        return read_rows(self.dataset, table, columns, self._own_rows(table))

    def _commit_numbers(self, table: TableName) -> np.ndarray:
        numbers_N = super()._commit_numbers(table)
        return numbers_N[self._own_rows(table)] if table in _OF_CLIPS else numbers_N


def touched_clips(dataset: Dataset, number: int) -> pa.Array | None:
    """Return the ids of the clips whose live rows the commits after `number` may have changed, each once.

    Returns None if they may be any: after a removal, a rewriting of parts, or if another caption version
    counts now. Which scores count is for the caller to compare (`manifests.scores.requests`).
    """
    newer = Dataset(dataset.storage, [each for each in dataset.commits if each.number > number])
    if newer.removed() or any(each.rewritten for each in newer.commits) or newer.parts("removals"):
        return None
    asked = any(each.stage == "caption" for each in newer.commits)
    if (asked or newer.parts("captions")) and _reordered(dataset, number):
        return None
    ids = [newer.read(table, ["clip_id"])["clip_id"] for table in _OF_CLIPS if newer.parts(table)]
    if newer.parts("sources"):
        sources, uris = dataset.read("sources", ["uri", "source_key"]), newer.read("sources", ["uri"])["uri"]
        keys = sources["source_key"].filter(pa.array(is_among(sources["uri"], uris)))
        clips = dataset.read("clips", ["clip_id", "source_key"])
        ids.append(clips["clip_id"].filter(pa.array(is_among(clips["source_key"], keys))))
    chunks = [chunk for each in ids for chunk in each.chunks]
    return pc.unique(combine(pa.chunked_array(chunks, pa.string())))


def _reordered(dataset: Dataset, number: int) -> bool:
    """Return whether the order in which the caption versions of `number` were asked for is another one."""
    rows = _captions(dataset)
    older = [each for each in dataset.commits if each.number <= number]
    before = _requests(rows.filter(pc.less_equal(rows["commit"], number)), older)
    now = _requests(rows, dataset.commits)
    return _ranks(before, before) != _ranks(now, before)


def _captions(dataset: Dataset) -> pa.Table:
    """Return the version and the number of the commit of each caption."""
    rows = dataset.read("captions", ["version"])
    return rows.append_column("commit", pa.array(commit_numbers(dataset, "captions")))


def _requests(captions: pa.Table, commits: Sequence[Commit]) -> dict[str, int]:
    """Return the number of the commit that last asked for each caption version."""
    found = captions.group_by("version").aggregate([("commit", "max")]).to_pydict()
    return latest_requests(dict(zip(found["version"], found["commit_max"], strict=True)), commits)


def _ranks(requests: Mapping[str, int], versions: Mapping[str, int]) -> list[int]:
    """Return the place of each version in the order of requests; equal for equal requests."""
    values = np.array([requests[name] for name in versions], np.int64)
    return np.unique(values, return_inverse=True)[1].tolist()
