"""Read what the figures of a review need from a dataset, column by column: there may be millions of clips."""
# pyarrow and DuckDB have no complete types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false

from collections.abc import Callable

import numpy as np
import pyarrow as pa

from manifests.arrow import combine, pc
from manifests.live_view import LiveView
from manifests.records import LENGTH_COLUMNS, Outcome
from manifests.review.config import ReviewConfig
from manifests.review.decisions import caption_digests
from manifests.review.live_media import SelectionRules, bucket_names, bucket_settings
from manifests.review.quality import KINDS, ReviewFigures, review_figures
from manifests.sql import connect

_TEXTS = [*LENGTH_COLUMNS.values()]
_HASH = (
    f"SELECT hash({', '.join(_TEXTS)}) AS hash, {', '.join(f'{c} IS NOT NULL AS {c}' for c in _TEXTS)} FROM t"
)


def dataset_figures(
    view: LiveView, rules: SelectionRules | None = None, config: ReviewConfig | None = None
) -> ReviewFigures:
    """Return the figures of a dataset.

    Args:
        view: the dataset's live rows.
        rules: the selection rules, for the stratum of clips near to a limit.
        config: says how near that is.
    """
    reviews = view.read("reviews")
    selections = view.read("selections", ["clip_id", "kept", "reason", "review"])
    media = view.read("media", ["media_id", "clip_id", "duration_s", "height", "width", "num_frames"])
    clip = combine(pc.index_in(media["clip_id"], value_set=combine(selections["clip_id"])))
    band = pc.not_equal(pc.coalesce(combine(selections["review"]).take(clip), ""), "")
    captions = _Captions(view, combine(media["media_id"]))
    columns = {
        "bucket": bucket_names(media, bucket_settings(view.dataset.commits)),
        "outcome": captions.outcome,
        "near": _near(view, media["clip_id"], rules, config or ReviewConfig()),
        "band": band,
        "changed": captions.changed,
        "failed": captions.failed,
        **{length: captions.texts[column] for length, column in LENGTH_COLUMNS.items()},
    }
    kinds = pa.table({name: columns[name] for name in KINDS})
    groups = kinds.append_column("media", pa.array(np.ones(len(kinds), np.int64)))
    groups = groups.group_by([*KINDS]).aggregate([("media", "sum")]).rename_columns([*KINDS, "media"])
    is_reviewed = pc.is_in(media["media_id"], value_set=combine(pc.unique(reviews["media_id"])))
    row_D = np.flatnonzero(is_reviewed.to_numpy(zero_copy_only=False))
    reviewed = kinds.take(pa.array(row_D))
    reviewed = reviewed.append_column("media_id", media["media_id"].take(pa.array(row_D)))
    reviewed = reviewed.append_column("caption_digest", captions.digests(row_D))
    dropped = selections.filter(pc.invert(selections["kept"]))["reason"]
    drops = {each["values"]: each["counts"] for each in pc.value_counts(dropped).to_pylist()}
    return review_figures(groups, reviewed, reviews, drops)


def _near(
    view: LiveView, clip_id: pa.ChunkedArray, rules: SelectionRules | None, config: ReviewConfig
) -> pa.Array:
    if rules is None or not len(clip_id):
        return pa.array(np.zeros(len(clip_id), bool))
    clips = view.read("clips", [*dict.fromkeys(("clip_id", *rules.columns))])
    margin = pc.less_equal(rules.nearest(clips)["margin"], config.near_margin)
    at = combine(pc.index_in(clip_id, value_set=combine(clips["clip_id"])))
    return pc.fill_null(combine(pc.fill_null(margin, False)).take(at), False)


