"""Which decision stands: withdrawals, fields, rounds of reviewers, agreement, staleness."""

from dataclasses import replace

import pyarrow as pa
import pytest

from manifests.dataset import Commit, Dataset
from manifests.live_view import LiveView
from manifests.records import Review, Verdict, caption_digest
from manifests.review.decisions import DECISION_COLUMNS, standing_decisions
from manifests.schemas import to_table

TEXTS = ("A cat.", "A cat sits.", "A cat sits on a mat.")
SEEN = caption_digest(*TEXTS)


def row(review_id: str, reviewer: str = "ann", verdict: str = "approve", **fields) -> Review:
    base = {"media_id": "m", "clip_id": "c", "at": "2026-01-01T00:00:00Z", "caption_digest": SEEN}
    return Review(review_id=review_id, reviewer=reviewer, verdict=Verdict(verdict), **(base | fields))


def edit(review_id: str, text: str, reviewer: str = "ann", length: str = "dense", **fields) -> Review:
    return row(review_id, reviewer, "edit", new_text=text, length=length, **fields)


def decide(*rows: Review, captions: pa.Table | None = None) -> dict[str, dict]:
    table = standing_decisions(to_table(Review, rows), captions)
    assert table.column_names == [*DECISION_COLUMNS]
    return {decision["media_id"]: decision for decision in table.to_pylist()}


def one(*rows: Review) -> tuple[str | None, dict[str, str], bool]:
    """Return verdict, edited texts by column and disagreement of the only media."""
    (decision,) = decide(*rows).values()
    texts = {name: decision[name] for name in ("short", "medium", "text") if decision[name] is not None}
    return decision["verdict"], texts, decision["disagreement"]


def test_no_review_no_decision():
    assert decide() == {}


@pytest.mark.parametrize("verdict", ["approve", "reject", "flag"])
def test_a_single_verdict_stands(verdict):
    (decision,) = decide(row("1", verdict=verdict, reason="blurred", note="see the hand")).values()
    assert decision == {
        "media_id": "m",
        "clip_id": "c",
        "verdict": verdict,
        "short": None,
        "medium": None,
        "text": None,
        "reason": "blurred",
        "note": "see the hand",
        "start_s": None,
        "end_s": None,
        "reviewers": ["ann"],
        "disagreement": False,
        "stale": False,
        "caption_version": "",
        "caption_digest": SEEN,
        "newest": "1",
    }


def test_an_edit_leaves_the_other_texts_and_the_span():
    span = row("1", verdict="span", start_s=0.5, end_s=2.0)
    rows = (span, edit("2", "S", length="short", saw="1"), edit("3", "D", saw="2"))
    (decision,) = decide(*rows).values()
    assert (decision["verdict"], decision["short"], decision["medium"], decision["text"]) == (
        "edit",
        "S",
        None,
        "D",
    )
    assert (decision["start_s"], decision["end_s"]) == (0.5, 2.0)


def test_the_newest_text_of_a_length_counts_and_an_approval_keeps_it():
    assert one(edit("1", "x"), edit("2", "y", saw="1"), row("3", saw="2")) == ("edit", {"text": "y"}, False)


def test_a_rejection_can_be_taken_back_by_another_verdict():
    assert one(row("1", verdict="reject"), row("2", saw="1")) == ("approve", {}, False)


def test_only_a_span():
    assert one(row("1", verdict="span", start_s=0.0, end_s=1.0)) == ("span", {}, False)


def test_a_withdrawn_row_does_not_count_and_the_one_before_it_does():
    rows = (edit("1", "x"), edit("2", "y", saw="1"), row("3", verdict="withdraw", withdraws="2", media_id=""))
    assert one(*rows) == ("edit", {"text": "x"}, False)
    again = row("4", verdict="withdraw", withdraws="3", media_id="")
    assert one(*rows, again) == ("edit", {"text": "y"}, False)
    assert decide(rows[0], row("5", verdict="withdraw", withdraws="1")) == {}


def test_an_action_is_withdrawn_as_one():
    bulk = [edit(f"{i}", "x", media_id=f"m{i}", action="bulk") for i in range(3)]
    alone = edit("9", "y", media_id="m1", saw="1")
    undo = row("10", verdict="withdraw", withdraws="bulk", media_id="")
    assert {*decide(*bulk, alone)} == {"m0", "m1", "m2"}
    assert {key: found["text"] for key, found in decide(*bulk, alone, undo).items()} == {"m1": "y"}


def test_a_row_after_a_withdrawn_one_still_settles():
    """Its reviewer saw a row that was withdrawn since, and so all rows before that."""
    rows = (row("1", "ann", "reject"), row("2", "bob", saw="1"), row("3", "cleo", saw="2"))
    assert one(*rows, row("4", verdict="withdraw", withdraws="2")) == ("approve", {}, False)


def test_a_reviewer_who_saw_the_last_decision_builds_on_it():
    rows = (edit("1", "S", "ann", "short"), edit("2", "D", "bob", saw="1"))
    assert one(*rows) == ("edit", {"short": "S", "text": "D"}, False)
    assert decide(*rows)["m"]["reviewers"] == ["ann", "bob"]


