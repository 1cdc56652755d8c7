"""Count the decisions of reviewers, and those that the next shard set would be the first to hold."""
# pyarrow has no complete types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false

import pyarrow as pa

from manifests.arrow import combine, pc
from manifests.live_view import COMMIT_COLUMN, LiveView
from manifests.records import LENGTH_COLUMNS, Review, Verdict
from manifests.review.decisions import caption_digests, standing_decisions
from manifests.row_reads import read_rows
from manifests.schemas import arrow_schema

COUNTS = ("media", "approved", "edited", "rejected", "flagged", "disputed", "mended", "stale")


def count_decisions(view: LiveView) -> dict[str, dict[str, int]]:
    """Return the number of media by decision: `all`, and `since_pack`, after the newest commit of a pack.

    Media that are gone do not count. Both have the names in `COUNTS`; there are no counts without reviews.
    """
    reviews = view.read("reviews", [*arrow_schema(Review).names, COMMIT_COLUMN])
    if not reviews.num_rows:
        return {}
    decisions = live_decisions(view)
    packs = [commit.number for commit in view.dataset.commits if commit.stage == "pack"]
    later = reviews.filter(pc.greater(reviews[COMMIT_COLUMN], packs[-1] if packs else -1))
    withdrawn = pc.is_in(reviews["review_id"], value_set=combine(later["withdraws"]))
    withdrawn = pc.or_(withdrawn, pc.is_in(reviews["action"], value_set=_named(later["withdraws"])))
    touched = pa.chunked_array(
        [*later["media_id"].chunks, *reviews.filter(withdrawn)["media_id"].chunks], pa.string()
    )
    new = decisions.filter(pc.is_in(decisions["media_id"], value_set=combine(touched)))
    return {"all": _counts(decisions), "since_pack": _counts(new)}


def live_decisions(view: LiveView) -> pa.Table:
    """Return the decision that stands for each reviewed media that is live (`standing_decisions`)."""
    reviews = view.read("reviews")
    if not reviews.num_rows:
        return standing_decisions(reviews)
    media = view.read("media", ["media_id"])["media_id"]
    decisions = standing_decisions(reviews, _captions(view, reviews["media_id"]))
    return decisions.filter(pc.is_in(decisions["media_id"], value_set=combine(media)))


def _captions(view: LiveView, media_id: pa.ChunkedArray) -> pa.Table:
    """Return the digest of the caption that counts of each reviewed media."""
    counting = view.read("captions", ["media_id"])["media_id"]
    is_reviewed = pc.is_in(counting, value_set=combine(media_id))
    row_N = view.row_indices("captions")[is_reviewed.to_numpy(zero_copy_only=False)]
    texts = read_rows(view.dataset, "captions", [*LENGTH_COLUMNS.values()], row_N)
    return pa.table({"media_id": counting.filter(is_reviewed), "caption_digest": caption_digests(texts)})


def _named(values: pa.ChunkedArray) -> pa.Array:
    return combine(values.filter(pc.not_equal(values, "")))


def _counts(decisions: pa.Table) -> dict[str, int]:
    verdict = pc.coalesce(decisions["verdict"], "")
    usable = pc.invert(decisions["stale"])

    def with_verdict(name: Verdict) -> pa.ChunkedArray:
        return pc.and_(pc.equal(verdict, name.value), usable)

    masks = {
        "approved": with_verdict(Verdict.APPROVE),
        "edited": with_verdict(Verdict.EDIT),
        "rejected": with_verdict(Verdict.REJECT),
        "flagged": with_verdict(Verdict.FLAG),
        "disputed": decisions["disagreement"],
        "mended": pc.is_valid(decisions["start_s"]),
        "stale": decisions["stale"],
    }
    return {"media": decisions.num_rows} | {n: int(pc.sum(m).as_py() or 0) for n, m in masks.items()}
