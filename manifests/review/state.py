"""What stands for each media: the caption that counts, the decision, its strata, its text for the search."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from manifests.caption_checks import AGREEMENT, UNSUPPORTED
from manifests.records import LENGTH_COLUMNS, LENGTHS, Review, Verdict
from manifests.review import reviews_table
from manifests.review.cards import Decision
from manifests.review.config import ReviewConfig
from manifests.review.database import Database
from manifests.review.fold import counts, current_reviewers, fold
from manifests.review.ranks import agreement_step

ALWAYS_OPEN = ("flagged", "disagreement")
"""Strata of media that have their reviews and need another decision."""
RANKED = (AGREEMENT, UNSUPPORTED)
"""Strata in the order of a value, and in random order where it is the same. Others are in random order."""
_RANK_SCALE = 1 << 40


@dataclass(frozen=True, kw_only=True, slots=True)
class Counted:
    """The caption that counts for one media."""

    version: int
    """Id in the table `versions`; 0 without a caption."""
    outcome: str
    """Empty without a caption."""
    digest: str
    """`records.caption_digest`; empty without a caption."""
    changed: bool
    """The OK caption before it had other texts."""
    failed: str = ""
    """Outcome of the newest attempt if that is not OK; an older caption may count."""
    agreement: float | None = None
    unsupported: int | None = None


NO_CAPTION = Counted(version=0, outcome="", digest="", changed=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Opinions:
    """The reviews of one media, and how many of them are in."""

    rows: Sequence[Review]
    withdrawn: frozenset[str]
    decision: Decision
    current: Mapping[str, Review]
    """Newest row of each reviewer whose opinion is not stale."""
    complete: bool
    """All reviews are in, so that reviewers may see each other's."""

    def visible_to(self, reviewer: str) -> list[Review]:
        """Return the rows that `reviewer` may see."""
        return [row for row in self.rows if self.complete or row.reviewer == reviewer]

    def seen_by(self, reviewer: str, caption_digest: str) -> Decision:
        """Return the decision as `reviewer` may see it."""
        if self.complete:
            return self.decision
        return fold(self.visible_to(reviewer), self.withdrawn, caption_digest)

    def newest_for(self, reviewer: str) -> Review | None:
        """Return the newest row that counts and that `reviewer` may see; their next decision names it."""
        visible = [row for row in self.visible_to(reviewer) if counts(row, self.withdrawn)]
        return visible[-1] if visible else None


def opinions(
    rows: Sequence[Review], withdrawn: Iterable[str], caption_digest: str, config: ReviewConfig
) -> Opinions:
    """Return what the reviews of one media come to.

    With one review for each clip, nothing is ever hidden.
    """
    names = frozenset(withdrawn)
    decisions = [row for row in rows if row.verdict not in (Verdict.WITHDRAW, Verdict.COMPARE)]
    current = current_reviewers(decisions, names, caption_digest)
    return Opinions(
        rows=decisions,
        withdrawn=names,
        decision=fold(decisions, names, caption_digest),
        current=current,
        complete=config.reviews_per_clip == 1 or len(current) >= config.reviews_per_clip,
    )


def standing_texts(caption: Mapping[str, str], decision: Decision) -> dict[str, str]:
    """Return the texts of a caption with the edits that stand, by length."""
    texts = {**caption, **({} if decision.stale else decision.texts)}
    return {length: texts[length] for length in LENGTHS if length in texts}


def counted_captions(database: Database, rows: Sequence[int]) -> dict[int, Counted]:
    """Return the caption that counts for each of some media (`manifests.caption_order`)."""
    found: dict[int, Counted] = {}
    listed = json.dumps([*rows])
    for (version,) in database.read("SELECT id FROM versions ORDER BY request, id"):
        for row, outcome, digest, agreement, unsupported in database.read(
            f"SELECT row, outcome, digest, agreement, unsupported FROM caption_{version} "
            "WHERE row IN (SELECT value FROM json_each(?))",
            listed,
        ):
            before = found.get(row, NO_CAPTION)
            failed = "" if outcome == "ok" else outcome
            if failed and before.outcome == "ok":
                found[row] = replace(before, failed=failed)
                continue
            found[row] = Counted(
                version=version,
                outcome=outcome,
                digest=digest,
                changed=outcome == before.outcome == "ok" and digest != before.digest,
                failed=failed,
                agreement=agreement,
                unsupported=unsupported,
            )
    return found


def caption_texts(database: Database, version: int, rows: Iterable[int]) -> dict[int, dict[str, str]]:
    """Return the texts of one caption version by length, for each of some media that have it."""
    if not version:
        return {}
    columns = ", ".join(LENGTH_COLUMNS.values())
    return {
        row: {length: text for length, text in zip(LENGTHS, texts, strict=True) if text is not None}
        for row, *texts in database.read(
            f"SELECT row, {columns} FROM caption_{version} WHERE row IN (SELECT value FROM json_each(?))",
            json.dumps([*rows]),
        )
    }


def refresh(database: Database, rows: Sequence[int], config: ReviewConfig, *, is_new: bool = False) -> None:
    """Compute the state of some media anew.

    Args:
        is_new: nothing was computed for any of them before.
    """
    with database.transaction() as connection:
        columns = "row, sort, bucket, margin, band"
        found_live = _select(connection, f"SELECT {columns} FROM media WHERE live > 0 AND row IN", rows)
        live = {row: values for row, *values in found_live}
        captions = dict.fromkeys(live, NO_CAPTION) | counted_captions(database, [*live])
        reviews = reviews_table.of_media(database, live)
        names = reviews_table.withdrawn(database, [row for each in reviews.values() for row in each])
        found = {row: opinions(each, names, captions[row].digest, config) for row, each in reviews.items()}
        if not is_new:
            _forget(connection, rows)
        _write_states(connection, captions, found, config)
        _write_members(connection, live, captions, found, config)
        _write_texts(database, captions, found, rows, is_new=is_new)


