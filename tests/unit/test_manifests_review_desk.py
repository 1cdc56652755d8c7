"""What a reviewer can do at the desk: queues, cards, decisions, conflicts, undo, blind reviews."""

import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import reviewed_dataset as made
from reviewed_dataset import NEVER, TWO, M, edit, new_id, open_desk, request, texts_of

from manifests.dataset import Commit, Dataset, DatasetError
from manifests.live_view import LiveView
from manifests.records import Review, Verdict, caption_digest
from manifests.review import queue, record, search, store
from manifests.review.config import ReviewConfig
from manifests.review.decisions import standing_decisions
from manifests.review.desk import ReviewDesk
from manifests.review.messages import (
    BulkEdit,
    ConfirmNeeded,
    Conflict,
    DecisionRequest,
    QueueFilter,
    ReviewError,
    Saved,
)


def decide(desk: ReviewDesk, *args, **fields) -> Saved:
    saved = desk.decide(request(desk, *args, **fields))
    assert isinstance(saved, Saved)
    return saved


def sizes(desk: ReviewDesk) -> dict[str, tuple[int, int]]:
    return {each.name: (each.size, each.reviewed) for each in desk.strata()}


# Queues


def test_strata_have_sizes_and_reviewed_counts(uri, tmp_path):
    with open_desk(uri, tmp_path) as desk:
        expected = {
            "all": (20, 0),
            "outcome": (1, 0),
            "band": (1, 0),
            "changed": (9, 0),
            "bucket:16-9 video": (15, 0),
            "bucket:9-16 video": (5, 0),
        }
        assert sizes(desk) == expected
        decide(desk, M[5], "approve")
        assert sizes(desk) == expected | {
            "all": (20, 1),
            "band": (1, 1),
            "changed": (9, 1),
            "bucket:16-9 video": (15, 1),
        }
        decide(desk, M[5], "flag", id=2)
        assert sizes(desk)["flagged"] == (1, 0)


def test_an_item_says_why_it_is_in_the_queue(uri, tmp_path):
    with open_desk(uri, tmp_path) as desk:
        (band,) = desk.queue(QueueFilter(stratum="band"), reviewer="ann").items
        assert band.media_id == M[5]
        assert band.reasons[0] == "to be checked: nsfw 0.4 > 0.3"
        (failed,) = desk.queue(QueueFilter(stratum="outcome"), reviewer="ann").items
        assert failed.reasons == ("the newest attempt gave no caption: refused; an older caption counts",)
        assert failed.text == made.text(3, made.OLD)


def test_a_queue_is_paged_from_anywhere_in_a_stable_order(uri, tmp_path):
    with open_desk(uri, tmp_path) as desk:
        whole = desk.queue(QueueFilter(), reviewer="ann")
        order = [item.media_id for item in whole.items]
        assert sorted(order) == M != order
        assert [item.position for item in whole.items] == [*range(20)]
        for seed in (None, 1, 2):
            queue = QueueFilter(seed=seed)
            seeded = [item.media_id for item in desk.queue(queue, reviewer="ann").items]
            assert sorted(seeded) == M
            for offset, limit in ((0, 7), (7, 7), (14, 7), (19, 5)):
                page = desk.queue(queue, reviewer="ann", offset=offset, limit=limit)
                assert [item.media_id for item in page.items] == seeded[offset : offset + limit]
            (last,) = desk.queue(queue, reviewer="ann", offset=-1).items
            assert (last.media_id, last.position) == (seeded[-1], 19)
        assert seeded != order
    with open_desk(uri, tmp_path) as desk:
        assert [item.media_id for item in desk.queue(QueueFilter(), reviewer="bob").items] == order


def test_an_empty_queue_says_so(uri, tmp_path):
    with open_desk(uri, tmp_path) as desk:
        page = desk.queue(QueueFilter(search="zebra"), reviewer="ann")
        assert (page.total, page.items, page.empty_because) == (
            0,
            (),
            "no clip of this queue matches (search)",
        )
        page = desk.queue(QueueFilter(), reviewer="ann", offset=40)
        assert "position 40 is behind the last one" in page.empty_because
        assert "no clip is in" in desk.queue(QueueFilter(stratum="near"), reviewer="ann").empty_because


@pytest.mark.parametrize(
    ("filter", "message"),
    [
        (QueueFilter(stratum="nonsense"), "there is no stratum 'nonsense'; there are all, band,"),
        (QueueFilter(where="COPY media TO '/tmp/x'"), "where: the statement cannot be parsed"),
        (
            QueueFilter(where="media_id IN (SELECT filename FROM read_text('/etc/passwd'))"),
            "read_text is not",
        ),
        (
            QueueFilter(where="true) UNION SELECT content FROM read_text('/etc/hosts') WHERE (true"),
            "read_text",
        ),
        (QueueFilter(where="nonsense > 1"), "where: .*nonsense"),
        (QueueFilter(search="()"), "holds no word"),
        (QueueFilter(state="closed"), "use all, open or done"),  # type: ignore[arg-type]
    ],
)
def test_a_filter_that_is_not_understood_says_why(uri, tmp_path, filter, message):
    with open_desk(uri, tmp_path) as desk, pytest.raises(ReviewError, match=message):
        desk.queue(filter, reviewer="ann")


