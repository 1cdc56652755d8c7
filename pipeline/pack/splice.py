"""Write tars of captions from the members of published ones, which are copied, and the texts that changed.

Of a tar with a thousand samples and one edit, a thousand members are copied as bytes, and two are written.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa

from manifests.arrow import combine, pc
from manifests.digest import digest_parts
from manifests.records import LENGTHS
from manifests.storage import Storage
from pipeline.media.tar import TarWriter
from pipeline.pack.samples import Sample
from pipeline.pack.tars import PLACES, PlannedTar


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """Rows `first` to `last` (exclusive) of a plan whose members follow each other in a published tar."""

    first: int
    last: int
    tar: str
    """Empty for one row whose texts are new."""
    offset: int = 0
    length: int = 0


@dataclass(frozen=True, slots=True)
class FormerTexts:
    """Where the published set has the texts of each row of a plan; `row_N` is -1 where they are others."""

    row_N: np.ndarray
    tars: pa.Array
    """Names of the published tars, which `tar_N` indexes."""
    tar_N: np.ndarray
    offset_N: np.ndarray
    length_N: np.ndarray
    text_digest: pa.Array

    def new_rows(self, planned: PlannedTar) -> np.ndarray:
        """Return the rows of a planned tar whose texts are new."""
        return planned.first + np.flatnonzero(self.row_N[planned.first : planned.last] < 0)

    def runs(self, planned: PlannedTar) -> Iterator[Run]:
        """Yield the runs of a planned tar."""
        first = planned.first
        row_N = self.row_N[first : planned.last]
        before_N, after_N = row_N[:-1], row_N[1:]
        follows_N = (before_N >= 0) & (after_N >= 0) & (self.tar_N[before_N] == self.tar_N[after_N])
        follows_N &= self.offset_N[before_N] + self.length_N[before_N] == self.offset_N[after_N]
        starts = [0, *(1 + np.flatnonzero(~follows_N)).tolist(), len(row_N)]
        for start, end in pairwise(starts):
            place, last = row_N[start], row_N[end - 1]
            if place < 0:
                yield Run(first=first + start, last=first + end, tar="")
                continue
            offset = int(self.offset_N[place])
            length = int(self.offset_N[last] + self.length_N[last]) - offset
            tar = self.tars[int(self.tar_N[place])].as_py()
            yield Run(first=first + start, last=first + end, tar=tar, offset=offset, length=length)


def former_texts(rows: pa.Table, index: pa.Table | None, whole: Sequence[str]) -> FormerTexts:
    """Return where a published index has the texts of each row of a plan.

    Args:
        rows: the rows of the plan.
        whole: tars of captions that are there with all their bytes.
    """
    if index is None:
        none, zero_N = pa.array([""]), np.zeros(1, np.int64)  # what -1 refers to
        return FormerTexts(np.full(rows.num_rows, -1), none, zero_N, zero_N, zero_N, none)
    place = pc.index_in(rows["key"], value_set=combine(index["key"]))
    found = index.select(["sidecar", "sidecar_digest"]).take(place)
    same = pc.and_(
        pc.equal(found["sidecar_digest"], rows["sample_digest"]),
        pc.is_in(found["sidecar"], value_set=pa.array(whole, pa.string())),
    )
    row_N = pc.if_else(pc.coalesce(same, False), place, -1).to_numpy().astype(np.int64)
    offset_N, length_N = (index[name].to_numpy() for name in ("sidecar_offset", "sidecar_length"))
    tars = combine(combine(index["sidecar"]).dictionary_encode())
    tar_N = tars.indices.to_numpy()
    return FormerTexts(row_N, tars.dictionary, tar_N, offset_N, length_N, combine(index["text_digest"]))


def add_texts(tar: TarWriter, key: str, text: str, record: Mapping[str, Any]) -> None:
    """Append the text and the record of a sample."""
    tar.add(f"{key}.txt", text.encode())
    tar.add(f"{key}.json", json.dumps(record, indent=1, sort_keys=True, ensure_ascii=False).encode())


def text_digest(text: str, record: Mapping[str, Any]) -> str:
    """Return the digest of the text of the `.txt` member and of those in the record."""
    return digest_parts("texts", text, *(record["caption"][length] for length in LENGTHS))


def write_spliced(
    tar: PlannedTar,
    keys: Sequence[str],
    former: FormerTexts,
    texts: Mapping[int, Sample],
    published: Storage,
    target: Storage,
) -> pa.Table:
    """Write a tar of captions; return where each sample lies, by column of the index.

    Args:
        keys: keys of its samples.
        texts: the samples whose texts are new, by row of the plan.
        published: storage of the published tars.
    """
    offset_N, length_N = (np.zeros(tar.num_samples, np.int64) for _ in range(2))
    row_N = former.row_N[tar.first : tar.last]
    digests = former.text_digest.take(pa.array(row_N, mask=row_N < 0)).to_pylist()
    with TarWriter(target, tar.name) as out:
        for run in former.runs(tar):
            own = slice(run.first - tar.first, run.last - tar.first)
            if run.tar:
                offset_N[own] = former.offset_N[row_N[own]] - run.offset + out.end
                length_N[own] = former.length_N[row_N[own]]
                out.copy(published.read_range(run.tar, run.offset, run.length), run.length)
                continue
            for row in range(run.first, run.last):
                sample, place = texts[row], row - tar.first
                offset_N[place] = out.end
                add_texts(out, sample.key, sample.text, sample.record)
                length_N[place] = out.end - offset_N[place]
                digests[place] = text_digest(sample.text, sample.record)
    names = pa.repeat(pa.scalar(tar.name), tar.num_samples)
    columns = (keys, names, offset_N, length_N, digests)
    return pa.table([pa.array(column) for column in columns], schema=PLACES["captions"])
