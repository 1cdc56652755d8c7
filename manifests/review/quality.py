"""Figures of a reviewed dataset: coverage, agreement, win rates, and the share of wrong captions.

`kinora status`, the page and the report show these figures.
"""
# pyarrow and DuckDB have no complete types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from manifests.arrow import combine, pc
from manifests.caption_checks import AGREEMENT, UNSUPPORTED
from manifests.records import LENGTH_COLUMNS, Outcome, Verdict
from manifests.review.agreement import Agreement, WinRate, cohen_kappa, win_rate
from manifests.review.cells import divide
from manifests.review.decisions import counted_rows, standing_decisions
from manifests.review.estimate import Estimate, Stratum, estimate, reviews_to_halve
from manifests.sql import connect

KINDS = (
    *("bucket", "outcome", "near", "band", "changed", "failed"),
    *(AGREEMENT, UNSUPPORTED, *LENGTH_COLUMNS),
)
"""What the figures need to know of a media: its bucket, the outcome of the caption that counts (empty without
one), its strata (bool; of those with a value its step, `manifests.review.ranks`, or null), and which lengths
the caption has (bool, null if unknown)."""
NO_CAPTION = "no caption"
_JUDGED = pa.array([Verdict.APPROVE.value, Verdict.EDIT.value, Verdict.REJECT.value])
_OPINIONS = pa.array([*_JUDGED.to_pylist(), Verdict.FLAG.value])
_PAIRS = """
    WITH own AS (
        SELECT media_id, reviewer, arg_max(verdict, _row) AS verdict FROM (
            SELECT r.*, s.reviewer AS shown FROM r LEFT JOIN (SELECT review_id, reviewer FROM r) s
            ON r.saw = s.review_id)
        WHERE blind OR saw = '' OR shown = reviewer GROUP BY ALL)
    SELECT a.reviewer, b.reviewer, a.verdict, b.verdict, count(*) FROM own a JOIN own b
    ON a.media_id = b.media_id AND a.reviewer < b.reviewer GROUP BY ALL ORDER BY ALL
"""
"""Counts the independent verdicts of two reviewers: the newest of each who was not shown the other's."""
_VOTES = """
    WITH newest AS (
        SELECT least(caption_version, other_version) AS one,
               greatest(caption_version, other_version) AS other,
               arg_max(CASE choice WHEN 'left' THEN caption_version ELSE other_version END, _row) AS winner,
               arg_max(choice, _row) AS choice
        FROM v GROUP BY media_id, reviewer, one, other)
    SELECT one, other, count(*) FILTER (winner = one AND choice <> 'tie'),
           count(*) FILTER (winner = other AND choice <> 'tie'), count(*) FILTER (choice = 'tie')
    FROM newest GROUP BY ALL ORDER BY ALL
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Coverage:
    """Media of one kind, and those of them with a decision."""

    media: int
    reviewed: int


@dataclass(frozen=True, kw_only=True, slots=True)
class LengthCoverage:
    """Captions with a text of one length, and edits of that text that stand."""

    captions: int
    reviewed: int
    edited: int


@dataclass(frozen=True, kw_only=True, slots=True)
class PairAgreement:
    """Two reviewers, by name, and how far they agree."""

    first: str
    second: str
    agreement: Agreement


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """Blind votes between two caption versions; the win rate is that of `version`."""

    version: str
    other_version: str
    win_rate: WinRate


@dataclass(frozen=True, kw_only=True, slots=True)
class WrongCaptions:
    """Estimated shares of the captions that count, over the whole dataset.

    Wrong is what a reviewer edited or rejected. Bulk actions, flags, disagreements and verdicts on a caption
    that has changed since are no part of the sample.
    """

    wrong: Estimate
    edited: Estimate
    rejected: Estimate
    strata: Sequence[Stratum]
    """The cells of the estimate, largest first."""
    more: Mapping[str, int]
    """More reviews by stratum that would make the bounds of `wrong` half as wide."""
    left_out: Mapping[str, int]
    """Decisions that are no part of the sample, by reason."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReviewFigures:
    """What reviews say of a dataset. A media is a clip, or one window of it."""

    media: int
    reviewed: int
    verdicts: Mapping[str, int]
    """Media by the decision that stands."""
    disagreements: int
    stale: int
    outcomes: Mapping[str, Coverage]
    buckets: Mapping[str, Coverage]
    lengths: Mapping[str, LengthCoverage]
    drops: Mapping[str, int]
    """Clips that the selection dropped, by reason."""
    rejected: Mapping[str, int]
    """Media that reviewers rejected, by reason."""
    reviewers: Mapping[str, int]
    """Media that each reviewer decided on."""
    days: Mapping[str, int]
    """Decisions by day (UTC)."""
    wrong_captions: WrongCaptions
    agreements: Sequence[PairAgreement]
    comparisons: Sequence[Comparison]