def _select(connection: Any, sql: str, rows: Iterable[int]) -> Any:
    return connection.execute(f"{sql} (SELECT value FROM json_each(?))", (json.dumps([*rows]),))


def _forget(connection: Any, rows: Sequence[int]) -> None:
    _count(connection, -1, _select(connection, "SELECT stratum, done FROM member WHERE row IN", rows))
    for table in ("state", "member", "reviewed_by"):
        _select(connection, f"DELETE FROM {table} WHERE row IN", rows)


def _write_states(
    connection: Any, captions: Mapping[int, Counted], found: Mapping[int, Opinions], config: ReviewConfig
) -> None:
    states, reviewed = list[tuple[Any, ...]](), list[tuple[str, int]]()
    for row, caption in captions.items():
        opinion = found.get(row)
        num_reviews, decision = (len(opinion.current), opinion.decision) if opinion else (0, None)
        states.append(
            (
                row,
                caption.version,
                caption.outcome,
                caption.digest,
                caption.changed,
                caption.failed,
                num_reviews,
                num_reviews >= config.reviews_per_clip,
                decision.verdict if decision else "",
                bool(decision and decision.disagreement),
                bool(decision and decision.stale),
            )
        )
        reviewed += [(name, row) for name in opinion.current] if opinion else []
    connection.executemany("INSERT INTO state VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", states)
    connection.executemany("INSERT INTO reviewed_by VALUES (?, ?)", reviewed)


def _write_members(
    connection: Any,
    live: Mapping[int, Sequence[Any]],
    captions: Mapping[int, Counted],
    found: Mapping[int, Opinions],
    config: ReviewConfig,
) -> None:
    identifiers = dict(connection.execute("SELECT name, id FROM strata"))
    members = list[tuple[int, int, int, bool]]()
    for row, (sort, bucket, margin, band) in live.items():
        opinion = found.get(row)
        done = opinion is not None and len(opinion.current) >= config.reviews_per_clip
        near = margin is not None and margin <= config.near_margin
        for name, key in _strata(sort, bucket, near, band, captions[row], opinion):
            if name not in identifiers:
                identifiers[name] = connection.execute(
                    "INSERT INTO strata (name) VALUES (?) RETURNING id", (name,)
                ).fetchone()[0]
            members.append((identifiers[name], key, row, done and name not in ALWAYS_OPEN))
    connection.executemany("INSERT INTO member VALUES (?, ?, ?, ?)", sorted(members))
    _count(connection, 1, ((stratum, done) for stratum, _, _, done in members))


def _count(connection: Any, sign: int, members: Iterable[tuple[int, bool]]) -> None:
    """Add members to the sizes of their strata, or subtract them."""
    sizes, done = Counter[int](), Counter[int]()
    for stratum, is_done in members:
        sizes[stratum] += sign
        done[stratum] += sign * bool(is_done)
    connection.executemany(
        "UPDATE strata SET size = size + ?, done = done + ? WHERE id = ?",
        ((size, done[stratum], stratum) for stratum, size in sizes.items()),
    )


def _strata(
    sort: int, bucket: str, near: bool, band: str, caption: Counted, opinion: Opinions | None
) -> list[tuple[str, int]]:
    """Return the strata of one media, each with its place in the order of the stratum."""
    found = [("all", sort), (f"bucket:{bucket}", sort)]
    conditions = {
        "outcome": caption.failed != "",
        "near": near,
        "band": bool(band),
        "changed": caption.changed,
    }
    if opinion is not None and opinion.complete:
        conditions["flagged"] = opinion.decision.verdict == Verdict.FLAG
        conditions["disagreement"] = opinion.decision.disagreement
    found += [(name, sort) for name, holds in conditions.items() if holds]
    if caption.agreement is not None:
        found.append((AGREEMENT, agreement_step(caption.agreement) * _RANK_SCALE + sort % _RANK_SCALE))
    if caption.unsupported:
        found.append((UNSUPPORTED, -caption.unsupported * _RANK_SCALE + sort % _RANK_SCALE))
    return found


def _write_texts(
    database: Database,
    captions: Mapping[int, Counted],
    found: Mapping[int, Opinions],
    rows: Sequence[int],
    *,
    is_new: bool,
) -> None:
    """Write what the search finds: the texts as everybody may see them."""
    connection = database.writer
    before = dict[int, str]()
    if not is_new:
        before |= dict(_select(connection, "SELECT rowid, text FROM texts WHERE rowid IN", rows))
    by_version: dict[int, list[int]] = {}
    for row, caption in captions.items():
        by_version.setdefault(caption.version, []).append(row)
    texts: dict[int, str] = {}
    for version, members in by_version.items():
        given = caption_texts(database, version, members)
        for row in members:
            own, opinion = given.get(row, {}), found.get(row)
            shown = standing_texts(own, opinion.decision) if opinion and opinion.complete else own
            if shown:
                texts[row] = "\n".join(dict.fromkeys(shown.values()))
    gone = [(row,) for row, text in before.items() if texts.get(row) != text]
    connection.executemany("DELETE FROM texts WHERE rowid = ?", gone)
    new = ((row, text) for row, text in texts.items() if before.get(row) != text)
    connection.executemany("INSERT INTO texts (rowid, text) VALUES (?, ?)", new)
