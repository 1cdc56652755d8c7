"""Cluster clips by embedding on Ray, and compare within clusters. Tasks read the embeddings they need."""

from collections.abc import Sequence
from functools import partial

import numpy as np
import pyarrow as pa
from ray.data import Dataset

from manifests.arrow import pc
from manifests.parts import Part, PartStore
from pipeline.config import DedupConfig
from pipeline.dedup.decisions import MATCHES
from pipeline.dedup.semantic import cluster_matches, fit_centers, nearest_clusters, normalized_embeddings


def add_fit_centers(sample: Dataset, uri: str, parts: Sequence[Part], num_centers: int) -> Dataset:
    """Map one block of clips (`file`, an index in `parts`, and `row`) to one row: `centers`, float32 KD.

    Args:
        uri: the dataset.
    """
    fit = partial(fit_block, uri=uri, parts=parts, num_centers=num_centers)
    return sample.map_batches(fit, batch_format="pyarrow", batch_size=None)


def fit_block(sample: pa.Table, *, uri: str, parts: Sequence[Part], num_centers: int) -> pa.Table:
    """Fit the cluster centres on the clips of one block."""
    _, sample_ND = _read_embeddings(sample, uri, parts)
    center_KD = fit_centers(sample_ND, num_centers)
    return pa.table({"centers": pa.array([center_KD.tobytes()], pa.binary()), "number": [len(center_KD)]})


def add_assign(clips: Dataset, uri: str, parts: Sequence[Part], center_KD: np.ndarray) -> Dataset:
    """Map blocks of clips (`rank`, `file`, `row`) to `rank`, `cluster`, and `home`: the nearest cluster."""
    assign = partial(assign_block, uri=uri, parts=parts, center_KD=center_KD)
    return clips.map_batches(assign, batch_format="pyarrow", batch_size=None)


def assign_block(clips: pa.Table, *, uri: str, parts: Sequence[Part], center_KD: np.ndarray) -> pa.Table:
    """Assign the clips of one block to clusters."""
    rows, embedding_ND = _read_embeddings(clips, uri, parts)
    clusters = nearest_clusters(embedding_ND, center_KD)
    rank_N = clips["rank"].to_numpy()[rows]
    home = np.zeros(clusters.shape, bool)
    home[:, 0] = True
    ranks = np.repeat(rank_N, clusters.shape[1])
    return pa.table({"rank": ranks, "cluster": clusters.ravel(), "home": home.ravel()})


def add_match(clusters: Dataset, uri: str, parts: Sequence[Part], config: DedupConfig) -> Dataset:
    """Map blocks of complete clusters to rows of `MATCHES`.

    In: `cluster`, `home`, `rank`, `is_new`, `file`, `row`.
    """
    match = partial(match_block, uri=uri, parts=parts, config=config)
    return clusters.map_batches(match, batch_format="pyarrow", batch_size=None)


def match_block(clusters: pa.Table, *, uri: str, parts: Sequence[Part], config: DedupConfig) -> pa.Table:
    """Compare the clips of each cluster in one block."""
    _, embedding_ND = _read_embeddings(clusters, uri, parts)
    names = ("cluster", "rank", "is_new", "home")
    cluster_N, rank_N, is_new_N, home_N = (clusters[name].to_numpy(zero_copy_only=False) for name in names)
    tables = [MATCHES.empty_table()]
    for cluster in np.unique(cluster_N):
        rows = np.flatnonzero(cluster_N == cluster)
        limit = config.max_cosine_distance
        tables.append(cluster_matches(rank_N[rows], is_new_N[rows], home_N[rows], embedding_ND[rows], limit))
    return pa.concat_tables(tables)


def _read_embeddings(clips: pa.Table, uri: str, parts: Sequence[Part]) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows of `clips` that have an embedding, and their embeddings, ND. Reads each file once."""
    reader = PartStore(uri)
    file_N, row_N = clips["file"].to_numpy(), clips["row"].to_numpy()
    indices, embeddings = [np.zeros(0, np.int64)], []
    for file in np.unique(file_N).tolist():
        in_file = np.flatnonzero(file_N == file)
        table = reader.read_part(parts[file], ["embedding"])
        if "embedding" not in table.column_names:
            continue  # an analysis without embeddings
        column = table["embedding"].take(pa.array(row_N[in_file]))
        valid = column.is_valid()
        if pc.any(valid).as_py():
            indices.append(in_file[valid.to_numpy()])
            embeddings.append(normalized_embeddings(column.filter(valid)))
    rows = np.concatenate(indices)
    order = np.argsort(rows, kind="stable")
    if not embeddings:
        return rows, np.zeros((0, 0), np.float32)
    return rows[order], np.concatenate(embeddings)[order]