def review_figures(
    groups: pa.Table, reviewed: pa.Table, reviews: pa.Table, drops: Mapping[str, int]
) -> ReviewFigures:
    """Return the figures of a dataset.

    Args:
        groups: the number of live media (`media`) of each combination of `KINDS`.
        reviewed: `media_id`, `KINDS` and the `caption_digest` of the caption that counts (null without one)
            of each live media that has a review, or of more.
        reviews: rows of the view `reviews`, in order.
        drops: clips that the selection dropped, by reason.
    """
    live_ids = combine(reviewed["media_id"])
    decisions = standing_decisions(reviews, reviewed.filter(pc.is_valid(reviewed["caption_digest"])))
    live = pc.index_in(decisions["media_id"], value_set=live_ids)
    decisions = decisions.filter(pc.is_valid(live))
    known = reviewed.take(combine(live.drop_null()))
    numbered = reviews.append_column("_row", pa.array(np.arange(reviews.num_rows)))
    counted = numbered.filter(counted_rows(reviews))
    is_decision = pc.not_equal(counted["verdict"], Verdict.COMPARE.value)
    rows, votes = counted.filter(is_decision), counted.filter(pc.invert(is_decision))
    rows = rows.filter(pc.is_in(rows["media_id"], value_set=live_ids))
    verdict = pc.coalesce(decisions["verdict"], "")
    reason = pc.if_else(pc.equal(decisions["reason"], ""), "no reason", decisions["reason"])
    return ReviewFigures(
        media=pc.sum(groups["media"]).as_py() or 0,
        reviewed=decisions.num_rows,
        verdicts=_counts(verdict.filter(pc.not_equal(verdict, ""))),
        disagreements=pc.sum(decisions["disagreement"]).as_py() or 0,
        stale=pc.sum(decisions["stale"]).as_py() or 0,
        outcomes=_coverage(groups, known, "outcome"),
        buckets=_coverage(groups, known, "bucket"),
        lengths=_lengths(groups, known, decisions),
        drops=_by_count(drops),
        rejected=_counts(reason.filter(pc.equal(verdict, Verdict.REJECT.value))),
        reviewers=_reviewers(rows),
        days=dict(sorted(_counts(pc.utf8_slice_codeunits(rows["at"], 0, 10)).items())),
        wrong_captions=_wrong_captions(groups, known, rows, decisions),
        agreements=_agreements(rows),
        comparisons=_comparisons(votes),
    )


