"""Clips with nearly the same embedding are found within clusters, deterministically."""

import numpy as np
import pyarrow as pa
import pytest

from pipeline.config import AnalyzeConfig, CurateConfig, DedupConfig, ScorersConfig
from pipeline.dedup.semantic import (
    cluster_matches,
    fit_centers,
    nearest_clusters,
    normalized_embeddings,
    num_clusters,
)
from pipeline.score import needs


def directions(num: int, seed: int = 0, size: int = 32) -> np.ndarray:
    rows_ND = np.random.default_rng(seed).normal(size=(num, size)).astype(np.float32)
    return rows_ND / np.linalg.norm(rows_ND, axis=1, keepdims=True)


def near(rows_ND: np.ndarray, seed: int = 1) -> np.ndarray:
    moved_ND = rows_ND + 0.05 * directions(len(rows_ND), seed)
    return moved_ND / np.linalg.norm(moved_ND, axis=1, keepdims=True)


def test_near_embeddings_match_earlier_clips_only():
    first_ND = directions(20)
    both_ND = np.concatenate([first_ND, near(first_ND)])
    all_N = np.ones(40, bool)
    found = cluster_matches(np.arange(40), all_N, all_N, both_ND, 0.01).to_pylist()
    assert [(row["candidate"], row["keeper"]) for row in found] == [(20 + i, i) for i in range(20)]
    assert all(row["kind"] == "semantic" and 0 < row["distance"] <= 0.01 for row in found)
    old_N = np.arange(40) >= 30
    assert len(cluster_matches(np.arange(40), old_N, all_N, both_ND, 0.01)) == 10


def test_clusters_are_deterministic_and_hold_near_embeddings():
    heads_ND = directions(8, seed=3)
    rows_ND = np.concatenate([near(heads_ND, seed) for seed in range(20)])
    centers_KD = fit_centers(rows_ND, 8)
    assert np.array_equal(centers_KD, fit_centers(rows_ND, 8))
    nearest_N = nearest_clusters(rows_ND, centers_KD)[:, 0].reshape(20, 8)
    assert (nearest_N == nearest_N[0]).all()
    assert num_clusters(999, 1000) == 1
    assert num_clusters(10_000, 1000) == 10


def test_embeddings_are_normalized():
    kept = pa.array([(2 * row).astype("<f2").tobytes() for row in directions(3)], pa.binary())
    assert np.linalg.norm(normalized_embeddings(kept), axis=1) == pytest.approx(1)


def test_semantic_dedup_without_embeddings_is_refused_with_the_remedy():
    config = CurateConfig(dedup=DedupConfig(semantic=True))
    with pytest.raises(ValueError, match=r"dedup\.semantic.*--analyze\.scorers\.embedding true"):
        needs.check_semantic_dedup(config)
    needs.check_semantic_dedup(
        CurateConfig(
            dedup=DedupConfig(semantic=True), analyze=AnalyzeConfig(scorers=ScorersConfig(embedding=True))
        )
    )
