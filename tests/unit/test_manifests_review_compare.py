"""Blind comparison of two caption versions: pairs, sides, votes."""

import pytest
import reviewed_dataset as made
from reviewed_dataset import new_id, open_desk

from manifests.dataset import Dataset
from manifests.live_view import LiveView
from manifests.records import Choice, Verdict
from manifests.review.facts import dataset_figures
from manifests.review.messages import QueueFilter, ReviewError

BOTH = (made.NEW, made.OLD)
DIFFERENT = {made.media_id(number) for number in range(20) if number % 2 and number != 3}


def vote_on_all(desk, reviewer: str, prefer_new: bool, first_id: int) -> list[str]:
    """Vote on all pairs; return the side on which the new version was."""
    sides = []
    while pair := desk.compare_next(*BOTH, reviewer=reviewer):
        new_is_left = "red" in pair.left["dense"]
        assert ("red" in pair.right["dense"]) is not new_is_left
        assert pair == desk.compare_next(*BOTH, reviewer=reviewer)  # the same sides when it is asked again
        sides.append("left" if new_is_left else "right")
        choice = Choice.LEFT if new_is_left is prefer_new else Choice.RIGHT
        desk.compare_vote(pair.pair_id, choice, review_id=new_id(first_id + len(sides)), reviewer=reviewer)
    return sides


def test_each_reviewer_votes_on_each_difference_once(uri, tmp_path):
    with open_desk(uri, tmp_path) as desk:
        sides = vote_on_all(desk, "ann", True, 0)
        assert len(sides) == len(DIFFERENT) == 9
        votes = desk.compare_votes(*BOTH)
        assert (votes.wins, votes.losses, votes.ties, votes.total) == (9, 0, 0, 9)
        assert votes.left_chosen == sides.count("left")
        others = vote_on_all(desk, "bob", False, 100) + vote_on_all(desk, "cleo", False, 200)
        assert {*sides, *others} == {"left", "right"}
        reverse = desk.compare_votes(*reversed(BOTH))
        assert (reverse.wins, reverse.losses) == (18, 9)
    rows = made.committed_reviews(uri)
    assert {row.verdict for row in rows} == {Verdict.COMPARE}
    assert {row.media_id for row in rows} == DIFFERENT
    for row in rows:
        assert {row.caption_version, row.other_version} == {*BOTH}
        chosen = row.caption_version if row.choice == "left" else row.other_version
        assert chosen == (made.NEW if row.reviewer == "ann" else made.OLD)
    with open_desk(uri, tmp_path) as desk:  # as read from the dataset
        assert desk.compare_votes(*BOTH).wins == 9
        assert desk.compare_next(*BOTH, reviewer="ann") is None
        assert desk.strata()[0].reviewed == 0


def test_neither_side_nor_id_tells_the_version(uri, tmp_path):
    with open_desk(uri, tmp_path) as desk:
        pair = desk.compare_next(*BOTH, reviewer="ann")
        assert not {*BOTH} & {*repr(pair).replace("'", " ").split()}
        assert made.NEW not in repr(pair)
        assert made.OLD not in repr(pair)


def test_a_vote_is_recorded_once_and_can_be_changed(uri, tmp_path):
    with open_desk(uri, tmp_path) as desk:
        pair = desk.compare_next(*BOTH, reviewer="ann")
        assert pair is not None
        sent = {"review_id": new_id(1), "reviewer": "ann"}
        assert not desk.compare_vote(pair.pair_id, Choice.TIE, **sent).repeated
        assert desk.compare_vote(pair.pair_id, Choice.TIE, **sent).repeated
        with pytest.raises(ReviewError, match="another decision has this id"):
            desk.compare_vote(pair.pair_id, Choice.LEFT, **sent)
        assert desk.compare_votes(*BOTH).ties == 1
        desk.compare_vote(pair.pair_id, Choice.LEFT, review_id=new_id(2), reviewer="ann")
        votes = desk.compare_votes(*BOTH)
        assert (votes.ties, votes.wins + votes.losses, votes.left_chosen) == (0, 1, 1)
        with pytest.raises(ReviewError, match="was not shown to this reviewer"):
            desk.compare_vote(pair.pair_id, Choice.LEFT, review_id=new_id(3), reviewer="bob")


def test_a_vote_can_be_undone_and_redone(uri, tmp_path):
    with open_desk(uri, tmp_path) as desk:

        def counts() -> tuple[int, int]:
            votes = desk.compare_votes(*BOTH)
            return votes.wins + votes.losses, votes.ties

        pair = desk.compare_next(*BOTH, reviewer="ann")
        assert pair is not None
        for number, choice in enumerate((Choice.TIE, Choice.LEFT), 1):
            desk.compare_vote(pair.pair_id, choice, review_id=new_id(number), reviewer="ann")
        desk.decide(made.request(desk, pair.media_id, "approve", reviewer="bob", id=3))
        desk.undo(new_id(2), review_id=new_id(4), reviewer="ann")
        assert counts() == (0, 1)  # the vote before it counts again
        desk.undo(new_id(1), review_id=new_id(5), reviewer="ann")
        assert counts() == (0, 0)
        assert desk.compare_next(*BOTH, reviewer="ann") == pair
        desk.undo(new_id(4), review_id=new_id(6), reviewer="ann")
        assert counts() == (1, 0)
        with pytest.raises(ReviewError, match="only they can undo it"):
            desk.undo(new_id(2), review_id=new_id(7), reviewer="bob")
        assert desk.card(pair.media_id, reviewer="ann").decision.verdict == "approve"
    with open_desk(uri, tmp_path / "again") as desk:  # as read from the dataset
        assert counts() == (1, 0)
    [comparison] = dataset_figures(LiveView(Dataset.open(uri))).comparisons
    assert comparison.win_rate.rate in (0.0, 1.0)


def test_a_filter_narrows_the_pairs_and_bad_versions_are_named(uri, tmp_path):
    with open_desk(uri, tmp_path) as desk:
        pair = desk.compare_next(*BOTH, reviewer="ann", filter=QueueFilter(search='"number 7"'))
        assert pair is not None
        assert pair.media_id == made.media_id(7)
        assert desk.versions() == BOTH
        with pytest.raises(ReviewError, match="no caption version 'third'; there are new-captions"):
            desk.compare_next(made.NEW, "third", reviewer="ann")
        with pytest.raises(ReviewError, match="two different versions"):
            desk.compare_votes(made.NEW, made.NEW)