@pytest.mark.parametrize(
    ("first", "second", "agree"),
    [
        (row("1", "ann"), row("2", "bob", blind=True), True),
        (row("1", "ann"), row("2", "bob", "reject", blind=True), False),
        (row("1", "ann", "reject", reason="a"), row("2", "bob", "reject", blind=True, reason="b"), True),
        (row("1", "ann"), edit("2", "x", "bob", blind=True), False),
        (edit("1", "x", "ann"), edit("2", "x", "bob", blind=True), True),
        (edit("1", "x", "ann"), edit("2", "y", "bob", blind=True), False),
        (edit("1", "x", "ann"), edit("2", "x", "bob", "short", blind=True), False),
        (row("1", "ann", "flag"), row("2", "bob", blind=True), False),
        (row("1", "ann"), row("2", "bob", "reject"), False),  # at the same time on two servers
        (row("1", "ann"), row("2", "ann", "reject"), True),  # two tabs of one reviewer: the newest counts
    ],
)
def test_agreement_of_two(first, second, agree):
    verdict, texts, disagreement = one(first, second)
    assert disagreement is not agree
    assert (verdict is not None) is agree
    assert agree or texts == {}


def test_a_blind_reviewer_who_changes_their_mind_has_not_seen_the_other():
    rows = [row("1", "ann", blind=True), row("2", "bob", "reject", blind=True)]
    assert one(*rows, row("3", "bob", "reject", blind=True, saw="2"))[2]
    assert one(*rows, row("3", "bob", blind=True, saw="2")) == ("approve", {}, False)


def test_a_later_row_of_anybody_adjudicates():
    rows = [edit("1", "x", "ann", blind=True), edit("2", "y", "bob", blind=True)]
    assert one(*rows, edit("3", "y", "cleo", saw="2")) == ("edit", {"text": "y"}, False)
    assert one(*rows, edit("3", "z", "ann", saw="2")) == ("edit", {"text": "z"}, False)
    assert one(*rows, row("3", "cleo", saw="2")) == ("approve", {}, False)  # of the caption as it was
    assert one(*rows, row("3", "cleo", saw="1"))[2]  # had not seen both


def test_a_span_settles_no_disagreement_of_texts():
    rows = [row("1", "ann", blind=True), row("2", "bob", "reject", blind=True)]
    assert one(*rows, row("3", "cleo", "span", start_s=0.0, end_s=1.0, saw="2"))[2]


def test_spans_that_differ_are_a_disagreement_and_the_verdict_stands():
    rows = [row(f"{i}", name, blind=True) for i, name in enumerate(("ann", "bob"))]
    rows += [
        row("3", "ann", "span", start_s=0.0, end_s=1.0, blind=True, saw="0"),
        row("4", "bob", "span", start_s=0.0, end_s=2.0, blind=True, saw="1"),
    ]
    assert one(*rows) == ("approve", {}, True)
    assert decide(*rows)["m"]["end_s"] is None
    rows += [row("5", "cleo", "span", start_s=0.0, end_s=1.5, saw="4")]
    assert one(*rows) == ("approve", {}, False)
    assert decide(*rows)["m"]["end_s"] == 1.5


def captions(**digests: str) -> pa.Table:
    return pa.table({"media_id": [*digests], "caption_digest": [*digests.values()]})


@pytest.mark.parametrize(
    ("review", "stale"),
    [
        (row("1"), True),
        (edit("1", "x"), True),
        (row("1", verdict="reject"), False),
        (row("1", verdict="flag"), False),
        (row("1", verdict="span", start_s=0.0, end_s=1.0), False),
        (row("1", caption_digest=""), False),
    ],
)
def test_approvals_and_edits_of_changed_texts_are_stale(review, stale):
    assert decide(review, captions=captions(m="other"))["m"]["stale"] is stale
    assert decide(review, captions=captions(m=SEEN))["m"]["stale"] is False
    texts = dict(zip(("short", "medium", "text"), TEXTS, strict=True))
    same, changed = ([{"media_id": "m", **texts, "text": text}] for text in (TEXTS[2], "A dog."))
    assert decide(review, captions=pa.Table.from_pylist(same))["m"]["stale"] is False
    assert decide(review, captions=pa.Table.from_pylist(changed))["m"]["stale"] is stale


def test_an_edit_of_an_older_caption_does_not_come_back_with_an_approval_of_the_new_one():
    rows = (edit("1", "x"), row("2", saw="1", caption_digest="new"))
    assert one(*rows) == ("approve", {}, False)
    assert decide(*rows, captions=captions(m="new"))["m"]["stale"] is False


def test_comparisons_decide_nothing():
    assert decide(row("1", verdict="compare", other_version="v2", choice="left")) == {}


def test_the_order_of_rows_counts_and_not_their_times():
    assert one(edit("1", "x", at="2026-02-01"), edit("2", "y", saw="1", at="2026-01-01"))[1] == {"text": "y"}


def test_the_view_of_reviews_has_each_once_in_order(tmp_path):
    dataset = Dataset.create(tmp_path / "d")
    rows = [edit("1", "x"), edit("2", "y", saw="1")]
    for part in ([*rows], [rows[1], row("3", "bob", media_id="n")]):
        dataset = dataset.commit(Commit(stage="review", added=(dataset.write_records("reviews", part),)))
    view = LiveView(dataset)
    assert view.reviews["review_id"].to_pylist() == ["1", "2", "3"]
    assert {*decide_table(view.reviews)} == {"m", "n"}
    later = dataset.commit(
        Commit(stage="review", added=(dataset.write_records("reviews", [replace(rows[0], review_id="4")]),))
    )
    assert view.advanced_to(later).read("reviews", ["review_id"])["review_id"].to_pylist() == [*"1234"]


def decide_table(reviews: pa.Table) -> list[str]:
    return standing_decisions(reviews)["media_id"].to_pylist()