def test_filters_combine(uri, tmp_path):
    with open_desk(uri, tmp_path) as desk:
        decide(desk, M[7], "approve")

        def found(**fields) -> set[str]:
            return {item.media_id for item in desk.queue(QueueFilter(**fields), reviewer="ann").items}

        assert found(where="width = 360") == {*M[15:]}
        assert found(where="width = 360", stratum="changed") == {M[15], M[17], M[19]}
        assert found(where="motion < 0.03", state="open") == {*M[:3]}
        assert found(where="motion BETWEEN 0.06 AND 0.09") == {*M[6:9]}
        assert found(where="motion BETWEEN 0.06 AND 0.09", state="open") == {M[6], M[8]}
        assert found(state="done") == found(reviewer="ann") == {M[7]}
        assert found(search="number 7") == {M[7]}
        assert found(search='"7 rolls"') == {M[7]}
        assert found(search='"rolls 7"') == set()
        assert found(search="roll*", where="width = 360") == {*M[15:]}


def test_search_finds_texts_as_they_stand_now(uri, tmp_path):
    with open_desk(uri, tmp_path) as desk:
        assert desk.search("zebra", reviewer="ann").total == 0
        assert isinstance(desk.decide(edit(desk, M[4], "A zebra runs.")), Saved)
        assert [item.media_id for item in desk.search("zebra", reviewer="ann").items] == [M[4]]
        assert M[4] not in {item.media_id for item in desk.search("red", reviewer="ann").items}
        desk.undo(new_id(1), review_id=new_id(2), reviewer="ann")
        assert desk.search("zebra", reviewer="ann").total == 0
        for hostile in ('"', "a AND", "NEAR(", "col: x", "^red", "-", "'; DROP TABLE texts"):
            try:
                desk.search(hostile, reviewer="ann")
            except ReviewError as error:
                assert "search" in str(error)  # noqa: PT017


def test_a_search_with_very_many_matches_is_not_counted_to_the_end(uri, tmp_path, monkeypatch):
    with open_desk(uri, tmp_path) as desk:
        exact = desk.search("ball", reviewer="ann")
        assert (exact.total, exact.total_is_exact) == (20, True)
        monkeypatch.setattr(queue, "COUNTED", 8)
        page = desk.search("ball", reviewer="ann", limit=5)
        assert (page.total, page.total_is_exact, page.items) == (20, True, exact.items[:5])
        assert desk.search("ball", reviewer="ann", offset=-3, limit=5).items == exact.items[-3:]
        part = QueueFilter(search="ball", state="open")
        page = desk.queue(part, reviewer="ann", limit=5)
        assert (page.total, page.total_is_exact, page.items) == (8, False, exact.items[:5])
        assert desk.queue(part, reviewer="ann", offset=5, limit=3).items == exact.items[5:8]
        narrow = desk.queue(QueueFilter(search="ball", where="width = 360"), reviewer="ann", limit=3)
        assert (narrow.total, narrow.total_is_exact) == (5, True)
        assert desk.next(QueueFilter(search="ball"), reviewer="ann") is not None
        with pytest.raises(ReviewError, match="matches more than 8 clips"):
            desk.queue(part, reviewer="ann", offset=-1, limit=1)


def test_every_way_to_search_finds_the_same(uri, tmp_path, monkeypatch):
    filters = [
        QueueFilter(search="ball"),
        QueueFilter(search="ball", state="open"),
        QueueFilter(search='"number 1"'),
        QueueFilter(search="numb* red", stratum="changed"),
        QueueFilter(search="red", where="width = 360"),
        QueueFilter(search="ball", reviewer="ann"),
    ]
    found: dict[str, list] = {}
    with open_desk(uri, tmp_path) as desk:
        for number in (2, 5, 9, 12):
            decide(desk, M[number], "approve", id=number)
        for way in ("_DRIVE_US", "_LIST_US", "_PROBE_US"):
            with monkeypatch.context() as patch:
                for name in ("_DRIVE_US", "_LIST_US", "_PROBE_US"):
                    patch.setattr(search, name, 1e-9 if name == way else 1e9)
                for filter in filters:
                    pages = [
                        desk.queue(filter, reviewer="ann", offset=offset, limit=4) for offset in (0, 3, -4)
                    ]
                    card = desk.next(filter, reviewer="bob")
                    wanted = [page.items for page in pages], pages[0].total, card and card.item.media_id
                    found.setdefault(way, []).append(wanted)
                    desk.release(card.item.media_id, reviewer="bob") if card else None
    assert found["_DRIVE_US"] == found["_LIST_US"] == found["_PROBE_US"]
    assert [total for _, total, _ in found["_LIST_US"]] == [20, 16, 1, 9, 5, 4]


# Leases and assignment


