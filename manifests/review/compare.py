"""Blind comparison of two caption versions: pairs on random sides, and the votes on them."""
# pyarrow has no complete types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false

from collections.abc import Sequence

from manifests.digest import digest_parts
from manifests.records import Choice, Review, Verdict
from manifests.review import reviews_table
from manifests.review.cards import ComparePair, CompareVotes
from manifests.review.context import DeskContext, now, same_decision
from manifests.review.database import Database
from manifests.review.messages import QueueFilter, ReviewError, Saved
from manifests.review.record import check_unused
from manifests.review.state import caption_texts

_DIFFER = "a.outcome = 'ok' AND b.outcome = 'ok' AND a.digest <> b.digest"


def version_id(database: Database, version: str) -> int:
    """Return the id of a caption version. Raises ReviewError if there is none."""
    rows = database.read("SELECT id FROM versions WHERE version = ?", version)
    if not rows:
        names = ", ".join(
            name for (name,) in database.read("SELECT version FROM versions ORDER BY request DESC")
        )
        raise ReviewError(f"there is no caption version {version!r}; there are {names or 'none'}")
    return rows[0][0]


def versions_of(database: Database, version: str, other_version: str) -> tuple[int, int]:
    """Return the ids of two different versions."""
    if version == other_version:
        raise ReviewError(f"version {version!r}: name two different versions to compare")
    return version_id(database, version), version_id(database, other_version)


def num_pairs(database: Database, version: int, other: int) -> int:
    """Return the number of live media on which the texts of two versions differ, kept for each commit."""
    low, high = min(version, other), max(version, other)
    key, commit = f"pairs {low} {high}", database.get("commit")
    known = database.get(key)
    if known and known.split()[0] == str(commit):
        return int(known.split()[1])
    number = database.read(
        f"SELECT count(*) FROM media m JOIN caption_{version} a ON a.row = m.row "
        f"JOIN caption_{other} b ON b.row = m.row WHERE m.live > 0 AND {_DIFFER}"
    )[0][0]
    database.set(**{key: f"{commit} {number}"})
    return number


def _not_voted(version: int, other: int, reviewer: str) -> tuple[str, Sequence[object]]:
    """Return the condition over a member m that its versions differ and this reviewer has not voted."""
    return (
        f"AND EXISTS (SELECT 1 FROM caption_{version} a JOIN caption_{other} b ON b.row = a.row "
        f"WHERE a.row = m.row AND {_DIFFER}) AND NOT EXISTS (SELECT 1 FROM votes v WHERE v.low = ? "
        "AND v.high = ? AND v.reviewer = ? AND v.row = m.row)",
        (min(version, other), max(version, other), reviewer),
    )


def next_pair(
    context: DeskContext, version: str, other_version: str, *, reviewer: str, filter: QueueFilter
) -> ComparePair | None:
    """Return the next media on which two versions differ and the reviewer has not voted."""
    own, other = versions_of(context.database, version, other_version)
    condition, values = _not_voted(own, other, reviewer)
    row = context.queues.first(filter, after=None, condition=condition, values=values)
    if row is None:
        return None
    with context.store.lock:
        return _make_pair(context.database, row, own, other, reviewer)


def vote(context: DeskContext, pair_id: str, choice: Choice, *, review_id: str, reviewer: str) -> Saved:
    """Record a vote."""
    return context.recording(lambda: _vote(context, pair_id, choice, review_id, reviewer))


def _vote(context: DeskContext, pair_id: str, choice: Choice, review_id: str, reviewer: str) -> Saved:
    row, left, right = _find_pair(context.database, pair_id, reviewer)
    media = context.shower.media(row)
    review = Review(
        review_id=review_id,
        clip_id=media["clip_id"],
        media_id=media["media_id"],
        reviewer=reviewer,
        at=now(),
        verdict=Verdict.COMPARE,
        blind=True,
        caption_version=left,
        other_version=right,
        choice=Choice(choice).value,
    )
    known = reviews_table.find(context.database, review_id)
    if known is None:
        check_unused(context, "review_id", review_id)
        context.store.record([review])
    elif not same_decision(known, review):
        raise ReviewError(f"review_id {review_id}: another decision has this id; make a new one")
    ids = (media["media_id"],)
    return Saved(review_id=review_id, media_ids=ids, decision=None, repeated=known is not None)


def _make_pair(database: Database, row: int, version: int, other: int, reviewer: str) -> ComparePair:
    """Return a pair; its sides are a secret function of the media and the reviewer, the same at each call."""
    low, high = min(version, other), max(version, other)
    secret = database.get("secret")
    pair_id, side = (digest_parts(use, secret, row, low, high, reviewer) for use in ("pair", "side"))
    left, right = (low, high) if int(side[-1], 16) % 2 else (high, low)
    with database.transaction() as connection:
        connection.execute("REPLACE INTO pairs VALUES (?, ?, ?, ?, ?)", (pair_id, row, reviewer, left, right))
    ((media_id,),) = database.read("SELECT media_id FROM media WHERE row = ?", row)
    ((voted,),) = database.read(
        "SELECT count(*) FROM votes WHERE low = ? AND high = ? AND reviewer = ?", low, high, reviewer
    )
    return ComparePair(
        pair_id=pair_id,
        media_id=media_id,
        left=caption_texts(database, left, [row]).get(row, {}),
        right=caption_texts(database, right, [row]).get(row, {}),
        position=voted,
        total=num_pairs(database, low, high),
    )


def _find_pair(database: Database, pair_id: str, reviewer: str) -> tuple[int, str, str]:
    """Return row, left and right version of a pair. Raises ReviewError if this reviewer was not shown it."""
    rows = database.read(
        "SELECT p.row, l.version, r.version FROM pairs p JOIN versions l ON l.id = p.left "
        "JOIN versions r ON r.id = p.right WHERE p.pair_id = ? AND p.reviewer = ?",
        pair_id,
        reviewer,
    )
    if not rows:
        raise ReviewError("pair_id: this pair was not shown to this reviewer; open the comparison again")
    return rows[0]


def votes(database: Database, version: str, other_version: str) -> CompareVotes:
    """Return the votes between two versions on live media."""
    own, other = versions_of(database, version, other_version)
    counts = database.read(
        "SELECT winner, chosen, count(*) FROM votes v JOIN media m ON m.row = v.row AND m.live > 0 "
        "WHERE low = ? AND high = ? GROUP BY winner, chosen",
        min(own, other),
        max(own, other),
    )
    by_winner = {
        identifier: sum(n for winner, _, n in counts if winner == identifier)
        for identifier in (own, other, 0)
    }
    return CompareVotes(
        version=version,
        other_version=other_version,
        wins=by_winner[own],
        losses=by_winner[other],
        ties=by_winner[0],
        left_chosen=sum(n for _, chosen, n in counts if chosen == "left"),
        total=num_pairs(database, own, other),
    )
