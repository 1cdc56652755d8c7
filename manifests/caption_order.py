"""Which of several captions of one media counts.

An OK caption comes before a failed one, a version that was asked for later before an earlier one, and a newer
row before an older one. So a failed run hides no good caption, and an old version that is asked for again
counts again.
"""

# pyarrow and DuckDB have no complete types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false, reportUnknownLambdaType=false

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from manifests.arrow import pc
from manifests.caption_checks import request_number
from manifests.dataset import Commit


def latest_requests(newest: Mapping[str, int], commits: Iterable[Commit]) -> dict[str, int]:
    """Return the number of the commit that last asked for each caption version.

    Args:
        newest: number of the commit of the newest row of each version.
        commits: the log; `kinora caption` also records a request that finds nothing to do.
    """
    commits = list(commits)
    requests = {
        version: request_number(commits[number], version)
        if number < len(commits)  # rows that are not committed yet
        else number
        for version, number in newest.items()
    }
    for commit in commits:
        if commit.stage == "caption" and commit.config_digest in requests:
            requests[commit.config_digest] = max(requests[commit.config_digest], commit.number)
    return requests


@dataclass(frozen=True, kw_only=True, slots=True)
class CaptionCodes:
    """The rows of the captions table as integers: they compare and group many times faster than texts."""

    media_R: np.ndarray
    """Index of the live media of each row, -1 if it is not live."""
    version_R: np.ndarray
    """Index of its version among the keys of `latest_requests`."""
    is_ok_R: np.ndarray
    versions: Sequence[str]
    request_V: np.ndarray
    """Number of the commit that last asked for each version."""
    num_media: int

    @classmethod
    def of(cls, rows: pa.Table, requests: Mapping[str, int], media_id: pa.Array) -> "CaptionCodes":
        """Encode `media_id`, `version` and `outcome` of all rows of the table, in order."""
        versions = [*requests]
        return cls(
            media_R=_codes(rows["media_id"], media_id),
            version_R=_codes(rows["version"], pa.array(versions, pa.string())),
            is_ok_R=pc.equal(rows["outcome"], "ok").to_numpy(zero_copy_only=False).astype(bool),
            versions=versions,
            request_V=np.array([*requests.values()], np.int64),
            num_media=len(media_id),
        )

    def first_by_media(
        self, *, ok_first: bool = True, version: str | None = None, among_R: np.ndarray | None = None
    ) -> np.ndarray:
        """Return the row of the caption that counts for each media, -1 without one.

        Args:
            ok_first: whether an OK caption comes before a newer failed one.
            version: only captions of this version.
            among_R: mask of the rows to choose from.
        """
        mask_R = self.media_R >= 0
        if version is not None:
            mask_R &= self.version_R == (self.versions.index(version) if version in self.versions else -2)
        if among_R is not None:
            mask_R &= among_R
        return self._best(mask_R, self.media_R[mask_R], self.num_media, ok_first)

    def first_by_version(self) -> np.ndarray:
        """Return the rows of the caption that counts for each media and version."""
        mask_R = self.media_R >= 0
        group_M = self.media_R[mask_R].astype(np.int64) * len(self.versions) + self.version_R[mask_R]
        count = self.num_media * len(self.versions)
        if count > 4 * len(mask_R):  # most media lack most versions
            held, group_M = np.unique(group_M, return_inverse=True)
            count = len(held)
        best_G = self._best(mask_R, group_M, count, ok_first=True)
        return best_G[best_G >= 0]

    def _best(self, mask_R: np.ndarray, group_M: np.ndarray, count: int, ok_first: bool) -> np.ndarray:
        """Return the first row of each group, -1 for an empty one."""
        total = max(1, len(mask_R))
        rank_M = self.request_V[self.version_R[mask_R]] if len(self.request_V) else np.zeros(0, np.int64)
        if ok_first:
            rank_M = rank_M + self.is_ok_R[mask_R] * (1 + self.request_V.max(initial=0))
        key_M = rank_M * total + np.flatnonzero(mask_R)
        best_G = np.full(count, -1, np.int64)
        np.maximum.at(best_G, group_M, key_M)
        return np.where(best_G >= 0, best_G % total, -1)


def _codes(values: pa.ChunkedArray, known: pa.Array) -> np.ndarray:
    found = pc.fill_null(pc.index_in(values, value_set=known), -1)
    return found.to_numpy(zero_copy_only=False)


def count_versions(attempts: pa.Table) -> dict[str, dict[str, int]]:
    """Return the number of captions of each version, as `ok` and `failed`.

    Args:
        attempts: columns `version` and `outcome` of the view `caption_attempts`.
    """
    counts: dict[str, dict[str, int]] = {}
    groups = attempts.group_by(["version", "outcome"]).aggregate([([], "count_all")]).to_pylist()
    for group in sorted(groups, key=lambda group: str(group["version"])):
        found = counts.setdefault(group["version"], {"ok": 0, "failed": 0})
        found["ok" if group["outcome"] == "ok" else "failed"] += group["count_all"]
    return counts