def test_two_people_do_not_get_the_same_clip(uri, tmp_path):
    with open_desk(uri, tmp_path) as desk:
        first = desk.next(QueueFilter(), reviewer="ann")
        second = desk.next(QueueFilter(), reviewer="bob")
        assert first is not None
        assert second is not None
        assert first.item.media_id != second.item.media_id
        assert first.lease_s == NEVER.lease_s
        assert desk.card(first.item.media_id, reviewer="bob").lease_s == 0
        assert desk.card(first.item.media_id, reviewer="bob").item.held_by == "ann"
        desk.release(first.item.media_id, reviewer="ann")
        assert desk.card(first.item.media_id, reviewer="bob").lease_s > 0


def test_next_goes_through_the_queue_and_ends(uri, tmp_path):
    with open_desk(uri, tmp_path) as desk:
        order = [item.media_id for item in desk.queue(QueueFilter(), reviewer="ann").items]
        seen, after = [], ""
        while card := desk.next(QueueFilter(), reviewer="ann", after=after):
            after = card.item.media_id
            seen.append(after)
            decide(desk, after, "approve", id=len(seen))
        assert seen == order
        assert desk.next(QueueFilter(), reviewer="bob") is None


def test_next_comes_back_to_what_was_skipped(uri, tmp_path):
    with open_desk(uri, tmp_path) as desk:
        order = [item.media_id for item in desk.queue(QueueFilter(), reviewer="ann").items]
        card = desk.next(QueueFilter(), reviewer="ann", after=order[-2])
        assert card is not None
        assert card.item.media_id == order[-1]
        decide(desk, order[-1], "approve")
        card = desk.next(QueueFilter(), reviewer="ann", after=order[-1])
        assert card is not None
        assert card.item.media_id == order[0]


def test_assigned_clips_are_given_to_their_reviewer_alone(uri, tmp_path):
    with open_desk(uri, tmp_path) as desk:
        assert desk.assign(QueueFilter(stratum="bucket:9-16 video"), reviewer="bob", count=99) == 5
        assert desk.assign(QueueFilter(stratum="bucket:9-16 video"), reviewer="ann", count=1) == 0
        card = desk.next(QueueFilter(), reviewer="bob")
        assert card is not None
        assert card.item.bucket == "9-16 video"
        assert desk.next(QueueFilter(stratum="bucket:9-16 video"), reviewer="ann") is None
        decide(desk, M[15], "approve", reviewer="bob")
        assert desk.unassign(reviewer="bob") == 4
        assert desk.next(QueueFilter(stratum="bucket:9-16 video"), reviewer="ann") is not None


# Decisions


def test_a_decision_is_committed_with_all_that_was_sent(uri, tmp_path):
    with open_desk(uri, tmp_path) as desk:
        saved = desk.decide(edit(desk, M[2], "Neue Wörter 🔴\n'\"", reason="colour", note="see frame 3"))
        assert isinstance(saved, Saved)
        assert saved.decision is not None
        assert saved.decision.texts == {"dense": "Neue Wörter 🔴\n'\""}
        assert desk.figures().uncommitted == 1
        assert made.committed_reviews(uri) == []
        assert desk.flush() == 1
        assert (desk.flush(), desk.figures().uncommitted) == (0, 0)
    (row,) = made.committed_reviews(uri)
    version, digest = made.NEW, caption_digest("Ball 2.", None, made.text(2))
    assert (row.reviewer, row.caption_version, row.caption_digest) == ("ann", version, digest)
    assert (row.verdict, row.length, row.new_text) == (Verdict.EDIT, "dense", "Neue Wörter 🔴\n'\"")
    assert (row.reason, row.note, row.saw, row.blind) == ("colour", "see frame 3", "", False)
    assert (row.clip_id, row.media_id, row.at[-6:]) == ("c002", M[2], "+00:00")


def test_a_decision_that_is_sent_twice_is_recorded_once(uri, tmp_path):
    with open_desk(uri, tmp_path) as desk:
        sent = request(desk, M[2], "approve")
        first, second = desk.decide(sent), desk.decide(sent)
        assert isinstance(second, Saved)
        assert (first.repeated, second.repeated) == (False, True)  # type: ignore[union-attr]
        desk.flush()
        assert desk.decide(sent).repeated  # type: ignore[union-attr]
        with pytest.raises(ReviewError, match="another decision has this id"):
            desk.decide(request(desk, M[2], "reject", reason="r"))
    assert len(made.committed_reviews(uri)) == 1


def test_an_old_tab_does_not_overwrite(uri, tmp_path):
    with open_desk(uri, tmp_path) as desk:
        old = edit(desk, M[2], "from the old tab", id=1)
        assert isinstance(desk.decide(edit(desk, M[2], "newer", reviewer="bob", id=2)), Saved)
        conflict = desk.decide(old)
        assert isinstance(conflict, Conflict)
        assert (conflict.your_text, conflict.their_text) == ("from the old tab", "newer")
        assert conflict.newest is not None
        assert (conflict.newest.reviewer, conflict.saw_now) == ("bob", new_id(2))
        assert texts_of(desk, M[2])["dense"] == "newer"
        again = desk.decide(edit(desk, M[2], "from the old tab", id=1, saw=conflict.saw_now))
        assert isinstance(again, Saved)
        assert texts_of(desk, M[2])["dense"] == "from the old tab"


