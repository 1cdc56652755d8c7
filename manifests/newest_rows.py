"""Which rows of append-only tables are live, by integer codes: they group many times faster than texts.

Legend: R rows of the table.
"""
# pyarrow has no complete types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false, reportUnknownLambdaType=false

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from manifests.arrow import combine, pc


def key_codes(rows: pa.Table, names: Sequence[str]) -> np.ndarray:
    """Return an integer for each row, equal for rows with equal values of `names`; nulls are equal."""
    codes_R = np.zeros(rows.num_rows, np.int64)
    for place, name in enumerate(names):
        encoded = combine(rows[name].dictionary_encode(null_encoding="encode"))
        own_R = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
        codes_R = codes_R * max(1, len(encoded.dictionary)) + own_R
        if place:  # as many codes as there are keys, so that they index an array
            codes_R = np.unique(codes_R, return_inverse=True)[1].reshape(-1)
    return codes_R


def last_rows(codes_R: np.ndarray, mask_R: np.ndarray | None = None) -> np.ndarray:
    """Return the last row of each code among those of the mask."""
    row_N = np.arange(len(codes_R)) if mask_R is None else np.flatnonzero(mask_R)
    last_K = np.full(int(codes_R.max(initial=-1)) + 1, -1, np.int64)
    np.maximum.at(last_K, codes_R[row_N], row_N)
    return last_K[last_K >= 0]


def first_rows(codes_R: np.ndarray) -> np.ndarray:
    """Return the first row of each code."""
    return np.unique(codes_R, return_index=True)[1]


def is_among(column: pa.ChunkedArray, values: pa.ChunkedArray | pa.Array) -> np.ndarray:
    """Return a mask of the rows whose value is one of `values`; null is none of them."""
    found = pc.is_in(column, value_set=combine(values).drop_null())
    return found.to_numpy(zero_copy_only=False).astype(bool)


def newest_sources(sources: pa.Table, removals: pa.Table) -> np.ndarray:
    """Return the newest row of each URI, but for those that were removed (`Removal`).

    Args:
        sources: `uri`; with removals also `source_key` and `source_digest`.
    """
    rows = last_rows(key_codes(sources, ["uri"]))
    if not removals.num_rows:
        return rows
    newest = sources.take(pa.array(rows))
    gone_N = is_among(newest["uri"], removals.filter(removals["whole_uri"])["uri"])
    for name in ("source_key", "source_digest"):
        gone_N |= is_among(newest[name], removals[name])
    return rows[~gone_N]


def newest_analyses(sources: pa.Table, live_N: np.ndarray) -> np.ndarray:
    """Return the newest successful row of each live version of a source: a failed one hides no clips.

    Args:
        sources: `uri`, `source_key` and `status`.
        live_N: `newest_sources`.
    """
    uri_R, key_R = (key_codes(sources, [name]) for name in ("uri", "source_key"))
    live_key_U = np.full(int(uri_R.max(initial=-1)) + 1, -1, np.int64)
    live_key_U[uri_R[live_N]] = key_R[live_N]
    is_ok_R = pc.equal(sources["status"], "ok").to_numpy(zero_copy_only=False).astype(bool)
    return last_rows(uri_R, is_ok_R & (live_key_U[uri_R] == key_R))


def made_by(rows: pa.Table, analyses: pa.Table, commit: str) -> np.ndarray:
    """Return a mask of the rows that an analysis made: of its source and configuration, not before it.

    Args:
        rows: `source_key`, `analysis` and the column `commit`.
        analyses: the same columns of the analyses.
    """
    both = pa.concat_tables([table.select(["source_key", "analysis"]) for table in (rows, analyses)])
    codes_B = key_codes(both, ["source_key", "analysis"])
    own_R, analysis_A = codes_B[: rows.num_rows], codes_B[rows.num_rows :]
    begin_K = np.full(int(codes_B.max(initial=-1)) + 1, np.iinfo(np.int64).max)
    np.minimum.at(begin_K, analysis_A, analyses[commit].to_numpy())
    return rows[commit].to_numpy() >= begin_K[own_R]


def newest_cuts(media: pa.Table, kept: pa.ChunkedArray, commit: str) -> np.ndarray:
    """Return the rows of the last cut of each kept clip: one, or one for each window.

    Args:
        media: `clip_id`, `window_index` and the column `commit`.
        kept: ids of clips.
    """
    clip_R, commit_R = key_codes(media, ["clip_id"]), media[commit].to_numpy()
    last_C = np.full(int(clip_R.max(initial=-1)) + 1, -1, np.int64)
    np.maximum.at(last_C, clip_R, commit_R)
    is_last_R = is_among(media["clip_id"], kept) & (commit_R == last_C[clip_R])
    return last_rows(key_codes(media, ["clip_id", "window_index"]), is_last_R)
