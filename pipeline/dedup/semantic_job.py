"""Find clips that show nearly the same, by cluster. Embeddings stay with the tasks."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import ray.data

from manifests.arrow import pc
from manifests.dataset import Dataset
from manifests.parts import Part
from pipeline.config import DedupConfig
from pipeline.dedup.cluster_stage import add_assign, add_centers, add_within
from pipeline.dedup.decisions import MATCHES
from pipeline.dedup.semantic import MOST_SAMPLE, SAMPLE_EACH, num_clusters

_TASK_CLIPS = 100_000
"""A task holds the embeddings of about so many clips (768 numbers: 300 MB), or of one larger cluster."""
_ROW = ("rank", "fresh", "file", "row")


def semantic(
    dataset: Dataset, parts: Sequence[Part], clips: pa.Table, config: DedupConfig, cpus: int
) -> pa.Table:
    """Return rows of `MATCHES`.

    Args:
        clips: of an epoch, with `file` and `row` where each lies. Those of one kind and one analysis are
            compared: embeddings of two models have nothing to do with each other.
    """
    names = pc.binary_join_element_wise(clips["kind"], clips["analysis"], " ")
    found = [MATCHES.empty_table()]
    for name in pc.unique(names).to_pylist():
        some = clips.filter(pc.equal(names, name))
        if pc.any(some["fresh"]).as_py() and len(some) > 1:
            found += _of_one_model(dataset, parts, some, config, cpus)
    return pa.concat_tables(found)


def _of_one_model(
    dataset: Dataset, parts: Sequence[Part], clips: pa.Table, config: DedupConfig, cpus: int
) -> list[pa.Table]:
    number = num_clusters(len(clips), config.cluster_clips)
    sample = clips.sort_by("clip_id").slice(0, min(MOST_SAMPLE, SAMPLE_EACH * number))
    block = sample.select(["file", "row"]).combine_chunks()
    [made] = add_centers(ray.data.from_arrow(block), dataset.uri, parts, number).take_all()
    if not made["number"]:
        return []  # nothing was embedded
    centers_KD = np.frombuffer(made["centers"], np.float32).reshape(made["number"], -1)
    placed = clips.select(["rank", "file", "row"]).sort_by("file").combine_chunks()
    each = min(_TASK_CLIPS, max(256, -(-len(placed) // (4 * cpus))))
    blocks = [placed.slice(first, each).combine_chunks() for first in range(0, len(placed), each)]
    assigned = _all(add_assign(ray.data.from_arrow(blocks), dataset.uri, parts, centers_KD))
    groups = list(_groups(_members(clips, assigned), cpus))
    return [*_batches(add_within(ray.data.from_arrow(groups), dataset.uri, parts, config))] if groups else []


def _members(clips: pa.Table, assigned: pa.Table) -> pa.Table:
    """Return a row for each clip and cluster; what is not new is looked for nowhere, it is only at home."""
    at = pc.index_in(assigned["rank"], clips["rank"])
    rows = clips.select(_ROW).take(at)
    rows = rows.append_column("cluster", assigned["cluster"]).append_column("home", assigned["home"])
    return rows.filter(pc.or_(rows["home"], rows["fresh"])).sort_by(
        [("cluster", "ascending"), ("rank", "ascending")]
    )


def _groups(members: pa.Table, cpus: int) -> Iterator[pa.Table]:
    """Cut the rows, which are sorted by cluster, into blocks of whole clusters."""
    starts = np.flatnonzero(np.diff(members["cluster"].to_numpy(), prepend=-1)).tolist()
    most = min(_TASK_CLIPS, max(1, len(members) // (4 * cpus)))
    begin = 0
    for end in [*starts[1:], len(members)]:
        if end - begin >= most or end == len(members):
            yield members.slice(begin, end - begin).combine_chunks()
            begin = end


def _all(dataset: ray.data.Dataset) -> pa.Table:
    return pa.concat_tables(list(_batches(dataset)))


def _batches(dataset: ray.data.Dataset) -> Iterator[pa.Table]:
    batches: Iterable[Any] = dataset.iter_batches(batch_format="pyarrow", batch_size=None)
    yield from (batch for batch in batches if len(batch))