def test_a_tab_of_a_decision_that_was_undone_does_not_overwrite(uri, tmp_path):
    with open_desk(uri, tmp_path) as desk:
        decide(desk, M[2], "approve")
        old = edit(desk, M[2], "x", id=2)
        desk.undo(new_id(1), review_id=new_id(3), reviewer="ann")
        conflict = desk.decide(old)
        assert isinstance(conflict, Conflict)
        assert (conflict.newest, conflict.saw_now) == (None, "")


def test_an_approval_of_a_caption_that_has_changed_is_a_conflict(uri, tmp_path):
    with open_desk(uri, tmp_path) as desk:
        approval, rejection = request(desk, M[2], "approve"), request(desk, M[4], "reject", reason="r", id=2)
        rows = [made.caption(number, "third", text="Other.") for number in (2, 4)]
        made.commit(Dataset.open(uri), "caption", captions=rows)
        desk.sync()
        conflict = desk.decide(approval)
        assert isinstance(conflict, Conflict)
        assert conflict.caption_changed
        assert isinstance(desk.decide(rejection), Saved)


def test_an_empty_text_over_a_full_one_asks(uri, tmp_path):
    with open_desk(uri, tmp_path) as desk:
        asked = desk.decide(edit(desk, M[2], "  "))
        assert asked == ConfirmNeeded(media_id=M[2], length="dense", text=made.text(2))
        assert desk.figures().uncommitted == 0
        assert isinstance(desk.decide(edit(desk, M[2], "", confirm=True)), Saved)
        assert texts_of(desk, M[2]) == {"short": "Ball 2.", "dense": ""}
        assert isinstance(desk.decide(edit(desk, M[2], "", id=2)), Saved)  # it is empty already


def test_an_edit_names_its_field_and_leaves_all_else(uri, tmp_path):
    before = Dataset.open(uri).read("captions").to_pylist()
    with open_desk(uri, tmp_path) as desk:
        decide(desk, M[2], "span", start_s=0.5, end_s=1.5)
        assert isinstance(desk.decide(edit(desk, M[2], "S", length="short", id=2)), Saved)
        assert isinstance(desk.decide(edit(desk, M[2], "M", length="medium", id=3)), Saved)
        decision = desk.card(M[2], reviewer="ann").decision
        assert (decision.texts, decision.start_s, decision.end_s) == ({"short": "S", "medium": "M"}, 0.5, 1.5)
        assert texts_of(desk, M[2]) == {"short": "S", "medium": "M", "dense": made.text(2)}
    assert Dataset.open(uri).read("captions").to_pylist() == before


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"verdict": "edit", "new_text": "x"}, "an edit names its text"),
        ({"verdict": "edit", "length": "dense"}, "new_text: is missing"),
        ({"verdict": "edit", "length": "dense", "new_text": "x" * 20_001}, "at most 20000"),
        ({"verdict": "edit", "length": "dense", "new_text": "\ud800"}, "is not text"),
        ({"verdict": "edit", "length": "dense", "new_text": "a\0b"}, "NUL"),
        ({"verdict": "approve", "new_text": "x"}, "only an edit has them"),
        ({"verdict": "reject"}, "reason: is empty"),
        ({"verdict": "span"}, "a span needs both"),
        ({"verdict": "span", "start_s": 1.0, "end_s": 0.5}, "0 <= start_s < end_s <= 2 seconds"),
        ({"verdict": "span", "start_s": 0.0, "end_s": 2.5}, "0 <= start_s < end_s <= 2 seconds"),
        ({"verdict": "span", "start_s": float("nan"), "end_s": 1.0}, "0 <= start_s"),
        ({"verdict": "withdraw"}, "use approve, edit, reject, flag, span"),
        ({"verdict": "approve", "media_id": "../../etc"}, "the dataset has no such media"),
        ({"verdict": "approve", "review_id": "ABC"}, "8 to 64 hexadecimal"),
        ({"verdict": "approve", "reviewer": "\x1b[2J"}, "printable name"),
        ({"verdict": "approve", "reviewer": ""}, "printable name"),
    ],
)
def test_bad_requests_name_the_field(uri, tmp_path, fields, message):
    values = {"review_id": new_id(1), "media_id": M[2], "reviewer": "ann", "saw": ""} | fields
    with open_desk(uri, tmp_path) as desk:
        with pytest.raises(ReviewError, match=message):
            desk.decide(DecisionRequest(**(values | {"verdict": Verdict(values["verdict"])})))
        assert desk.figures().uncommitted == 0


# Undo


def test_undo_and_redo(uri, tmp_path):
    with open_desk(uri, tmp_path) as desk:
        desk.decide(edit(desk, M[2], "x", id=1))
        desk.decide(edit(desk, M[2], "y", id=2))
        desk.undo(new_id(2), review_id=new_id(3), reviewer="ann")
        assert texts_of(desk, M[2])["dense"] == "x"
        desk.undo(new_id(3), review_id=new_id(4), reviewer="ann")
        assert texts_of(desk, M[2])["dense"] == "y"
        assert desk.undo(new_id(3), review_id=new_id(4), reviewer="ann").repeated  # type: ignore[union-attr]
        with pytest.raises(ReviewError, match="is undone already"):
            desk.undo(new_id(3), review_id=new_id(5), reviewer="ann")
        with pytest.raises(ReviewError, match="was decided by ann; only they can undo it"):
            desk.undo(new_id(2), review_id=new_id(5), reviewer="bob")
        with pytest.raises(ReviewError, match="no decision and no action"):
            desk.undo(new_id(99), review_id=new_id(5), reviewer="bob")


