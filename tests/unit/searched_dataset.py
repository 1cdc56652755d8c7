"""Add embeddings to a dataset as the score stage writes them."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace

import numpy as np
import pyarrow as pa

from manifests.dataset import Commit, Dataset
from manifests.live_view import LiveView
from manifests.scores import STAGE
from pipeline.config import ScorersConfig
from pipeline.score.digests import scorer_requests
from pipeline.score.stage import ScoreConfig, request_fields


def clip_ids(dataset: Dataset) -> list[str]:
    """Return the ids of the live clips, in commit order."""
    return LiveView(dataset).read("clips", ["clip_id"])["clip_id"].to_pylist()


def embed(dataset: Dataset, vectors: Mapping[str, Sequence[float]], model: str = "model") -> Dataset:
    """Commit the embedding of each clip, made unit, as of a model whose folder is `model`."""
    config = ScorersConfig(embedding=True, clip_model=model)
    digest = scorer_requests(config)["embedding"].digest
    units = {name: np.asarray(vector, float) / np.linalg.norm(vector) for name, vector in vectors.items()}
    table = pa.table(
        {
            "clip_id": pa.array([*units], pa.string()),
            "scorer": pa.array(["embedding"] * len(units), pa.string()),
            "digest": pa.array([digest] * len(units), pa.string()),
            "embedding": pa.array([unit.astype("<f2").tobytes() for unit in units.values()], pa.binary()),
        }
    )
    stage = asdict(ScoreConfig(scorers=config, requests=request_fields(replace(config))))
    added = (dataset.write_part("scores", table),)
    return dataset.commit(Commit(stage=STAGE, added=added, config=stage, config_digest=digest))
