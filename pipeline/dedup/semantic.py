"""Clips that show nearly the same by a model's judgement: k-means over embeddings, then cosines within
clusters (SemDeDup: Abbas et al., 2023). Pure: embeddings in, clusters and matches out.

Legend: N clips, P parts, W wholes, K clusters, D numbers of an embedding. Embeddings have the length 1.
"""

import numpy as np
import pyarrow as pa

from pipeline.dedup.decisions import MATCHES

PROBES = 2
"""A clip is looked for in so many clusters, the nearest: a border may lie between two that are alike."""
SAMPLE_EACH = 64
"""Clips for each cluster that the clusters are found on ..."""
MOST_SAMPLE = 65536
"""... and at most in all."""
_LEAST_EACH = 16
"""So no cluster rests on fewer."""
MEETS = 16
"""A clip is matched to at most so many of a cluster, those that come first in the order of keepers."""
_ROUNDS = 10
_AT_ONCE = 1024


def num_clusters(num_clips: int, cluster_clips: int) -> int:
    """Return how many clusters `num_clips` go into."""
    return max(1, min(num_clips // cluster_clips, MOST_SAMPLE // _LEAST_EACH))


def units(embeddings: pa.ChunkedArray | pa.Array) -> np.ndarray:
    """Return float32 ND of a column `embedding` without nulls, each of length 1."""
    rows_ND = np.stack([np.frombuffer(each.as_buffer(), "<f2") for each in embeddings]).astype(np.float32)
    return _unit(rows_ND)


def centers(sample_ND: np.ndarray, number: int) -> np.ndarray:
    """Return the centres of clusters, KD: spherical k-means that begins with the first of the sample.

    The same sample in the same order gives the same centres. A cluster that runs empty begins anew at the
    clip farthest from its centre.
    """
    centers_KD = sample_ND[:number].copy()
    for _ in range(_ROUNDS):
        nearest_N, cosine_N = _nearest(sample_ND, centers_KD)
        sums_KD = np.zeros_like(centers_KD)
        np.add.at(sums_KD, nearest_N, sample_ND)
        empty = np.flatnonzero(np.bincount(nearest_N, minlength=len(centers_KD)) == 0)
        sums_KD[empty] = sample_ND[np.argsort(cosine_N, kind="stable")[: len(empty)]]
        centers_KD = _unit(sums_KD)
    return centers_KD


def assign(embeddings_ND: np.ndarray, centers_KD: np.ndarray) -> np.ndarray:
    """Return the clusters that each clip is looked for in, the nearest first: N x at most `PROBES`."""
    probes = min(PROBES, len(centers_KD))
    found = np.zeros((len(embeddings_ND), probes), np.int64)
    for first in range(0, len(embeddings_ND), _AT_ONCE):
        cosine_NK = embeddings_ND[first : first + _AT_ONCE] @ centers_KD.T
        found[first : first + _AT_ONCE] = np.argsort(-cosine_NK, axis=1, kind="stable")[:, :probes]
    return found


def within(
    ranks_N: np.ndarray,
    parts_N: np.ndarray,
    wholes_N: np.ndarray,
    embeddings_ND: np.ndarray,
    max_cosine_distance: float,
) -> pa.Table:
    """Return rows of `MATCHES` for the clips of one cluster that show nearly the same.

    Args:
        parts_N: which clips are new and looked for here.
        wholes_N: which clips live here, and may be what others are copies of.
    """
    order = np.argsort(ranks_N, kind="stable")
    wholes, parts = order[wholes_N[order]], order[parts_N[order]]
    whole_WD, rank_W = embeddings_ND[wholes], ranks_N[wholes]
    found: list[tuple[int, int, float]] = []
    for first in range(0, len(parts), _AT_ONCE):
        some = parts[first : first + _AT_ONCE]
        before = int(np.searchsorted(rank_W, ranks_N[some[-1]]))
        distance_PW = 1 - embeddings_ND[some] @ whole_WD[:before].T
        same_PW = (distance_PW <= max_cosine_distance) & (rank_W[:before] < ranks_N[some][:, None])
        same_PW &= np.cumsum(same_PW, axis=1) <= MEETS
        for row, column in np.argwhere(same_PW).tolist():
            distance = max(0.0, float(distance_PW[row, column]))
            found.append((int(ranks_N[some[row]]), int(rank_W[column]), round(distance, 6)))
    rows = [
        {
            "part": part,
            "whole": whole,
            "kind": "semantic",
            "distance": distance,
            "offset_s": None,
            "detail": f"shows nearly the same: {distance:.3g} of {max_cosine_distance:g} by cosine",
        }
        for part, whole, distance in found
    ]
    return pa.Table.from_pylist(rows, schema=MATCHES)


def _nearest(rows_ND: np.ndarray, centers_KD: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    nearest_N, cosine_N = np.zeros(len(rows_ND), np.int64), np.zeros(len(rows_ND), np.float32)
    for first in range(0, len(rows_ND), _AT_ONCE):
        cosine_NK = rows_ND[first : first + _AT_ONCE] @ centers_KD.T
        nearest_N[first : first + _AT_ONCE] = cosine_NK.argmax(axis=1)
        cosine_N[first : first + _AT_ONCE] = cosine_NK.max(axis=1)
    return nearest_N, cosine_N


def _unit(rows_ND: np.ndarray) -> np.ndarray:
    return rows_ND / np.maximum(np.linalg.norm(rows_ND, axis=1, keepdims=True), 1e-12)
