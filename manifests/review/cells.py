"""Divide the captions of a dataset into cells, each of which reviewers sampled at one rate.

A clip may be in several strata of the queue, and each stratum, or each step of one that is in the order of a
value, is reviewed in random order. So the reviewed clips are a random part of each cell: of those that are in
the same strata and steps.
"""
# pyarrow has no complete types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false

from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np
import pyarrow as pa

from manifests.arrow import pc
from manifests.caption_checks import AGREEMENT, UNSUPPORTED
from manifests.review.estimate import Stratum
from manifests.review.ranks import rank_name

DIMENSIONS = {
    "near": "near a limit",
    "band": "to be checked",
    "changed": "new caption differs",
    "failed": "newest attempt failed",
}
"""Columns of the strata of the queue, with their names for people. Buckets are strata too."""
_Z = 2.576
"""A stratum divides the captions if chance explains its number of reviews in less than 1 % of sets."""
_ALL, _REST = "all captions", "all others"


@dataclass(frozen=True, kw_only=True, slots=True)
class Cells:
    """The cells of a dataset, and the cell of each caption in the sample."""

    names: list[str]
    sizes_C: np.ndarray
    cell_S: np.ndarray
    """Index of the cell of each caption in the sample."""

    def strata(self, is_wrong_S: np.ndarray) -> list[Stratum]:
        """Return the cells, largest first, with their reviews and the wrong captions that these found."""
        reviewed_C = np.bincount(self.cell_S, minlength=len(self.names))
        wrong_C = np.bincount(self.cell_S[is_wrong_S], minlength=len(self.names))
        columns = (self.names, self.sizes_C.tolist(), reviewed_C.tolist(), wrong_C.tolist())
        found = [
            Stratum(name=name, size=size, reviewed=reviewed, wrong=wrong)
            for name, size, reviewed, wrong in zip(*columns, strict=True)
        ]
        return sorted(found, key=lambda stratum: (-stratum.size, stratum.name))


def divide(groups: pa.Table, sample: pa.Table) -> Cells:
    """Divide captions by the strata that have a rate of reviews of their own.

    Whether a caption is wrong has no part in it.

    Args:
        groups: the captions, grouped: `near`, `band`, `changed`, `failed` (bool), `bucket`, `agreement` and
            `unsupported` (steps), and their number in `media`.
        sample: the same columns, without `media`, of each caption in the sample.
    """
    media_G = groups["media"].to_numpy(zero_copy_only=False)
    candidates: list[tuple[str, Any, str]] = [(column, True, name) for column, name in DIMENSIONS.items()]
    for column in (AGREEMENT, UNSUPPORTED):
        steps = sorted({*groups[column].to_pylist()} - {None, 0 if column == UNSUPPORTED else None})
        candidates += [(column, step, rank_name(column, step)) for step in steps]
    buckets = sorted({*groups["bucket"].to_pylist()})
    candidates += [("bucket", bucket, f"bucket {bucket}") for bucket in buckets]
    code_G, code_S = np.zeros(len(media_G), np.int64), np.zeros(sample.num_rows, np.int64)
    names = [""]
    for column, value, name in candidates:
        mask_G, mask_S = (_is(table, column, value) for table in (groups, sample))
        if _differs(int(media_G[mask_G].sum()), int(media_G.sum()), int(mask_S.sum()), len(mask_S)):
            names = [each for known in names for each in (known, f"{known}, {name}" if known else name)]
            held, code_G = np.unique(2 * code_G + mask_G, return_inverse=True)
            code_S = np.searchsorted(held, 2 * code_S + mask_S)
            names = [names[code] for code in held.tolist()]
    rest = _REST if len(names) > 1 else _ALL
    sizes_C = np.bincount(code_G, weights=media_G, minlength=len(names)).astype(np.int64)
    return Cells(names=[name or rest for name in names], sizes_C=sizes_C, cell_S=code_S)


def _is(table: pa.Table, column: str, value: object) -> np.ndarray:
    mask = pc.fill_null(pc.equal(table[column], value), False)
    return np.asarray(mask.to_numpy(zero_copy_only=False), bool)


def _differs(size: int, total: int, found: int, reviews: int) -> bool:
    """Return whether the captions of a stratum are reviewed at another rate than the others."""
    if size in (0, total):
        return False
    expected = reviews * size / total
    return abs(found - expected) > _Z * sqrt(expected * (1 - size / total)) + 1
