"""Bulk edits: previewed, applied as one action, undone as one, without overwriting what they did not see."""

import pytest
import reviewed_dataset as made
from reviewed_dataset import NEVER, TWO, M, edit, new_id, open_desk, request, texts_of

from manifests.records import Review, Verdict
from manifests.review import bulk
from manifests.review.config import ReviewConfig
from manifests.review.desk import ReviewDesk
from manifests.review.messages import BulkEdit, QueueFilter, ReviewError, Saved

ALL = QueueFilter()
ACTION = new_id(0xAC710)


def apply(desk: ReviewDesk, edit: BulkEdit, *, action: str = ACTION, reviewer: str = "ann") -> Saved:
    preview = desk.preview_bulk(edit, reviewer=reviewer)
    return desk.apply_bulk(preview.token, action=action, reviewer=reviewer)


def replacing(pattern: str, replacement: str, **fields) -> BulkEdit:
    return BulkEdit(kind="replace", pattern=pattern, replacement=replacement, **({"filter": ALL} | fields))


def test_a_preview_counts_and_shows_samples_and_records_nothing(uri, tmp_path):
    with open_desk(uri, tmp_path) as desk:
        preview = desk.preview_bulk(replacing(r"red (\w+)", r"blue \1"), reviewer="ann", samples=4)
        assert (preview.matched, preview.changed, preview.texts_changed) == (
            20,
            19,
            19,
        )  # one has an older text
        assert len(preview.samples) == 4
        for sample in preview.samples:
            assert sample.after == sample.before.replace("red", "blue")
            assert sample.length == "dense"
        assert desk.figures().uncommitted == 0


def test_one_action_is_one_undo(uri, tmp_path):
    with open_desk(uri, tmp_path) as desk:
        desk.decide(edit(desk, M[4], "My own red words.", id=1))
        before = {media_id: texts_of(desk, media_id) for media_id in M}
        saved = apply(desk, replacing("red", "blue"))
        assert (len(saved.media_ids), saved.skipped) == (19, 0)
        assert texts_of(desk, M[4])["dense"] == "My own blue words."
        assert desk.search("blue", reviewer="bob").total == 19
        desk.undo(ACTION, review_id=new_id(2), reviewer="ann")
        assert {media_id: texts_of(desk, media_id) for media_id in M} == before
        desk.undo(new_id(2), review_id=new_id(3), reviewer="ann")
        assert texts_of(desk, M[4])["dense"] == "My own blue words."
        with pytest.raises(ReviewError, match="only they can undo it"):
            desk.undo(ACTION, review_id=new_id(4), reviewer="bob")
    rows = made.committed_reviews(uri)
    assert [row.action for row in rows] == ["", *[ACTION] * 19, "", ""]


def test_decisions_after_an_action_stand_when_it_is_undone(uri, tmp_path):
    with open_desk(uri, tmp_path) as desk:
        apply(desk, replacing("red", "blue"))
        desk.decide(edit(desk, M[4], "Later.", id=1, reviewer="bob"))
        desk.undo(ACTION, review_id=new_id(2), reviewer="ann")
        assert texts_of(desk, M[4])["dense"] == "Later."
        assert texts_of(desk, M[6])["dense"] == made.text(6)


def test_it_leaves_alone_what_was_decided_since_the_preview(uri, tmp_path):
    with open_desk(uri, tmp_path) as desk:
        preview = desk.preview_bulk(replacing("red", "blue"), reviewer="ann")
        desk.decide(edit(desk, M[4], "A red word of Bob's.", id=1, reviewer="bob"))
        saved = desk.apply_bulk(preview.token, action=ACTION, reviewer="ann")
        assert (saved.skipped, len(saved.media_ids), M[4] in saved.media_ids) == (1, 18, False)
        assert texts_of(desk, M[4])["dense"] == "A red word of Bob's."