class _Captions:
    """The caption that counts for each media, and whether the OK one before it had other texts."""

    def __init__(self, view: LiveView, media_id: pa.Array) -> None:
        self._dataset = view.dataset
        counting = view.read("captions", ["media_id", "outcome"])
        at = combine(pc.index_in(media_id, value_set=combine(counting["media_id"])))
        self.outcome = pc.coalesce(combine(counting["outcome"]).take(at), "")
        rows = pa.array(view.row_indices("captions")).take(at)
        self._row_N = np.asarray(pc.fill_null(rows, -1).to_numpy(zero_copy_only=False), np.int64)
        self.failed = pa.array(self._failed(view, media_id))
        before_N = self._before(view, media_id)
        both_N = np.unique(np.concatenate([self._row_N, before_N]))
        read_R = both_N[both_N >= 0]
        known = self._read(read_R)
        hash_R = known["hash"].to_numpy(zero_copy_only=False)
        self.texts: dict[str, pa.Array] = {}
        for column in _TEXTS:
            has_N = np.zeros(len(media_id), bool)
            has_R = np.asarray(known[column].to_numpy(zero_copy_only=False), bool)
            has_N[self._row_N >= 0] = has_R[np.searchsorted(read_R, self._row_N[self._row_N >= 0])]
            self.texts[column] = pa.array(has_N)
        is_ok_N = np.asarray(pc.equal(self.outcome, Outcome.OK.value).to_numpy(zero_copy_only=False), bool)
        has_both_N = is_ok_N & (self._row_N >= 0) & (before_N >= 0)
        changed_N = np.zeros(len(media_id), bool)
        now_B, then_B = (
            hash_R[np.searchsorted(read_R, row_N[has_both_N])] for row_N in (self._row_N, before_N)
        )
        changed_N[has_both_N] = now_B != then_B
        self.changed = pa.array(changed_N)

    def digests(self, row_D: np.ndarray) -> pa.Array:
        """Return `records.caption_digest` of the caption that counts of some media; null without one."""
        wanted_D = self._row_N[row_D]
        held_U = np.unique(wanted_D[wanted_D >= 0])
        digests = caption_digests(self._texts_of(held_U))
        at_D = np.searchsorted(held_U, wanted_D)
        return digests.take(pa.array(at_D, mask=wanted_D < 0))

    def _failed(self, view: LiveView, media_id: pa.Array) -> np.ndarray:
        newest = view.read("newest_attempts", ["media_id", "outcome"])
        at = combine(pc.index_in(media_id, value_set=combine(newest["media_id"])))
        failed = pc.not_equal(combine(newest["outcome"]).take(at), Outcome.OK.value)
        return np.asarray(pc.fill_null(failed, False).to_numpy(zero_copy_only=False), bool)

    def _before(self, view: LiveView, media_id: pa.Array) -> np.ndarray:
        """Return the row of the OK caption before the one that counts, -1 without one."""
        attempts = view.read("caption_attempts", ["media_id", "version", "outcome"])
        row_A = view.row_indices("caption_attempts")
        media_A = pc.index_in(attempts["media_id"], value_set=media_id).to_numpy(zero_copy_only=False)
        version = attempts["version"]
        is_ok_A = np.asarray(
            pc.equal(attempts["outcome"], Outcome.OK.value).to_numpy(zero_copy_only=False), bool
        )
        last_N, before_N = np.full(len(media_id), -1), np.full(len(media_id), -1)
        requests = view.caption_requests()
        for name in sorted(requests, key=lambda each: requests[each]):
            mask_A = is_ok_A & np.asarray(pc.equal(version, name).to_numpy(zero_copy_only=False), bool)
            own_M = media_A[mask_A].astype(np.int64)
            before_N[own_M] = last_N[own_M]
            last_N[own_M] = row_A[mask_A]
        return before_N

    def _read(self, row_R: np.ndarray) -> pa.Table:
        """Return a hash of the texts of rows of the table, given in order, and which texts they have."""

        def compute(part: pa.Table) -> pa.Table:
            with connect() as connection:
                connection.register("t", part)
                return connection.sql(_HASH).to_arrow_table()

        empty = pa.table({"hash": pa.array([], pa.uint64()), **{c: pa.array([], pa.bool_()) for c in _TEXTS}})
        return self._by_part(row_R, compute, empty)

    def _texts_of(self, row_R: np.ndarray) -> pa.Table:
        empty = pa.table({column: pa.array([], pa.string()) for column in _TEXTS})
        return self._by_part(row_R, _unchanged, empty)

    def _by_part(
        self, row_R: np.ndarray, compute: Callable[[pa.Table], pa.Table], empty: pa.Table
    ) -> pa.Table:
        parts = self._dataset.parts("captions")
        start_P = np.concatenate([[0], np.cumsum([part.rows for part in parts])]).astype(np.int64)
        bound_P = np.searchsorted(row_R, start_P)

        def read(number: int) -> pa.Table:
            own_R = row_R[bound_P[number] : bound_P[number + 1]] - start_P[number]
            rows = self._dataset.read_part(parts[number], _TEXTS).select(_TEXTS)
            return compute(rows.take(pa.array(own_R))).replace_schema_metadata(None)

        held = [number for number in range(len(parts)) if bound_P[number] < bound_P[number + 1]]
        return pa.concat_tables([empty, *self._dataset.map_parallel(read, held)])


def _unchanged(part: pa.Table) -> pa.Table:
    return part