def test_undo_after_somebody_elses_decision_is_a_conflict(uri, tmp_path):
    with open_desk(uri, tmp_path) as desk:
        decide(desk, M[2], "approve", id=1)
        desk.decide(edit(desk, M[2], "theirs", reviewer="bob", id=2))
        conflict = desk.undo(new_id(1), review_id=new_id(3), reviewer="ann")
        assert isinstance(conflict, Conflict)
        assert conflict.newest is not None
        assert conflict.newest.review_id == new_id(2)


def test_an_id_is_of_one_decision_or_one_action(uri, tmp_path):
    with open_desk(uri, tmp_path) as desk:
        token = desk.preview_bulk(
            BulkEdit(kind="prefix", filter=QueueFilter(), replacement="Look: "), reviewer="ann"
        ).token
        desk.apply_bulk(token, action=new_id(1), reviewer="ann")
        before = texts_of(desk, M[4])
        assert before["dense"].startswith("Look: ")
        for taken in (
            lambda: decide(desk, M[2], "approve", reviewer="bob", id=1),
            lambda: desk.undo(new_id(1), review_id=new_id(1), reviewer="ann"),
        ):
            with pytest.raises(ReviewError, match="another decision has this id; make a new one"):
                taken()
        decide(desk, M[2], "approve", reviewer="bob", id=2)
        token = desk.preview_bulk(BulkEdit(kind="approve", filter=QueueFilter()), reviewer="bob").token
        with pytest.raises(ReviewError, match=f"action {new_id(2)}: another decision has this id"):
            desk.apply_bulk(token, action=new_id(2), reviewer="bob")
        assert texts_of(desk, M[4]) == before


def test_a_clip_without_any_caption_can_be_judged_but_not_edited(uri, tmp_path):
    dataset = Dataset.open(uri)
    bare = Dataset.create(tmp_path / "bare")
    for table in ("sources", "clips", "selections", "media"):
        part = bare.write_part(table, dataset.read(table).replace_schema_metadata(None))
        bare = bare.commit(Commit(stage="cut", added=(part,)))
    with open_desk(bare.uri, tmp_path) as desk:
        with pytest.raises(ReviewError, match="has no caption to edit; run `kinora caption`"):
            desk.decide(
                DecisionRequest(
                    review_id=new_id(1), media_id=M[2], reviewer="ann", verdict=Verdict.EDIT, saw="",
                    length="dense", new_text="Mine.",
                )
            )  # fmt: skip
        decide(desk, M[2], "reject", reason="blurred", id=2)
        assert desk.card(M[2], reviewer="ann").decision.verdict == "reject"


# Several reviewers


def test_two_reviewers_are_blind_until_both_are_in(uri, tmp_path):
    with open_desk(uri, tmp_path, TWO) as desk:
        desk.decide(edit(desk, M[2], "A zebra.", reviewer="ann", id=1, reason="secret reason"))
        decide(desk, M[2], "flag", reviewer="ann", id=2, reason="secret reason")
        for_bob = desk.card(M[2], reviewer="bob")
        page = desk.queue(QueueFilter(), reviewer="bob")
        (item,) = (item for item in page.items if item.media_id == M[2])
        assert for_bob.blind
        assert (for_bob.saw, for_bob.history, for_bob.decision.verdict) == ("", (), "")
        assert (item.verdict, item.num_reviews, item.text) == ("", 0, made.text(2))
        for shown in (for_bob, item, desk.strata()):
            assert "zebra" not in repr(shown)
            assert "secret" not in repr(shown)
            assert "ann" not in repr(shown).replace("channel", "")
        assert desk.search("zebra", reviewer="bob").total == 0
        assert desk.disagreements() == ()
        own = desk.card(M[2], reviewer="ann")
        assert (own.decision.verdict, own.texts["dense"], len(own.history)) == ("flag", "A zebra.", 2)
        assert isinstance(desk.decide(request(desk, M[2], "approve", reviewer="bob", id=3)), Saved)
        after = desk.card(M[2], reviewer="bob")
        assert not after.blind
        assert len(after.history) == 3
        assert after.decision.disagreement
    assert [row.blind for row in made.committed_reviews(uri)] == [True, True, True]


def test_each_clip_is_given_to_two_and_no_more(uri, tmp_path):
    with open_desk(uri, tmp_path, TWO) as desk:
        cards = [desk.next(QueueFilter(stratum="band"), reviewer=name) for name in ("ann", "bob", "cleo")]
        assert [card.item.media_id if card else None for card in cards] == [M[5], M[5], None]
        decide(desk, M[5], "approve", reviewer="ann", id=1)
        assert desk.next(QueueFilter(stratum="band"), reviewer="ann") is None
        assert sizes(desk)["band"] == (1, 0)
        decide(desk, M[5], "approve", reviewer="bob", id=2)
        assert sizes(desk)["band"] == (1, 1)