@pytest.mark.parametrize(
    ("fields", "media_id", "expected"),
    [
        (
            {"kind": "prefix", "replacement": "Photo. "},
            M[2],
            {"dense": "Photo. A red"},
        ),
        ({"kind": "suffix", "replacement": " End.", "lengths": ["short"]}, M[2], {"short": "Ball 2. End."}),
        ({"kind": "trim"}, M[4], {"dense": "a b"}),
        (
            {"kind": "replace", "pattern": "BALL", "replacement": "cube", "ignore_case": True},
            M[2],
            {"short": "cube 2."},
        ),
        (
            {"kind": "replace", "pattern": r"(?P<n>\d+)", "replacement": r"<\g<n>>"},
            M[2],
            {"short": "Ball <2>."},
        ),
    ],
)
def test_kinds_of_edits(uri, tmp_path, fields, media_id, expected):
    with open_desk(uri, tmp_path) as desk:
        desk.decide(edit(desk, M[4], "  a \n b ", id=1))
        apply(desk, BulkEdit(filter=ALL, **fields))
        texts = texts_of(desk, media_id)
        for length, text in expected.items():
            assert texts[length].startswith(text)
        if "lengths" in fields:
            assert texts["dense"] == made.text(2)


def test_a_verdict_for_a_filter(uri, tmp_path):
    with open_desk(uri, tmp_path) as desk:
        desk.decide(request(desk, M[15], "reject", reason="mine", id=1))
        rejection = BulkEdit(kind="reject", filter=QueueFilter(where="width = 360"), reason="portrait")
        preview = desk.preview_bulk(rejection, reviewer="ann")
        assert (preview.matched, preview.changed) == (5, 4)
        assert {(sample.before, sample.after) for sample in preview.samples} == {("", "reject")}
        desk.apply_bulk(preview.token, action=ACTION, reviewer="ann")
        assert desk.figures().verdicts == {"reject": 5}
        assert desk.card(M[16], reviewer="ann").decision.reason == "portrait"
        assert desk.card(M[15], reviewer="ann").decision.reason == "mine"


def test_sent_again_it_records_nothing_twice(uri, tmp_path):
    with open_desk(uri, tmp_path) as desk:
        preview = desk.preview_bulk(replacing("red", "blue"), reviewer="ann")
        first = desk.apply_bulk(preview.token, action=ACTION, reviewer="ann")
        again = desk.apply_bulk(preview.token, action=ACTION, reviewer="ann")
        assert (again.repeated, again.media_ids, again.skipped) == (True, first.media_ids, 0)
        with pytest.raises(ReviewError, match="somebody else's action has this id"):
            desk.apply_bulk(preview.token, action=ACTION, reviewer="bob")
    assert len(made.committed_reviews(uri)) == 19


def test_stopped_in_the_middle_it_goes_on(uri, tmp_path, monkeypatch):
    monkeypatch.setattr(bulk, "_CHUNK_ROWS", 5)
    with open_desk(uri, tmp_path) as desk:
        preview = desk.preview_bulk(replacing("red", "blue"), reviewer="ann")
        assert preview.changed == 19
        record, chunks = desk._context.store.record, []

        def stop(rows: list[Review]) -> None:
            if len(chunks) == 2:
                raise OSError("no space left on device")
            chunks.append(len(rows))
            record(rows)

        monkeypatch.setattr(desk._context.store, "record", stop)
        with pytest.raises(OSError, match="no space"):
            desk.apply_bulk(preview.token, action=ACTION, reviewer="ann")
        monkeypatch.setattr(desk._context.store, "record", record)
        saved = desk.apply_bulk(preview.token, action=ACTION, reviewer="ann")
        assert (len(saved.media_ids), saved.skipped, saved.repeated) == (19, 0, True)
    assert len({row.review_id for row in made.committed_reviews(uri)}) == 19


