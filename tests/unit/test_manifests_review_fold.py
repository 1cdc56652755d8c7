"""One media at a time decides as the table does for all, on random histories."""

from random import Random

import pyarrow as pa
import pytest

from manifests.records import LENGTH_COLUMNS, Review, Verdict
from manifests.review.decisions import standing_decisions
from manifests.review.fold import current_reviewers, fold, withdrawn_ids
from manifests.schemas import to_table

DIGESTS = ("", "one", "two")


def history(random: Random, media: int) -> list[Review]:
    """Return random rows on some media: several reviewers, blind or not, stale, withdrawn, in actions."""
    rows: list[Review] = []
    for number in range(random.randint(0, 9 * media)):
        mine = [row for row in rows if row.verdict is not Verdict.WITHDRAW]
        if rows and random.random() < 0.2:
            target = random.choice(rows)
            withdraws = target.action if target.action and random.random() < 0.5 else target.review_id
            values = {"verdict": Verdict.WITHDRAW, "withdraws": withdraws, "media_id": ""}
        else:
            media_id = f"m{random.randrange(media)}"
            seen = [row.review_id for row in mine if row.media_id == media_id]
            verdict = random.choice([*Verdict][:5])
            values = {
                "media_id": media_id,
                "verdict": verdict,
                "saw": random.choice(["", *seen[-2:], *seen[-1:] * 3]),
                "blind": random.random() < 0.3,
                "caption_digest": random.choice(DIGESTS),
                "action": random.choice(["", "", "act1", "act2"]),
                "reason": random.choice(["", "r1", "r2"]),
            }
            if verdict is Verdict.EDIT:
                values |= {"length": random.choice([*LENGTH_COLUMNS]), "new_text": random.choice(["x", "y"])}
            if verdict is Verdict.SPAN:
                values |= {"start_s": 0.0, "end_s": random.choice([1.0, 2.0])}
        reviewer = random.choice(["ann", "bob", "cleo"])
        rows.append(Review(review_id=f"r{number}", clip_id="c", reviewer=reviewer, at="", **values))
    return rows


@pytest.mark.parametrize("first", range(0, 60, 20))
def test_one_media_decides_as_the_table(first):
    for seed in range(first, first + 20):
        random = Random(seed)
        rows = history(random, 4)
        current = {f"m{number}": random.choice(DIGESTS[1:]) for number in range(4)}
        captions = {"media_id": [*current], "caption_digest": [*current.values()]}
        found = standing_decisions(to_table(Review, rows), pa.table(captions)).to_pylist()
        withdrawn = withdrawn_ids(row for row in rows if row.verdict is Verdict.WITHDRAW)
        decided = {}
        for media_id, digest in current.items():
            decision = fold([row for row in rows if row.media_id == media_id], withdrawn, digest)
            if decision.newest:
                decided[media_id] = decision
        assert {row["media_id"] for row in found} == {*decided}, seed
        for row in found:
            decision = decided[row["media_id"]]
            texts = {
                length: row[column] for length, column in LENGTH_COLUMNS.items() if row[column] is not None
            }
            assert texts == decision.texts, (seed, row)
            assert (row["verdict"] or "") == decision.verdict, (seed, row)
            for name in ("reason", "note", "start_s", "end_s", "disagreement", "stale", "newest"):
                assert row[name] == getattr(decision, name), (seed, name, row)
            assert row["reviewers"] == [*decision.reviewers]


def test_a_reviewer_whose_approval_is_of_another_caption_does_not_count():
    rows = [
        Review(
            review_id=f"{index}",
            clip_id="c",
            media_id="m",
            reviewer=name,
            at="",
            verdict=verdict,
            caption_digest=seen,
        )
        for index, (name, verdict, seen) in enumerate(
            [
                ("ann", Verdict.APPROVE, "old"),
                ("bob", Verdict.REJECT, "old"),
                ("cleo", Verdict.EDIT, "new"),
                ("dan", Verdict.APPROVE, ""),
            ]
        )
    ]
    assert [*current_reviewers(rows, set(), "new")] == ["bob", "cleo", "dan"]