def test_a_disagreement_is_settled_by_one_choice(uri, tmp_path):
    with open_desk(uri, tmp_path, TWO) as desk:
        desk.decide(edit(desk, M[2], "Ann's.", reviewer="ann", id=1))
        desk.decide(edit(desk, M[2], "S.", length="short", reviewer="ann", id=2))
        desk.decide(edit(desk, M[2], "Bob's.", reviewer="bob", id=3))
        (found,) = desk.disagreements()
        assert [(side.reviewer, side.verdict, side.texts) for side in found.sides] == [
            ("ann", "edit", {"dense": "Ann's.", "short": "S."}),
            ("bob", "edit", {"dense": "Bob's."}),
        ]
        assert found.caption == {"short": "Ball 2.", "dense": made.text(2)}
        assert sizes(desk)["disagreement"] == (1, 0)
        stale = desk.adjudicate(M[2], 0, saw=new_id(1), review_id=new_id(9), reviewer="cleo")
        assert isinstance(stale, Conflict)
        saved = desk.adjudicate(M[2], 0, saw=found.saw, review_id=new_id(4), reviewer="cleo")
        assert isinstance(saved, Saved)
        assert texts_of(desk, M[2]) == {"short": "S.", "dense": "Ann's."}
        assert "disagreement" not in sizes(desk)
        assert desk.adjudicate(M[2], 0, saw=found.saw, review_id=new_id(4), reviewer="cleo").repeated  # type: ignore[union-attr]
        desk.undo(new_id(4), review_id=new_id(5), reviewer="cleo")
        assert sizes(desk)["disagreement"] == (1, 0)
        desk.adjudicate(M[2], 1, saw=found.saw, review_id=new_id(6), reviewer="ann")
        assert texts_of(desk, M[2]) == {"short": "Ball 2.", "dense": "Bob's."}


def test_a_review_of_a_changed_caption_is_open_again(uri, tmp_path):
    with open_desk(uri, tmp_path) as desk:
        desk.decide(edit(desk, M[2], "x", id=1))
        decide(desk, M[4], "reject", reason="r", id=2)
        rows = [made.caption(number, "third", text="Other.") for number in (2, 4)]
        made.commit(Dataset.open(uri), "caption", captions=rows)
        desk.sync()
        card = desk.card(M[2], reviewer="ann")
        assert (card.decision.stale, card.texts["dense"], card.caption_version) == (True, "Other.", "third")
        assert "its caption has changed since it was reviewed" in card.item.reasons
        assert sizes(desk)["all"] == (20, 1)
        assert desk.figures().stale == 1
        assert desk.card(M[4], reviewer="ann").decision.verdict == "reject"
        decide(desk, M[2], "approve", id=3)
        assert sizes(desk)["all"] == (20, 2)
        assert texts_of(desk, M[2])["dense"] == "Other."


# Cards


def test_a_card_shows_versions_scores_neighbours_and_frames(uri, tmp_path):
    with open_desk(uri, tmp_path) as desk:
        card = desk.card(M[3], reviewer="ann")
        new, old = card.captions
        assert (new.version, new.outcome, new.texts, new.detail, new.counts) == (
            made.NEW,
            "refused",
            {},
            "no",
            False,
        )
        assert (old.version, old.counts, old.frames_shown) == (made.OLD, True, (0, 3))
        assert card.scores["motion"] == pytest.approx(0.035)
        assert (card.source_uri, card.start_s, card.end_s) == ("/videos/b.mp4", 6.0, 8.0)
        assert [(each.relation, each.clip_id) for each in card.neighbours] == [
            ("before", "c001"),
            ("after", "c005"),
        ]
        copies = [each for each in desk.card(M[1], reviewer="ann").neighbours if each.relation == "near"]
        assert [(each.clip_id, each.kept) for each in copies] == [("c099", False)]
        with pytest.raises(ReviewError, match="no such media"):
            desk.card("../m003", reviewer="ann")


# The database


def test_the_database_is_kept_and_rebuilt_when_the_dataset_is_another_one(uri, tmp_path, monkeypatch):
    built = []
    build = store.ReviewStore._build
    monkeypatch.setattr(
        store.ReviewStore, "_build", lambda self, dataset: (built.append(1), build(self, dataset))[1]
    )
    with open_desk(uri, tmp_path) as desk:
        decide(desk, M[2], "reject", reason="r")
    with open_desk(uri, tmp_path) as desk:
        assert sizes(desk)["all"] == (20, 1)
    assert len(built) == 1
    other = tmp_path / "other"
    made.make(other, count=4)
    with open_desk(str(other), tmp_path) as desk:
        assert sizes(desk)["all"] == (4, 0)
    assert len(built) == 2
    (tmp_path / "state" / "index.sqlite").write_bytes(b"no database" * 1000)
    with open_desk(uri, tmp_path) as desk:
        assert desk.card(M[2], reviewer="ann").decision.verdict == "reject"
    assert len(built) == 3


