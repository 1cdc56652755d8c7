"""Compare candidate pairs on Ray: a task reads the fingerprints of the clips in its block of pairs."""

from collections import defaultdict
from collections.abc import Sequence
from functools import partial

import pyarrow as pa
from ray.data import Dataset

from manifests.parts import Part, PartStore
from pipeline.config import DedupConfig
from pipeline.dedup.align import ClipFrames, clip_frames
from pipeline.dedup.near import compare_pairs


def add_compare(pairs: Dataset, uri: str, parts: Sequence[Part], config: DedupConfig) -> Dataset:
    """Map blocks of pairs to rows of `MATCHES`.

    A pair has ranks `candidate` and `keeper`, `flipped`, `slot`, and of both clips `_file` (an index in
    `parts`), `_row` and `_s` (duration).

    Args:
        uri: the dataset.
    """
    compare = partial(compare_block, uri=uri, parts=parts, config=config)
    return pairs.map_batches(compare, batch_format="pyarrow", batch_size=None)


def compare_block(pairs: pa.Table, *, uri: str, parts: Sequence[Part], config: DedupConfig) -> pa.Table:
    """Compare the pairs of one block."""
    return compare_pairs(pairs.to_pylist(), _read_frames(pairs, uri, parts), config)


def _read_frames(pairs: pa.Table, uri: str, parts: Sequence[Part]) -> dict[int, ClipFrames]:
    """Read the frames of every clip in `pairs`, by rank; each file once."""
    wanted: dict[int, dict[int, tuple[int, float]]] = defaultdict(dict)
    for side in ("candidate", "keeper"):
        names = (f"{side}_file", f"{side}_row", side, f"{side}_s")
        for file, row, rank, duration_s in zip(*(pairs[name].to_pylist() for name in names), strict=True):
            wanted[file][row] = rank, duration_s
    reader, frames = PartStore(uri), dict[int, ClipFrames]()
    for file, rows in wanted.items():
        table = reader.read_part(parts[file], ["frame_hashes", "frame_looks"]).take(pa.array([*rows]))
        for row, (rank, duration_s) in zip(table.to_pylist(), rows.values(), strict=True):
            frames[rank] = clip_frames(row["frame_hashes"], row["frame_looks"], duration_s)
    return frames
