"""Read what the figures of a review need from a dataset, column by column: there may be millions of clips."""
# pyarrow and DuckDB have no complete types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false

import numpy as np
import pyarrow as pa

from manifests.arrow import combine, pc
from manifests.caption_checks import AGREEMENT, UNSUPPORTED
from manifests.live_view import LiveView
from manifests.records import LENGTH_COLUMNS, Outcome
from manifests.review.config import ReviewConfig
from manifests.review.decisions import caption_digests
from manifests.review.live_media import SelectionRules, bucket_names, bucket_settings
from manifests.review.quality import KINDS, ReviewFigures, review_figures
from manifests.review.ranks import agreement_steps
from manifests.row_reads import read_rows
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
    captions = _Captions(view)
    columns = {
        "bucket": bucket_names(media, bucket_settings(view.dataset.commits)),
        "outcome": captions.outcome,
        "near": _near(view, media["clip_id"], rules, config or ReviewConfig()),
        "band": band,
        "changed": captions.changed,
        "failed": captions.failed,
        **captions.ranks,
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

    def __init__(self, view: LiveView) -> None:
        self._dataset = view.dataset
        ranked = {*view.columns("captions")} & {AGREEMENT, UNSUPPORTED}
        counting = view.read("captions", ["outcome", *sorted(ranked)])
        codes = view.caption_codes()
        self._row_N = codes.first_by_media()
        held = np.searchsorted(view.row_indices("captions"), self._row_N)
        at = pa.array(held, mask=self._row_N < 0)
        self.outcome = pc.coalesce(combine(counting["outcome"]).take(at), "")
        self.ranks = {
            name: _steps(name, combine(counting[name]).take(at))
            if name in ranked
            else pa.nulls(len(at), pa.int64())
            for name in (AGREEMENT, UNSUPPORTED)
        }
        newest_N = codes.first_by_media(ok_first=False)
        self.failed = pa.array(_at(~codes.is_ok_R, newest_N, False))
        counting_N = _at(codes.version_R, self._row_N, -1)
        other_R = codes.is_ok_R & (codes.version_R != _at(counting_N, codes.media_R, -1))
        before_N = codes.first_by_media(among_R=other_R)
        both_N = np.unique(np.concatenate([self._row_N, before_N]))
        read_R = both_N[both_N >= 0]
        known = self._read(read_R)
        hash_R = known["hash"].to_numpy(zero_copy_only=False)
        self.texts: dict[str, pa.Array] = {}
        for column in _TEXTS:
            has_N = np.zeros(len(self._row_N), bool)
            has_R = np.asarray(known[column].to_numpy(zero_copy_only=False), bool)
            has_N[self._row_N >= 0] = has_R[np.searchsorted(read_R, self._row_N[self._row_N >= 0])]
            self.texts[column] = pa.array(has_N)
        is_ok_N = np.asarray(pc.equal(self.outcome, Outcome.OK.value).to_numpy(zero_copy_only=False), bool)
        has_both_N = is_ok_N & (self._row_N >= 0) & (before_N >= 0)
        changed_N = np.zeros(len(self._row_N), bool)
        now_B, then_B = (
            hash_R[np.searchsorted(read_R, row_N[has_both_N])] for row_N in (self._row_N, before_N)
        )
        changed_N[has_both_N] = now_B != then_B
        self.changed = pa.array(changed_N)

    def digests(self, row_D: np.ndarray) -> pa.Array:
        """Return `records.caption_digest` of the caption that counts of some media; null without one."""
        wanted_D = self._row_N[row_D]
        held_U = np.unique(wanted_D[wanted_D >= 0])
        digests = caption_digests(read_rows(self._dataset, "captions", _TEXTS, held_U))
        at_D = np.searchsorted(held_U, wanted_D)
        return digests.take(pa.array(at_D, mask=wanted_D < 0))

    def _read(self, row_R: np.ndarray) -> pa.Table:
        """Return a hash of the texts of rows of the table, and which texts they have."""

        def describe(part: pa.Table) -> pa.Table:
            with connect() as connection:
                connection.execute("SET preserve_insertion_order = true")
                connection.register("t", part)
                return connection.sql(_HASH).to_arrow_table()

        return read_rows(self._dataset, "captions", _TEXTS, row_R, describe)


def _steps(name: str, values: pa.Array) -> pa.Array:
    return agreement_steps(values) if name == AGREEMENT else values.cast(pa.int64())


def _at(values_N: np.ndarray, index_M: np.ndarray, missing: int | bool) -> np.ndarray:
    """Return the values at indices, `missing` where an index is -1."""
    found_M = np.full(len(index_M), missing, values_N.dtype)
    found_M[index_M >= 0] = values_N[index_M[index_M >= 0]]
    return found_M