def test_a_blind_reviewer_edits_only_what_they_see(uri, tmp_path):
    with open_desk(uri, tmp_path, TWO) as desk:
        desk.decide(edit(desk, M[2], "A zebra, red.", reviewer="ann"))
        preview = desk.preview_bulk(replacing("red", "blue"), reviewer="bob", samples=50)
        assert "zebra" not in repr(preview)
        desk.apply_bulk(preview.token, action=ACTION, reviewer="bob")
        assert texts_of(desk, M[2], "ann")["dense"] != texts_of(desk, M[4], "bob")["dense"]
        assert [side.texts["dense"] for side in desk.disagreements()[0].sides] == [
            "A zebra, red.",
            made.text(2).replace("red", "blue"),
        ]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"kind": "replace", "pattern": "("}, r"pattern '\(': missing \), unterminated subpattern"),
        ({"kind": "replace", "pattern": "a", "replacement": r"\2"}, "invalid group reference 2"),
        ({"kind": "replace"}, "pattern: is empty"),
        ({"kind": "prefix"}, "replacement: is empty; write the prefix"),
        ({"kind": "reject"}, "reason: is empty"),
        ({"kind": "approve", "lengths": ["long"]}, "lengths: long: use short, medium, dense"),
        ({"kind": "delete"}, "use replace, prefix"),
    ],
)
def test_bad_edits_say_what_is_wrong(uri, tmp_path, fields, message):
    with open_desk(uri, tmp_path) as desk, pytest.raises(ReviewError, match=message):
        desk.preview_bulk(BulkEdit(filter=ALL, **fields), reviewer="ann")


def test_a_pattern_that_never_ends_is_stopped(uri, tmp_path):
    config = ReviewConfig(commit_every_s=0, regex_timeout_s=0.5)
    with open_desk(uri, tmp_path, config) as desk:
        desk.decide(edit(desk, M[2], "a" * 60 + "!"))
        with pytest.raises(ReviewError, match=r"took longer than 0.5 s on \d+ texts; avoid repeated groups"):
            desk.preview_bulk(replacing(r"(a+)+$", "x"), reviewer="ann")
        assert desk.preview_bulk(replacing("a+", "x"), reviewer="ann").changed > 0


def test_a_preview_that_is_not_kept_is_refused(uri, tmp_path):
    with open_desk(uri, tmp_path) as desk:
        tokens = [desk.preview_bulk(replacing("red", "blue"), reviewer="ann").token for _ in range(6)]
        with pytest.raises(ReviewError, match="not kept any more"):
            desk.apply_bulk(tokens[0], action=ACTION, reviewer="ann")
        assert desk.apply_bulk(tokens[-1], action=ACTION, reviewer="ann").media_ids


def test_rows_of_an_action_say_which_text_they_replace(uri, tmp_path):
    with open_desk(uri, tmp_path, NEVER) as desk:
        apply(desk, BulkEdit(kind="prefix", replacement="X ", filter=QueueFilter(search='"number 2"')))
    rows = made.committed_reviews(uri)
    assert [(row.verdict, row.length, row.new_text) for row in rows] == [
        (Verdict.EDIT, "short", "X Ball 2."),
        (Verdict.EDIT, "dense", f"X {made.text(2)}"),
    ]
    assert rows[1].saw == rows[0].review_id


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"kind": "prefix", "replacement": "\ud800"}, "replacement: is not text"),
        ({"kind": "suffix", "replacement": "a\0"}, "replacement: holds a NUL"),
        ({"kind": "replace", "pattern": "red", "replacement": r"\0"}, "holds a NUL"),
        ({"kind": "reject", "reason": "\ud800"}, "reason: is not text"),
        ({"kind": "flag", "note": "x" * 2001}, "note: has 2001 characters"),
        ({"kind": "replace", "pattern": "", "replacement": "x"}, "pattern: is empty"),
        ({"kind": "replace", "pattern": "|", "replacement": "x" * 19_000}, "at most 20000 are allowed"),
        ({"kind": "prefix", "replacement": "x" * 20_000}, "at most 20000 are allowed"),
    ],
)
def test_texts_that_no_single_edit_could_write_are_refused(uri, tmp_path, fields, message):
    with open_desk(uri, tmp_path) as desk:
        with pytest.raises(ReviewError, match=message):
            desk.preview_bulk(BulkEdit(filter=ALL, **fields), reviewer="ann")
        assert desk.figures().uncommitted == 0
