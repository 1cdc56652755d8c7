"""The embeddings of clips: rows of the scorer `embedding` in the scores table, one of each clip and model.

Datasets of earlier versions hold them in the clips table.

Legend: N clips, D embedding dimensions.
"""
# pyarrow has no complete types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from manifests.arrow import combine
from manifests.dataset import Dataset
from manifests.live_view import LiveView
from manifests.parts import TableName
from manifests.row_reads import read_rows
from manifests.scores import EMBEDDING_DIGEST, newest_rows

EMBEDDING = "embedding"
"""Name of the scorer and of its column: unit vectors as little-endian float16."""
DTYPE = np.dtype("<f2")


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class EmbeddedClips:
    """The live clips with an embedding of the scorer's newest settings."""

    clip_id: pa.Array
    clip_row_N: np.ndarray
    """Index of the clip among all rows of the clips table."""
    score_row_N: np.ndarray
    """Index of the embedding among all rows of the scores table; -1 where it is in the clips table."""


def embedded_clips(view: LiveView) -> EmbeddedClips:
    """Return the live clips that have an embedding; none if no scorer `embedding` was asked for."""
    clips = view.read("clips", ["clip_id", EMBEDDING_DIGEST])
    if EMBEDDING_DIGEST not in clips.column_names:
        return EmbeddedClips(
            clip_id=pa.array([], pa.string()), clip_row_N=np.zeros(0, int), score_row_N=np.zeros(0, int)
        )
    has_N = combine(clips[EMBEDDING_DIGEST]).is_valid().to_numpy(zero_copy_only=False)
    clip_id = combine(clips["clip_id"]).filter(pa.array(has_N))
    return EmbeddedClips(
        clip_id=clip_id,
        clip_row_N=view.row_indices("clips")[has_N],
        score_row_N=scored_rows(view, pa.chunked_array([clip_id])),
    )


def scored_rows(view: LiveView, clip_id: pa.ChunkedArray) -> np.ndarray:
    """Return the index of each clip's embedding among all rows of the scores table; -1 if there is none."""
    request = view.scorer_requests.get(EMBEDDING)
    scores = view.read("scores", ["clip_id", "scorer", "digest"])
    if request is None or not len(scores):
        return np.full(len(clip_id), -1, np.int64)
    index = newest_rows(scores, request, clip_id)
    has_N = index.is_valid().to_numpy(zero_copy_only=False)
    rows_N = view.row_indices("scores")[index.fill_null(0).to_numpy(zero_copy_only=False)]
    return np.where(has_N, rows_N, -1)


def read_embeddings(dataset: Dataset, clips: EmbeddedClips) -> np.ndarray:
    """Return the embeddings_ND (float16) of clips, from their rows in both tables."""
    scored_N = clips.score_row_N >= 0
    found: list[tuple[np.ndarray, np.ndarray]] = []
    tables: tuple[tuple[np.ndarray, TableName, np.ndarray], ...] = (
        (scored_N, "scores", clips.score_row_N),
        (~scored_N, "clips", clips.clip_row_N),
    )
    for is_own_N, table, row_N in tables:
        if is_own_N.any():
            rows = read_rows(dataset, table, [EMBEDDING], row_N[is_own_N])
            found.append((np.flatnonzero(is_own_N), unpack_embeddings(rows[EMBEDDING])))
    vectors_ND = np.zeros((len(clips.clip_id), found[0][1].shape[1] if found else 0), DTYPE)
    for place_N, own_ND in found:
        vectors_ND[place_N] = own_ND
    return vectors_ND


def unpack_embeddings(column: pa.ChunkedArray | pa.Array) -> np.ndarray:
    """Return a column `embedding` without nulls as float16 ND. Raises ValueError for vectors of two sizes."""
    values = combine(column)
    if not len(values):
        return np.zeros((0, 0), DTYPE)
    _, offsets, data = values.buffers()
    ends_N = np.frombuffer(offsets, np.int32, len(values) + 1, values.offset * 4)
    sizes = np.unique(np.diff(ends_N))
    if len(sizes) > 1:
        raise ValueError(f"embeddings of {sizes[0] // 2} and of {sizes[-1] // 2} numbers under one digest")
    packed = np.frombuffer(data, DTYPE, (ends_N[-1] - ends_N[0]) // 2, int(ends_N[0]))
    return packed.reshape(len(values), -1)
