"""What `pack` does with reviews: lays edited texts over captions, and leaves out what a reviewer refused.

Pure functions on Arrow columns. A decision is on the texts that its reviewer saw; an approval or edit of a
caption whose texts are others now is stale.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from manifests.arrow import combine, pc
from manifests.digest import digest_parts
from manifests.records import LENGTH_COLUMNS, LENGTHS, Verdict
from manifests.review.decisions import caption_digests, counted_rows, standing_decisions
from pipeline.config import ReviewUse

REJECTED = "rejected by review"
BAD_SPAN = "span mended by review lies outside its media"
DISPUTED = "reviewers disagree"
FLAGGED = "flagged by review"
UNREVIEWED = "not reviewed"
EDITED = {length: f"edited_{length}" for length in LENGTHS}
"""Columns with the text that an edit put in place of each, null for none."""
NO_REVIEW = {"review_verdict": "", "review_ids": ""}
"""Columns of the review that a sample names, and their values where it has none."""
TRIM = ("trim_start_s", "trim_end_s")
"""Columns with the span of its media that a sample is trimmed to, in seconds; null for all of it."""
_MIN_FRAMES = 2
_NAMED = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class ReviewCounts:
    """What reviews did to the media of a pack."""

    reviewed: int = 0
    """Media with a decision that stands, or over which reviewers differ."""
    approved: int = 0
    """Samples whose caption a reviewer approved."""
    edited: int = 0
    """Samples with an edited text."""
    unused: int = 0
    """Samples with an approved or edited caption that the policy does not use."""
    stale: int = 0
    """Approvals and edits of captions whose texts, or version, are others now."""
    stale_media: tuple[str, ...] = ()
    """Media ids of the first of these."""
    trimmed: int = 0
    """Samples trimmed to the span that a reviewer gave."""
    left_out: Mapping[str, int] = field(default_factory=dict)
    """Media left out, by reason."""


def decide(reviews: pa.Table) -> pa.Table:
    """Return the decision on each reviewed media, as `standing_decisions`, with `ids`, the rows that count.

    Args:
        reviews: rows of the view `reviews`.
    """
    decisions = standing_decisions(reviews)
    counted = reviews.filter(counted_rows(reviews))
    counted = counted.filter(pc.not_equal(counted["verdict"], Verdict.COMPARE.value))
    ids = counted.select(["media_id", "review_id"]).group_by("media_id", use_threads=False)
    lists = ids.aggregate([("review_id", "list")])
    joined = pc.binary_join(lists["review_id_list"], " ")
    return decisions.append_column(
        "ids", joined.take(pc.index_in(decisions["media_id"], value_set=combine(lists["media_id"])))
    )


def seen_digests(captions: pa.Table, reviewed: pa.Array) -> pa.Array:
    """Return `caption_digest` of the captions of reviewed media, null for all others."""
    is_reviewed = pc.is_in(captions["media_id"], value_set=reviewed)
    digests = caption_digests(captions.filter(is_reviewed))
    row_N = np.cumsum(is_reviewed.to_numpy(zero_copy_only=False)) - 1
    return digests.take(pc.if_else(combine(is_reviewed), pa.array(row_N), pa.scalar(None, pa.int64())))


def with_reviews(candidates: pa.Table, decisions: pa.Table, use: ReviewUse, *, lay_over: bool) -> pa.Table:
    """Append to captions what the reviews of their media say, with edited texts laid over.

    Appends `EDITED`, `NO_REVIEW` and `stale`; replaces `lengths`, `content` and `chars` of edited captions.
    A text that was written for a failed caption is its text; one that was emptied is none.

    Args:
        candidates: `media_id`, `version`, `seen` (`seen_digests`), `lengths`, `content` and `chars`.
        lay_over: whether approvals and edits are used at all.
    """
    own = decisions.take(pc.index_in(candidates["media_id"], value_set=combine(decisions["media_id"])))
    accepts = pc.is_in(own["verdict"], value_set=pa.array([Verdict.APPROVE.value, Verdict.EDIT.value]))
    same_version = pc.or_(
        pc.equal(own["caption_version"], ""), pc.equal(own["caption_version"], candidates["version"])
    )
    is_current = pc.if_else(
        pc.equal(own["caption_digest"], ""), same_version, pc.equal(own["caption_digest"], candidates["seen"])
    )
    is_current = pc.coalesce(is_current, False)
    stale = pc.and_(accepts, pc.invert(is_current))
    used = (
        pc.and_(accepts, True if use.stale == "apply" else is_current)
        if lay_over
        else pc.and_(accepts, False)
    )
    rows = candidates.append_column("stale", combine(stale))
    rows = rows.append_column("accepted", combine(pc.and_(accepts, is_current)))
    lengths, chars = rows["lengths"], rows["chars"]
    for bit, (length, column) in enumerate(LENGTH_COLUMNS.items()):
        edited = combine(pc.if_else(used, own[column], pa.scalar(None, pa.string())))
        rows = rows.append_column(EDITED[length], edited)
        is_text = pc.coalesce(pc.not_equal(pc.utf8_trim_whitespace(edited), ""), False)
        others = pc.bit_wise_and(lengths, 7 - (1 << bit))
        with_edit = pc.bit_wise_or(others, pc.if_else(is_text, 1 << bit, 0))
        lengths = pc.if_else(pc.is_valid(edited), with_edit, lengths)
        chars = pc.add(chars, pc.coalesce(pc.utf8_length(edited).cast(pa.int64()), 0))
    for name, source in (("review_verdict", "verdict"), ("review_ids", "ids")):
        rows = rows.append_column(name, combine(pc.if_else(used, own[source], "")))
    rows = _replace(_replace(rows, "lengths", lengths), "chars", chars)
    return _replace(rows, "content", _content(rows))


def _replace(rows: pa.Table, name: str, column: pa.ChunkedArray | pa.Array) -> pa.Table:
    return rows.set_column(rows.column_names.index(name), name, column)


def _content(rows: pa.Table) -> pa.Array:
    """Return the digest of each caption with the review that is laid over it."""
    reviewed = pc.not_equal(rows["review_ids"], "")
    names = ("content", "review_verdict", "review_ids", *EDITED.values())
    plain = rows.select(names).filter(reviewed).to_pylist()
    digests = pa.array([digest_parts("reviewed", *row.values()) for row in plain], pa.string())
    row_N = np.cumsum(reviewed.to_numpy(zero_copy_only=False)) - 1
    index = pc.if_else(combine(reviewed), pa.array(row_N), pa.scalar(None, pa.int64()))
    return pc.coalesce(digests.take(index), combine(rows["content"]))


def without_reviews(candidates: pa.Table) -> pa.Table:
    """Append the columns that `with_reviews` appends, of media that nobody reviewed."""
    num = candidates.num_rows
    for name, value in (("stale", False), ("accepted", False), *NO_REVIEW.items()):
        candidates = candidates.append_column(name, pa.repeat(pa.scalar(value), num))
    for name in EDITED.values():
        candidates = candidates.append_column(name, pa.nulls(num, pa.string()))
    return candidates


def with_decisions(
    rows: pa.Table, media: pa.Table, decisions: pa.Table | None, use: ReviewUse, *, lay_over: bool
) -> pa.Table:
    """Append `excluded`, why each media is left out because of its review or an empty string, and `TRIM`.

    Rejected media are left out, and mended spans cut, under any policy; the other reasons are those of a
    policy that lays reviews over.

    Args:
        rows: the captions that were chosen, with the columns of `with_reviews`.
        media: `media_id`, `extension`, `fps` and `duration_s`.
    """
    if decisions is None:
        unreviewed = UNREVIEWED if lay_over and use.unreviewed == "leave_out" else ""
        rows = rows.append_column("excluded", pa.repeat(pa.scalar(unreviewed), rows.num_rows))
        return _append(rows, {name: pa.nulls(rows.num_rows, pa.float64()) for name in TRIM})
    own = decisions.take(pc.index_in(rows["media_id"], value_set=combine(decisions["media_id"])))
    cut = media.take(pc.index_in(rows["media_id"], value_set=combine(media["media_id"])))
    verdict = pc.coalesce(own["verdict"], "")
    end = pc.min_element_wise(own["end_s"], cut["duration_s"], skip_nulls=False)
    frames = pc.multiply(pc.subtract(end, own["start_s"]), cut["fps"])
    is_bad = pc.or_(pc.less(own["start_s"], 0.0), pc.less(frames, float(_MIN_FRAMES)))
    is_bad = pc.or_(is_bad, pc.not_equal(cut["extension"], "mp4"))
    is_bad = pc.and_(pc.is_valid(own["start_s"]), pc.coalesce(is_bad, True))
    reasons = [
        (REJECTED, pc.equal(verdict, Verdict.REJECT.value), use.rejected == "leave_out"),
        (BAD_SPAN, is_bad, True),
        (DISPUTED, pc.coalesce(own["disagreement"], False), lay_over and use.disputed == "leave_out"),
        (FLAGGED, pc.equal(verdict, Verdict.FLAG.value), lay_over and use.flagged == "leave_out"),
        (UNREVIEWED, pc.is_null(own["media_id"]), lay_over and use.unreviewed == "leave_out"),
    ]
    why = pa.repeat(pa.scalar(""), rows.num_rows)
    for reason, mask, is_on in reversed(reasons):
        if is_on:
            why = pc.if_else(combine(mask), reason, why)
    is_part = pc.or_(pc.greater(own["start_s"], 0.0), pc.less(own["end_s"], cut["duration_s"]))
    is_part = pc.and_(pc.coalesce(is_part, False), pc.equal(why, ""))
    rows = rows.append_column("excluded", why)
    none = pa.scalar(None, pa.float64())
    rows = _append(
        rows,
        {
            name: pc.if_else(is_part, side, none)
            for name, side in zip(TRIM, (own["start_s"], end), strict=True)
        },
    )
    return _replace(rows, "review_ids", pc.if_else(is_part, own["ids"], rows["review_ids"]))


def _append(rows: pa.Table, columns: Mapping[str, pa.Array | pa.ChunkedArray]) -> pa.Table:
    for name, column in columns.items():
        rows = rows.append_column(name, column)
    return rows


def count_reviews(rows: pa.Table, decisions: pa.Table | None) -> ReviewCounts:
    """Count what reviews did to the media with a caption of the policy.

    Args:
        rows: the columns that `with_reviews` and `with_decisions` append, a row for each media.
    """
    if decisions is None and not pc.any(pc.not_equal(rows["excluded"], "")).as_py():
        return ReviewCounts()
    left_out = pc.value_counts(rows["excluded"]).to_pylist()
    packed = rows.filter(pc.equal(rows["excluded"], ""))
    edits = pc.is_valid(pc.coalesce(*(packed[name] for name in EDITED.values())))
    used = pc.not_equal(packed["review_verdict"], "")
    stale = packed.filter(packed["stale"])["media_id"].to_pylist()
    unused = pc.and_(packed["accepted"], pc.invert(used))
    return ReviewCounts(
        reviewed=decisions.num_rows if decisions is not None else 0,
        approved=_total(pc.and_(used, pc.invert(edits))),
        edited=_total(edits),
        unused=_total(unused),
        trimmed=_total(pc.is_valid(packed[TRIM[0]])),
        stale=len(stale),
        stale_media=tuple(sorted(stale)[:_NAMED]),
        left_out={row["values"]: row["counts"] for row in left_out if row["values"]},
    )


def _total(mask: pa.ChunkedArray) -> int:
    return int(pc.sum(mask).as_py() or 0)