def test_new_clips_and_dropped_ones_follow_the_dataset(uri, tmp_path):
    with open_desk(uri, tmp_path) as desk:
        decide(desk, M[1], "reject", reason="r")
        dataset = Dataset.open(uri)
        dropped = made.Selection(clip_id="c002", kept=False, reason="dark", detail="", rules="r")
        kept = made.Selection(clip_id="c020", kept=True, reason="kept", detail="", rules="r")
        sources = [made.source("a", 21)]
        table = [made.clip(number) for number in range(0, 21, 2)]
        made.commit(dataset, "analyze", sources=sources, clips=table, selections=[dropped, kept])
        made.commit(Dataset.open(uri), "cut", media=[made.media(20)])
        desk.sync()
        assert sizes(desk)["all"] == (20, 1)
        found = {item.media_id for item in desk.queue(QueueFilter(), reviewer="ann").items}
        assert found == {*M, made.media_id(20)} - {M[2]}
        with pytest.raises(ReviewError, match="its clip was dropped"):
            desk.card(M[2], reviewer="ann")
        assert desk.search('"number 2 rolls"', reviewer="ann").total == 0


def test_columns_of_agreement_and_claims_become_strata(uri, tmp_path):
    rows = made.to_table(made.Caption, [made.caption(number, "third") for number in range(4)])
    rows = rows.append_column("agreement", made.pa.array([0.9, 0.2, 0.5, None]))
    rows = rows.append_column("unsupported", made.pa.array([0, 1, 3, None], made.pa.int64()))
    rows = rows.append_column("claims", made.pa.array(["a", "b", "c", None]))
    made.commit(Dataset.open(uri), "caption", captions=rows)
    with open_desk(uri, tmp_path) as desk:

        def queue(stratum: str) -> list[str]:
            return [item.media_id for item in desk.queue(QueueFilter(stratum=stratum), reviewer="ann").items]

        assert queue("agreement") == [M[1], M[2], M[0]]
        assert queue("unsupported") == [M[2], M[1]]
        card = desk.card(M[2], reviewer="ann")
        assert card.item.reasons[-2:] == ("agreement with its clip 0.50", "unsupported claims: 3")
        assert not any("agreement" in reason for reason in desk.card(M[0], reviewer="ann").item.reasons)
        assert card.captions[0].extra == {"agreement": 0.5, "unsupported": 3, "claims": "c"}


def test_parts_and_what_is_heard_are_shown_where_a_caption_has_them(uri, tmp_path):
    parts = '{"subjects": ["a red ball"]}'
    rows = [made.caption(0, "third", parts=parts, heard="A voice counts."), made.caption(1, "third")]
    made.commit(Dataset.open(uri), "caption", captions=made.to_table(made.Caption, rows))
    with open_desk(uri, tmp_path) as desk:
        cards = [desk.card(M[number], reviewer="ann") for number in range(2)]
    extras = [{each.version: each.extra for each in card.captions}["third"] for card in cards]
    assert extras == [{"parts": parts, "heard": "A voice counts."}, {}]


def test_one_process_reviews_a_dataset_at_a_time(uri, tmp_path):
    with open_desk(uri, tmp_path):
        with pytest.raises(DatasetError, match="another process uses this state folder"):
            open_desk(uri, tmp_path)
        with pytest.raises(DatasetError, match=r"process \d+ on .* has the reviews of this dataset open"):
            ReviewDesk(uri, tmp_path / "other", config=NEVER)
    with open_desk(uri, tmp_path):
        pass


def test_reviews_of_other_writers_count(uri, tmp_path):
    with open_desk(uri, tmp_path) as desk:
        row = Review(
            review_id=new_id(7),
            clip_id="c002",
            media_id=M[2],
            reviewer="zoe",
            at="2026",
            verdict=Verdict.REJECT,
        )
        decide(desk, M[4], "approve")
        made.commit(Dataset.open(uri), "review", reviews=[row])
        assert desk.flush() == 1
        assert desk.card(M[2], reviewer="ann").decision.verdict == "reject"
    assert [each.review_id for each in made.committed_reviews(uri)] == [new_id(7), new_id(1)]


# Faults


def test_a_clock_that_goes_back_changes_no_order(uri, tmp_path, monkeypatch):
    times = iter(["2026-01-03", "2026-01-02", "2026-01-01"])
    monkeypatch.setattr(record, "now", lambda: next(times))
    with open_desk(uri, tmp_path) as desk:
        for number, text in enumerate(("one", "two", "three"), 1):
            assert isinstance(desk.decide(edit(desk, M[2], text, id=number)), Saved)
        assert texts_of(desk, M[2])["dense"] == "three"
    with open_desk(uri, tmp_path) as desk:
        assert texts_of(desk, M[2])["dense"] == "three"
    found = standing_decisions(LiveView(Dataset.open(uri)).reviews).to_pylist()
    assert [row["text"] for row in found] == ["three"]


def test_a_part_that_is_gone_costs_the_scores_alone(uri, tmp_path):
    with open_desk(uri, tmp_path) as desk:
        for path in (tmp_path / "d" / "clips").iterdir():
            path.unlink()
        card = desk.card(M[2], reviewer="ann")
        assert "is missing or damaged" in card.problem
        assert (card.scores, card.texts["dense"]) == ({}, made.text(2))
        assert isinstance(desk.decide(edit(desk, M[2], "x")), Saved)


