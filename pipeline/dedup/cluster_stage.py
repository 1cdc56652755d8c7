"""Cluster clips by their embeddings, and compare within clusters: tasks read what they need."""

from collections.abc import Sequence
from functools import partial

import numpy as np
import pyarrow as pa
from ray.data import Dataset

from manifests.arrow import pc
from manifests.parts import Part, Parts
from pipeline.config import DedupConfig
from pipeline.dedup.decisions import MATCHES
from pipeline.dedup.semantic import assign, centers, units, within


def add_centers(sample: Dataset, uri: str, parts: Sequence[Part], number: int) -> Dataset:
    """In: one block of clips, `file` (number in `parts`) and `row`. Out: a row, `centers`, float32 KD.

    Args:
        uri: the dataset.
        number: of clusters.
    """
    some = partial(centers_of, uri=uri, parts=parts, number=number)
    return sample.map_batches(some, batch_format="pyarrow", batch_size=None)


def centers_of(sample: pa.Table, *, uri: str, parts: Sequence[Part], number: int) -> pa.Table:
    """Find the centres."""
    sample_ND = _read(sample, uri, parts)[1]
    found_KD = centers(sample_ND, number)
    return pa.table({"centers": pa.array([found_KD.tobytes()], pa.binary()), "number": [len(found_KD)]})


def add_assign(clips: Dataset, uri: str, parts: Sequence[Part], centers_KD: np.ndarray) -> Dataset:
    """In: blocks of clips, `rank`, `file`, `row`. Out: `rank`, `cluster` and whether it is its `home`."""
    some = partial(assign_some, uri=uri, parts=parts, centers_KD=centers_KD)
    return clips.map_batches(some, batch_format="pyarrow", batch_size=None)


def assign_some(clips: pa.Table, *, uri: str, parts: Sequence[Part], centers_KD: np.ndarray) -> pa.Table:
    """Name the clusters of the clips of one block."""
    has, embeddings_ND = _read(clips, uri, parts)
    found = assign(embeddings_ND, centers_KD)
    rank_N = clips["rank"].to_numpy()[has]
    home = np.zeros(found.shape, bool)
    home[:, 0] = True
    columns = {"rank": np.repeat(rank_N, found.shape[1]), "cluster": found.ravel(), "home": home.ravel()}
    return pa.table(columns)


def add_within(groups: Dataset, uri: str, parts: Sequence[Part], config: DedupConfig) -> Dataset:
    """In: blocks of whole clusters: `cluster`, `home`, `rank`, `fresh`, `file`, `row`. Out: `MATCHES`."""
    some = partial(within_some, uri=uri, parts=parts, config=config)
    return groups.map_batches(some, batch_format="pyarrow", batch_size=None)


def within_some(group: pa.Table, *, uri: str, parts: Sequence[Part], config: DedupConfig) -> pa.Table:
    """Compare the clips of some clusters."""
    _, embeddings_ND = _read(group, uri, parts)
    columns = (group[name].to_numpy(zero_copy_only=False) for name in ("cluster", "rank", "fresh", "home"))
    cluster_N, rank_N, fresh_N, home_N = columns
    tables = [MATCHES.empty_table()]
    for cluster in np.unique(cluster_N):
        at = np.flatnonzero(cluster_N == cluster)
        most = config.max_cosine_distance
        tables.append(within(rank_N[at], fresh_N[at], home_N[at], embeddings_ND[at], most))
    return pa.concat_tables(tables)


def _read(clips: pa.Table, uri: str, parts: Sequence[Part]) -> tuple[np.ndarray, np.ndarray]:
    """Return which clips have an embedding (numbers of rows), and those, ND; each file is read once."""
    place = Parts(uri)
    file_N, row_N = clips["file"].to_numpy(), clips["row"].to_numpy()
    places, tables = [np.zeros(0, np.int64)], []
    for file in np.unique(file_N).tolist():
        at = np.flatnonzero(file_N == file)
        table = place.read(parts[file], ["embedding"])
        if "embedding" not in table.column_names:
            continue  # an analysis from before there were any
        column = table["embedding"].take(pa.array(row_N[at]))
        valid = column.is_valid()
        if pc.any(valid).as_py():
            places.append(at[valid.to_numpy()])
            tables.append(units(column.filter(valid)))
    has = np.concatenate(places)
    order = np.argsort(has, kind="stable")
    if not tables:
        return has, np.zeros((0, 0), np.float32)
    return has[order], np.concatenate(tables)[order]
