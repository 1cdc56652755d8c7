"""Find clips with nearly the same embedding: k-means, then cosine distances within each cluster (SemDeDup:
Abbas et al., 2023). Pure: embeddings in, clusters and matches out.

Legend: N clips, C candidates, M possible keepers, K clusters, D embedding size. Embeddings have length 1.
"""

import numpy as np
import pyarrow as pa

from manifests.embeddings import unpack_embeddings
from pipeline.dedup.decisions import MATCHES

NUM_PROBES = 2
"""Nearest clusters that a clip is compared in: similar clips may lie on both sides of a border."""
SAMPLE_PER_CLUSTER = 64
"""Clips per cluster that k-means is fitted on ..."""
MAX_SAMPLE = 65536
"""... and the maximum in total."""
_MIN_SAMPLE_PER_CLUSTER = 16
MAX_CANDIDATES = 16
"""Matches kept per clip and cluster: the first in keeper order."""
_KMEANS_ITERATIONS = 10
_BATCH_CLIPS = 1024


def num_clusters(num_clips: int, cluster_size: int) -> int:
    """Return the number of clusters for `num_clips` clips, about `cluster_size` in each."""
    return max(1, min(num_clips // cluster_size, MAX_SAMPLE // _MIN_SAMPLE_PER_CLUSTER))


def normalized_embeddings(column: pa.ChunkedArray | pa.Array) -> np.ndarray:
    """Parse a column `embedding` without nulls into float32 ND, each row of length 1."""
    return _normalize(unpack_embeddings(column).astype(np.float32))


def fit_centers(sample_ND: np.ndarray, num_centers: int) -> np.ndarray:
    """Fit the cluster centres, KD, by spherical k-means that starts with the first rows of the sample.

    Deterministic for one sample in one order. An empty cluster restarts at the clip farthest from its centre.
    """
    center_KD = sample_ND[:num_centers].copy()
    for _ in range(_KMEANS_ITERATIONS):
        nearest_N, cosine_N = _nearest(sample_ND, center_KD)
        sum_KD = np.zeros_like(center_KD)
        np.add.at(sum_KD, nearest_N, sample_ND)
        empty = np.flatnonzero(np.bincount(nearest_N, minlength=len(center_KD)) == 0)
        sum_KD[empty] = sample_ND[np.argsort(cosine_N, kind="stable")[: len(empty)]]
        center_KD = _normalize(sum_KD)
    return center_KD


def nearest_clusters(embedding_ND: np.ndarray, center_KD: np.ndarray) -> np.ndarray:
    """Return the `NUM_PROBES` nearest clusters of each clip, the nearest first (fewer if there are fewer)."""
    num_probes = min(NUM_PROBES, len(center_KD))
    clusters = np.zeros((len(embedding_ND), num_probes), np.int64)
    for first in range(0, len(embedding_ND), _BATCH_CLIPS):
        cosine_NK = embedding_ND[first : first + _BATCH_CLIPS] @ center_KD.T
        clusters[first : first + _BATCH_CLIPS] = np.argsort(-cosine_NK, axis=1, kind="stable")[:, :num_probes]
    return clusters


def cluster_matches(
    rank_N: np.ndarray,
    is_new_N: np.ndarray,
    is_home_N: np.ndarray,
    embedding_ND: np.ndarray,
    max_cosine_distance: float,
) -> pa.Table:
    """Return rows of `MATCHES` for the clips of one cluster that show nearly the same.

    Args:
        is_new_N: clips to find keepers for.
        is_home_N: clips whose nearest cluster this is; only these can be keepers.
    """
    order = np.argsort(rank_N, kind="stable")
    keepers, candidates = order[is_home_N[order]], order[is_new_N[order]]
    keeper_MD, keeper_rank_M = embedding_ND[keepers], rank_N[keepers]
    found: list[tuple[int, int, float]] = []
    for first in range(0, len(candidates), _BATCH_CLIPS):
        batch = candidates[first : first + _BATCH_CLIPS]
        earlier = int(np.searchsorted(keeper_rank_M, rank_N[batch[-1]]))
        distance_CM = 1 - embedding_ND[batch] @ keeper_MD[:earlier].T
        match_CM = (distance_CM <= max_cosine_distance) & (keeper_rank_M[:earlier] < rank_N[batch][:, None])
        match_CM &= np.cumsum(match_CM, axis=1) <= MAX_CANDIDATES
        for row, column in np.argwhere(match_CM).tolist():
            distance = max(0.0, float(distance_CM[row, column]))
            found.append((int(rank_N[batch[row]]), int(keeper_rank_M[column]), round(distance, 6)))
    rows = [
        {
            "candidate": candidate,
            "keeper": keeper,
            "kind": "semantic",
            "distance": distance,
            "offset_s": None,
            "detail": f"shows nearly the same: {distance:.3g} of {max_cosine_distance:g} by cosine",
        }
        for candidate, keeper, distance in found
    ]
    return pa.Table.from_pylist(rows, schema=MATCHES)


def _nearest(embedding_ND: np.ndarray, center_KD: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the nearest centre of each clip, and its cosine."""
    nearest_N = np.zeros(len(embedding_ND), np.int64)
    best_N = np.zeros(len(embedding_ND), np.float32)
    for first in range(0, len(embedding_ND), _BATCH_CLIPS):
        cosine_NK = embedding_ND[first : first + _BATCH_CLIPS] @ center_KD.T
        nearest_N[first : first + _BATCH_CLIPS] = cosine_NK.argmax(axis=1)
        best_N[first : first + _BATCH_CLIPS] = cosine_NK.max(axis=1)
    return nearest_N, best_N


def _normalize(row_ND: np.ndarray) -> np.ndarray:
    return row_ND / np.maximum(np.linalg.norm(row_ND, axis=1, keepdims=True), 1e-12)