def test_a_damaged_part_is_named_when_the_database_is_built(uri, tmp_path):
    (path,) = (tmp_path / "d" / "media").glob("*.parquet")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DatasetError, match=f"{path.name}: is missing or damaged"):
        open_desk(uri, tmp_path)
    with pytest.raises(DatasetError, match="is missing or damaged"):
        open_desk(uri, tmp_path)  # both locks were released


def test_a_commit_that_fails_leaves_the_decisions_in_the_journal(uri, tmp_path, monkeypatch):
    with open_desk(uri, tmp_path) as desk:
        decide(desk, M[2], "approve")

        def fail(*_: object, **__: object) -> None:
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(Dataset, "write_records", fail)
            with pytest.raises(OSError, match="No space left"):
                desk.flush()
        assert desk.figures().uncommitted == 1
        decide(desk, M[4], "approve", id=2)
        assert desk.flush() == 2
    assert len(made.committed_reviews(uri)) == 2


def test_a_database_that_cannot_be_written_loses_no_decision(uri, tmp_path, monkeypatch):
    with open_desk(uri, tmp_path) as desk:
        sent = request(desk, M[2], "approve")

        def fail(*_: object) -> None:
            raise sqlite3.OperationalError("database or disk is full")

        with monkeypatch.context() as patch:
            patch.setattr(store, "refresh", fail)
            with pytest.raises(OSError, match=r"cannot be written .*decisions are safe"):
                desk.decide(sent)
        assert desk.figures().uncommitted == 1
        again = desk.decide(sent)
        assert isinstance(again, Saved)
        assert again.repeated
        assert sizes(desk)["all"] == (20, 1)
    assert len(made.committed_reviews(uri)) == 1


def test_decisions_are_committed_in_the_background(uri, tmp_path):
    with open_desk(uri, tmp_path, ReviewConfig(commit_every_s=0.05)) as desk:
        decide(desk, M[2], "approve")
        for _ in range(600):
            if made.committed_reviews(uri):
                break
            time.sleep(0.05)
        assert len(made.committed_reviews(uri)) == 1
        assert desk.figures().problem == ""


def test_many_threads_decide_at_once(uri, tmp_path):
    with open_desk(uri, tmp_path, ReviewConfig(commit_every_s=0.05, commit_every=5)) as desk:

        def work(reviewer: str) -> int:
            count = 0
            while card := desk.next(QueueFilter(), reviewer=reviewer):
                count += 1
                number = int(card.item.media_id[1:]) + 1
                saved = desk.decide(
                    request(desk, card.item.media_id, "approve", reviewer=reviewer, id=number)
                )
                assert isinstance(saved, Saved)
            return count

        with ThreadPoolExecutor(4) as threads:
            counts = [*threads.map(work, ("ann", "bob", "cleo", "dan"))]
        assert sum(counts) == 20
    assert sorted(row.media_id for row in made.committed_reviews(uri)) == M


def test_a_desk_on_s3(s3_uri, tmp_path):
    made.make(s3_uri, count=4)
    with open_desk(s3_uri, tmp_path) as desk, ReviewDesk(s3_uri, tmp_path / "two", config=NEVER) as other:
        decide(desk, M[1], "approve")
        late = request(other, M[1], "reject", reason="r", reviewer="bob", id=2, saw="")
        conflict = other.decide(late)  # sees the object of the first server
        assert isinstance(conflict, Conflict)
        assert conflict.saw_now == new_id(1)
        assert desk.flush() == 1
        conflict = other.decide(late)  # and its commit, now that the object is gone
        assert isinstance(conflict, Conflict)
        decide(other, M[2], "approve", reviewer="bob", id=3)
    assert [row.review_id for row in made.committed_reviews(s3_uri)] == [new_id(1), new_id(3)]


def test_servers_on_s3_that_decide_at_the_same_time_conflict(s3_uri, tmp_path, monkeypatch):
    """The first server records a decision after the other one has looked, and before it records its own."""
    made.make(s3_uri, count=4)
    with open_desk(s3_uri, tmp_path) as desk, ReviewDesk(s3_uri, tmp_path / "two", config=NEVER) as other:
        look, meanwhile = other._context.store.catch_up, [M[1], M[2], M[0]]

        def late() -> None:
            look()
            if meanwhile:
                decide(desk, meanwhile[0], "approve", id=10 + len(meanwhile))
                del meanwhile[0]

        monkeypatch.setattr(other._context.store, "catch_up", late)
        same = request(other, M[1], "reject", reason="r", reviewer="bob", id=2)
        conflict = other.decide(same)
        assert isinstance(conflict, Conflict)
        assert conflict.saw_now == new_id(13)
        decide(other, M[3], "approve", reviewer="bob", id=3)  # other clips decided meanwhile are no conflict
        assert meanwhile == []
    assert len(made.committed_reviews(s3_uri)) == 4
    assert not any(
        row["disagreement"] for row in standing_decisions(LiveView(Dataset.open(s3_uri)).reviews).to_pylist()
    )