def _wrong_captions(groups: pa.Table, known: pa.Table, rows: pa.Table, decisions: pa.Table) -> WrongCaptions:
    alone = combine(pc.unique(rows.filter(pc.equal(rows["action"], ""))["media_id"]))
    saw, now = decisions["caption_digest"], known["caption_digest"]
    tests: dict[str, Any] = {
        "without a caption": pc.equal(known["outcome"], Outcome.OK.value),
        "reviewers disagree": pc.invert(decisions["disagreement"]),
        "flagged, or only the span was mended": pc.is_in(decisions["verdict"], value_set=_JUDGED),
        "the caption has changed since": pc.fill_null(pc.or_(pc.equal(saw, ""), pc.equal(saw, now)), False),
        "decided by a bulk action": pc.is_in(decisions["media_id"], value_set=alone),
    }
    is_sample_D, left_out = np.ones(decisions.num_rows, bool), dict[str, int]()
    for reason, passes in tests.items():
        passes_D = np.asarray(passes.to_numpy(zero_copy_only=False), bool)
        left_out[reason] = int((is_sample_D & ~passes_D).sum())
        is_sample_D &= passes_D
    sample = known.filter(pa.array(is_sample_D))
    verdict = decisions["verdict"].filter(pa.array(is_sample_D))
    found = divide(groups.filter(pc.equal(groups["outcome"], Outcome.OK.value)), sample)
    is_edited_S, is_rejected_S = (
        np.asarray(pc.equal(verdict, each.value).to_numpy(zero_copy_only=False), bool)
        for each in (Verdict.EDIT, Verdict.REJECT)
    )
    strata = found.strata(is_edited_S | is_rejected_S)
    return WrongCaptions(
        wrong=estimate(strata),
        edited=estimate(found.strata(is_edited_S)),
        rejected=estimate(found.strata(is_rejected_S)),
        strata=strata,
        more=reviews_to_halve(strata),
        left_out={reason: count for reason, count in left_out.items() if count},
    )


def _by_count(counts: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda each: (-each[1], each[0])))


def _counts(values: pa.ChunkedArray) -> dict[str, int]:
    """Count the values, most frequent first."""
    return _by_count({each["values"]: each["counts"] for each in pc.value_counts(values).to_pylist()})


def _coverage(groups: pa.Table, known: pa.Table, column: str) -> dict[str, Coverage]:
    totals = groups.group_by(column).aggregate([("media", "sum")]).to_pylist()
    counts = _by_count({each[column]: each["media_sum"] for each in totals})
    reviewed = _counts(known[column])
    return {
        name or NO_CAPTION: Coverage(media=count, reviewed=reviewed.get(name, 0))
        for name, count in counts.items()
    }


def _lengths(groups: pa.Table, known: pa.Table, decisions: pa.Table) -> dict[str, LengthCoverage]:
    return {
        length: LengthCoverage(
            captions=pc.sum(groups["media"].filter(groups[length])).as_py() or 0,
            reviewed=pc.sum(known[length]).as_py() or 0,
            edited=len(decisions) - decisions[column].null_count,
        )
        for length, column in LENGTH_COLUMNS.items()
        if groups[length].null_count < len(groups) or not len(groups)
    }


def _reviewers(rows: pa.Table) -> dict[str, int]:
    pairs = rows.select(["reviewer", "media_id"]).group_by(["reviewer", "media_id"]).aggregate([])
    return _counts(pairs["reviewer"])


def _agreements(rows: pa.Table) -> list[PairAgreement]:
    opinions = rows.filter(pc.is_in(rows["verdict"], value_set=_OPINIONS))
    counts: dict[tuple[str, str], dict[tuple[str, str], int]] = {}
    with connect() as connection:
        columns = ["media_id", "reviewer", "verdict", "blind", "saw", "review_id", "_row"]
        connection.register("r", opinions.select(columns))
        for first, second, one, other, count in connection.sql(_PAIRS).fetchall():
            counts.setdefault((first, second), {})[one, other] = count
    return [
        PairAgreement(first=first, second=second, agreement=cohen_kappa(pairs))
        for (first, second), pairs in counts.items()
    ]


def _comparisons(votes: pa.Table) -> list[Comparison]:
    if not votes.num_rows:
        return []
    with connect() as connection:
        columns = ["media_id", "reviewer", "caption_version", "other_version", "choice", "_row"]
        connection.register("v", votes.select(columns))
        found = connection.sql(_VOTES).fetchall()
    return [
        Comparison(version=one, other_version=other, win_rate=win_rate(wins=wins, losses=losses, ties=ties))
        for one, other, wins, losses, ties in found
    ]
