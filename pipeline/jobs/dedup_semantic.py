"""Find clips with nearly the same embedding: fit clusters, assign clips, compare within clusters, all on Ray.

Embeddings are read by tasks and never reach the driver.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import ray.data

from manifests.arrow import pc
from manifests.dataset import Dataset
from manifests.embeddings import EMBEDDING, scored_rows
from manifests.live_view import LiveView
from manifests.parts import Part
from manifests.scores import EMBEDDING_DIGEST
from pipeline.config import DedupConfig
from pipeline.dedup.cluster_stage import add_assign, add_fit_centers, add_match
from pipeline.dedup.decisions import MATCHES
from pipeline.dedup.semantic import MAX_SAMPLE, SAMPLE_PER_CLUSTER, num_clusters

_TASK_CLIPS = 100_000
"""Clips per task (300 MB of embeddings of 768 numbers), or one cluster that is larger."""
_COLUMNS = ("rank", "is_new", "file", "row")


def embedding_rows(view: LiveView, parts: Sequence[Part], clips: pa.Table) -> tuple[Sequence[Part], pa.Table]:
    """Return all parts with embeddings, and `clips` with the `file` and `row` of their embeddings.

    `analysis` becomes the digest of the embedding.

    Args:
        parts: those of the clips table, where earlier versions kept embeddings.
        clips: with `file` and `row` in `parts`.
    """
    if EMBEDDING not in view.scorer_requests:
        return parts, clips
    place_N = scored_rows(view, clips["clip_id"])
    has_N = place_N >= 0
    score_parts = view.dataset.parts("scores")
    ends = np.cumsum([part.rows for part in score_parts])
    file_N = np.searchsorted(ends, place_N, side="right")
    row_N = place_N - np.array([0, *ends])[file_N]
    found = {
        "file": pa.array(np.where(has_N, len(parts) + file_N, clips["file"].to_numpy())),
        "row": pa.array(np.where(has_N, row_N, clips["row"].to_numpy())),
        "analysis": pc.coalesce(clips[EMBEDDING_DIGEST], clips["analysis"]),
    }
    for name, column in found.items():
        clips = clips.set_column(clips.column_names.index(name), name, column)
    return [*parts, *score_parts], clips


def semantic_matches(
    dataset: Dataset, parts: Sequence[Part], clips: pa.Table, config: DedupConfig, cpus: int
) -> pa.Table:
    """Return rows of `MATCHES`. Clips are compared within one kind and one analysis: one embedding model.

    Args:
        clips: the clips of a `DedupRound`, with `file` and `row`.
    """
    groups = pc.binary_join_element_wise(clips["kind"], clips["analysis"], " ")
    matches = [MATCHES.empty_table()]
    for name in pc.unique(groups).to_pylist():
        group = clips.filter(pc.equal(groups, name))
        if pc.any(group["is_new"]).as_py() and len(group) > 1:
            matches += _group_matches(dataset, parts, group, config, cpus)
    return pa.concat_tables(matches)


def _group_matches(
    dataset: Dataset, parts: Sequence[Part], clips: pa.Table, config: DedupConfig, cpus: int
) -> list[pa.Table]:
    num_centers = num_clusters(len(clips), config.cluster_size)
    sample = clips.sort_by("clip_id").slice(0, min(MAX_SAMPLE, SAMPLE_PER_CLUSTER * num_centers))
    sample = ray.data.from_arrow(sample.select(["file", "row"]).combine_chunks())
    [fitted] = add_fit_centers(sample, dataset.uri, parts, num_centers).take_all()
    if not fitted["number"]:
        return []  # no clip has an embedding
    center_KD = np.frombuffer(fitted["centers"], np.float32).reshape(fitted["number"], -1)
    rows = clips.select(["rank", "file", "row"]).sort_by("file").combine_chunks()
    block_clips = min(_TASK_CLIPS, max(256, -(-len(rows) // (4 * cpus))))
    starts = range(0, len(rows), block_clips)
    blocks = [rows.slice(start, block_clips).combine_chunks() for start in starts]
    assigned = add_assign(ray.data.from_arrow(blocks), dataset.uri, parts, center_KD)
    members = _members(clips, pa.concat_tables(_batches(assigned)))
    clusters = list(_cluster_blocks(members, cpus))
    if not clusters:
        return []
    return [*_batches(add_match(ray.data.from_arrow(clusters), dataset.uri, parts, config))]


def _members(clips: pa.Table, assigned: pa.Table) -> pa.Table:
    """Return a row per clip and cluster. Clips that are not new stay in their home cluster only."""
    rows = clips.select(_COLUMNS).take(pc.index_in(assigned["rank"], clips["rank"]))
    rows = rows.append_column("cluster", assigned["cluster"]).append_column("home", assigned["home"])
    rows = rows.filter(pc.or_(rows["home"], rows["is_new"]))
    return rows.sort_by([("cluster", "ascending"), ("rank", "ascending")])


def _cluster_blocks(members: pa.Table, cpus: int) -> Iterator[pa.Table]:
    """Split rows sorted by cluster into blocks of complete clusters."""
    starts = np.flatnonzero(np.diff(members["cluster"].to_numpy(), prepend=-1)).tolist()
    block_clips = min(_TASK_CLIPS, max(1, len(members) // (4 * cpus)))
    begin = 0
    for end in [*starts[1:], len(members)]:
        if end - begin >= block_clips or end == len(members):
            yield members.slice(begin, end - begin).combine_chunks()
            begin = end


def _batches(dataset: ray.data.Dataset) -> Iterator[pa.Table]:
    batches: Iterable[Any] = dataset.iter_batches(batch_format="pyarrow", batch_size=None)
    yield from (batch for batch in batches if len(batch))
