"""The reviews in the database: those that commits hold, in their order, then those of the journal."""
# pyarrow has no complete types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from manifests import schemas
from manifests.dataset import Commit, Dataset
from manifests.records import Review, Verdict
from manifests.review.database import Database
from manifests.review.fold import withdrawn_ids

_COMMIT_ROWS = 1 << 32
"""Rows of one commit, at most: a committed row is numbered by commit and index."""
_JOURNAL = 1 << 61
"""Number of the first row of the journal."""
_INSERT = """
    INSERT OR IGNORE INTO reviews (
        seq, review_id, row, reviewer, verdict, action, withdraws, review, committed)
    VALUES (?, ?, (SELECT row FROM media WHERE media_id = ?), ?, ?, ?, ?, ?, ?)"""


def sync(database: Database, dataset: Dataset, new: Sequence[Commit]) -> set[int]:
    """Write the reviews of new commits; return the rows of the media whose decision may be another one now.

    A review of the journal keeps its place among those of its media when it is committed, unless a commit
    holds others that the journal did not.
    """
    removed, changed = dataset.removed(), set[int]()
    for commit in new:
        number = commit.number * _COMMIT_ROWS
        for part in commit.added:
            if part.table == "reviews" and part.path not in removed:
                rows = schemas.from_table(Review, dataset.read_part(part))
                with database.transaction():
                    changed |= _write_committed(database, rows, number)
                number += len(rows)
    return changed


def _write_committed(database: Database, rows: Sequence[Review], first: int) -> set[int]:
    connection, changed = database.writer, set[int]()
    for number, row in enumerate(rows, first):
        known = connection.execute(
            "SELECT committed FROM reviews WHERE review_id = ?", (row.review_id,)
        ).fetchone()
        if known is None:
            _insert(connection, row, number, committed=1)
            changed |= _affected_now(database, row)
        elif not known[0]:
            connection.execute(
                "UPDATE reviews SET seq = ?, committed = 1 WHERE review_id = ?", (number, row.review_id)
            )
    return changed


def append(database: Database, rows: Iterable[Review]) -> set[int]:
    """Write rows of the journal behind all others; return the rows of the media that they decide on."""
    changed = set[int]()
    with database.transaction() as connection:
        ((newest,),) = connection.execute("SELECT max(seq) FROM reviews").fetchall()
        for number, row in enumerate(rows, max(_JOURNAL, (newest or 0) + 1)):
            _insert(connection, row, number, committed=0)
            changed |= _affected_now(database, row)
    return changed


def forget_journal(database: Database) -> set[int]:
    """Delete the rows that no commit holds, which the journal has; return the media that they decided on."""
    with database.transaction() as connection:
        rows = connection.execute("SELECT review FROM reviews WHERE committed = 0").fetchall()
        changed = {row for (text,) in rows for row in affected(database, parse(text))}
        connection.execute("DELETE FROM reviews WHERE committed = 0")
    return changed


def affected(database: Database, row: Review) -> set[int]:
    """Return the rows of the media whose decision a review may change."""
    connection, found, targets = database.writer, set[int](), [row.withdraws] if row.withdraws else []
    if row.media_id and row.verdict is not Verdict.WITHDRAW:
        found = {
            number
            for (number,) in connection.execute("SELECT row FROM media WHERE media_id = ?", (row.media_id,))
        }
    while targets:  # a withdrawal may undo another one
        target = targets.pop()
        for number, withdraws in connection.execute(
            "SELECT row, withdraws FROM reviews WHERE review_id = ?1 OR (action = ?1 AND action <> '')",
            (target,),
        ):
            found |= {number} - {None}
            targets += [withdraws] if withdraws else []
    return found


def _affected_now(database: Database, row: Review) -> set[int]:
    """Return `affected` of a review that was just written, after counting the votes that it takes back."""
    found = affected(database, row)
    if row.verdict is Verdict.WITHDRAW:
        for number in found:
            _count_votes(database, number)
    return found


def _count_votes(database: Database, number: int) -> None:
    """Write the votes on one media anew, without those that were taken back."""
    rows = [row for row in of_media(database, [number]).get(number, []) if row.verdict is Verdict.COMPARE]
    if not rows:
        return
    gone = withdrawn(database, rows)
    database.writer.execute("DELETE FROM votes WHERE row = ?", (number,))
    for row in rows:
        if row.review_id not in gone:
            _vote(database.writer, row)


def of_media(database: Database, rows: Iterable[int]) -> dict[int, list[Review]]:
    """Return the reviews of some media, in order; a media without any is left out."""
    found: dict[int, list[Review]] = {}
    for row, text in database.read(
        "SELECT row, review FROM reviews WHERE row IN (SELECT value FROM json_each(?)) ORDER BY seq",
        json.dumps([*rows]),
    ):
        found.setdefault(row, []).append(parse(text))
    return found


def withdrawn(database: Database, reviews: Iterable[Review]) -> set[str]:
    """Return the ids and actions among those of `reviews` that withdrawals undo, and those of withdrawals."""
    pending = {name for row in reviews for name in (row.review_id, row.action) if name}
    withdrawals: dict[str, tuple[int, Review]] = {}
    while pending:
        found = database.read(
            "SELECT seq, review FROM reviews WHERE withdraws IN (SELECT value FROM json_each(?))",
            json.dumps(sorted(pending)),
        )
        new = [(seq, parse(text)) for seq, text in found]
        new = [(seq, row) for seq, row in new if row.review_id not in withdrawals]
        withdrawals |= {row.review_id: (seq, row) for seq, row in new}
        pending = {name for _, row in new for name in (row.review_id, row.action) if name}
    return withdrawn_ids(row for _, row in sorted(withdrawals.values(), key=lambda each: each[0]))


def find(database: Database, review_id: str) -> Review | None:
    """Return one review; None if there is none with this id."""
    rows = database.read("SELECT review FROM reviews WHERE review_id = ?", review_id)
    return parse(rows[0][0]) if rows else None


def of_action(database: Database, action: str) -> list[Review]:
    """Return the reviews of an action, in order."""
    return [
        parse(text)
        for (text,) in database.read("SELECT review FROM reviews WHERE action = ? ORDER BY seq", action)
    ]


def parse(text: str) -> Review:
    """Return the review of a row of the database."""
    values: dict[str, Any] = json.loads(text)
    values["verdict"] = Verdict(values["verdict"])
    return Review(**values)


def _insert(connection: Any, row: Review, number: int, *, committed: int) -> None:
    text = json.dumps(asdict(row), ensure_ascii=False)
    media_id = None if row.verdict is Verdict.WITHDRAW else row.media_id
    connection.execute(
        _INSERT,
        (
            number,
            row.review_id,
            media_id,
            row.reviewer,
            row.verdict.value,
            row.action,
            row.withdraws,
            text,
            committed,
        ),
    )
    if row.verdict is Verdict.COMPARE:
        _vote(connection, row)


def _vote(connection: Any, row: Review) -> None:
    """Write the newest vote of a reviewer on two versions of a media."""
    identifiers = dict(connection.execute("SELECT version, id FROM versions"))
    left, right = identifiers.get(row.caption_version), identifiers.get(row.other_version)
    if left is None or right is None:
        return
    winner = {"left": left, "right": right}.get(row.choice, 0)
    connection.execute(
        "REPLACE INTO votes SELECT row, ?, ?, ?, ?, ? FROM media WHERE media_id = ?",
        (row.reviewer, min(left, right), max(left, right), winner, row.choice, row.media_id),
    )
