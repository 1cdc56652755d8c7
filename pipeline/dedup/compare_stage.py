"""Compare clips that may be copies: a task takes some pairs and reads the small pictures of their clips."""

from collections import defaultdict
from collections.abc import Sequence
from functools import partial

import pyarrow as pa
from ray.data import Dataset

from manifests.parts import Part, Parts
from pipeline.config import DedupConfig
from pipeline.dedup.align import Seen, seen
from pipeline.dedup.near import compare


def add_compare(pairs: Dataset, uri: str, parts: Sequence[Part], config: DedupConfig) -> Dataset:
    """In: blocks of pairs, `part` and `whole` (rank), `flipped`, `slot`, and of each of both clips `_file`
    (number in `parts`), `_row` and `_s` (its duration). Out: rows of `MATCHES`.

    Args:
        uri: the dataset.
    """
    some = partial(compare_some, uri=uri, parts=parts, config=config)
    return pairs.map_batches(some, batch_format="pyarrow", batch_size=None)


def compare_some(pairs: pa.Table, *, uri: str, parts: Sequence[Part], config: DedupConfig) -> pa.Table:
    """Compare the pairs of one block."""
    return compare(pairs.to_pylist(), _read(pairs, uri, parts), config)


def _read(pairs: pa.Table, uri: str, parts: Sequence[Part]) -> dict[int, Seen]:
    """Read the clips of all pairs, by rank; each file once."""
    wanted: dict[int, dict[int, tuple[int, float]]] = defaultdict(dict)
    for side in ("part", "whole"):
        names = (f"{side}_file", f"{side}_row", side, f"{side}_s")
        for file, row, rank, duration_s in zip(*(pairs[name].to_pylist() for name in names), strict=True):
            wanted[file][row] = rank, duration_s
    place, found = Parts(uri), dict[int, Seen]()
    for file, rows in wanted.items():
        table = place.read(parts[file], ["frame_hashes", "frame_looks"]).take(pa.array([*rows]))
        for row, (rank, duration_s) in zip(table.to_pylist(), rows.values(), strict=True):
            found[rank] = seen(row["frame_hashes"], row["frame_looks"], duration_s)
    return found
