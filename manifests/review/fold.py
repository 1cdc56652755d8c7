"""The decision that stands for one media, from its rows: the rules of `manifests.review.decisions`.

The tables decide for a million media at once; this decides for the one that a reviewer has just saved. A test
holds the two equal on random histories.
"""

from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass

from manifests.records import Review, Verdict
from manifests.review.cards import Decision, Side

_ACCEPT = "accept"
_NO_DECISION = Decision(
    verdict="",
    texts={},
    reason="",
    note="",
    start_s=None,
    end_s=None,
    reviewers=(),
    disagreement=False,
    stale=False,
    newest="",
)


@dataclass(frozen=True, slots=True)
class _Opinion:
    """The value of one field in the newest row of one reviewer that sets it."""

    value: object
    row: Review
    order: int


def withdrawn_ids(withdrawals: Iterable[Review]) -> set[str]:
    """Return the review ids and actions that withdrawals, given in order, undo."""
    withdrawn = set[str]()
    for row in reversed([*withdrawals]):  # only a later row can undo one
        if row.review_id not in withdrawn and not (row.action and row.action in withdrawn):
            withdrawn.add(row.withdraws)
    return withdrawn


def counts(row: Review, withdrawn: Set[str]) -> bool:
    """Return whether a row is a decision that was not undone."""
    return (
        row.verdict not in (Verdict.WITHDRAW, Verdict.COMPARE)
        and row.review_id not in withdrawn
        and (not row.action or row.action not in withdrawn)
    )


def fold(rows: Sequence[Review], withdrawn: Set[str], caption_digest: str | None) -> Decision:
    """Return the decision that stands.

    Args:
        rows: all rows of the media, in order.
        withdrawn: `withdrawn_ids`.
        caption_digest: digest of the current caption; None if it is unknown, and nothing is stale.
    """
    counted = [row for row in rows if counts(row, withdrawn)]
    if not counted:
        return _NO_DECISION
    order = {row.review_id: index for index, row in enumerate(rows)}
    caption_rounds = _rounds([row for row in counted if row.verdict is not Verdict.SPAN], order)
    span_rounds = _rounds([row for row in counted if row.verdict is Verdict.SPAN], order)
    fields = _fields(caption_rounds, order)
    spans = _fields(span_rounds, order)
    differ = any(is_last and not stands for is_last, stands, _ in fields.values())
    spans_differ = any(is_last and not stands for is_last, stands, _ in spans.values())
    accepted = fields[""][2] if "" in fields else None
    seen = accepted.row.caption_digest if accepted else ""
    texts = {
        length: str(opinion.value)
        for length, (_, stands, opinion) in fields.items()
        if length and stands and _same_caption(seen, opinion.row.caption_digest) and opinion.value is not None
    }
    is_accept = accepted is not None and accepted.value == _ACCEPT
    if differ:
        verdict, texts = "", {}
    elif accepted is None:
        verdict = Verdict.SPAN.value
    elif is_accept:
        verdict = Verdict.EDIT.value if texts else Verdict.APPROVE.value
    else:
        verdict = str(accepted.value)
    span = next((opinion.row for _, stands, opinion in spans.values() if stands), None)
    shown = accepted.row if accepted and not differ else None
    return Decision(
        verdict=verdict,
        texts=texts,
        reason=shown.reason if shown else "",
        note=shown.note if shown else "",
        start_s=span.start_s if span else None,
        end_s=span.end_s if span else None,
        reviewers=tuple(sorted({row.reviewer for row in counted})),
        disagreement=differ or spans_differ,
        stale=bool(
            is_accept and not differ and seen and caption_digest is not None and seen != caption_digest
        ),
        newest=counted[-1].review_id,
    )


def sides(rows: Sequence[Review], withdrawn: Set[str]) -> tuple[Side, ...]:
    """Return the opinions of the last round, by reviewer in the order of their first row."""
    counted = [row for row in rows if counts(row, withdrawn)]
    order = {row.review_id: index for index, row in enumerate(rows)}
    found = dict[str, list[Review]]()
    for is_span in (False, True):
        rounds = _rounds([row for row in counted if (row.verdict is Verdict.SPAN) == is_span], order)
        for row in rounds[-1] if rounds else ():
            found.setdefault(row.reviewer, []).append(row)
    return tuple(
        _side(name, sorted(mine, key=lambda row: order[row.review_id])) for name, mine in found.items()
    )


def current_reviewers(
    rows: Sequence[Review], withdrawn: Set[str], caption_digest: str | None
) -> dict[str, Review]:
    """Return the newest counted row of each reviewer whose opinion is not stale."""
    newest = dict[str, Review]()
    verdicts = dict[str, Review]()
    for row in rows:
        if counts(row, withdrawn):
            newest[row.reviewer] = row
            if row.verdict is not Verdict.SPAN:
                verdicts[row.reviewer] = row
    return {
        name: row for name, row in newest.items() if not _is_stale(verdicts.get(name, row), caption_digest)
    }


def _is_stale(row: Review, caption_digest: str | None) -> bool:
    accepts = row.verdict in (Verdict.APPROVE, Verdict.EDIT)
    return accepts and caption_digest is not None and not _same_caption(row.caption_digest, caption_digest)


def _same_caption(one: str, other: str) -> bool:
    return one == other or not one or not other


def _rounds(rows: Sequence[Review], order: dict[str, int]) -> list[list[Review]]:
    """Divide the rows of one lineage; a row that saw the one before it begins a round."""
    rounds: list[list[Review]] = []
    for row in rows:
        settles = bool(rounds) and not row.blind and row.saw != ""
        if settles:
            settles = order.get(row.saw, -1) >= order[rounds[-1][-1].review_id]
        if settles or not rounds:
            rounds.append([])
        rounds[-1].append(row)
    return rounds


def _fields(
    rounds: Sequence[Sequence[Review]], order: dict[str, int]
) -> dict[str, tuple[bool, bool, _Opinion]]:
    """Return for each field: is the round that sets it last the last one, does it agree, its newest opinion.

    The verdict is the field ``""``; others are lengths, and `span`.
    """
    found: dict[str, tuple[bool, bool, _Opinion]] = {}
    for number, rows in enumerate(rounds):
        opinions = dict[str, dict[str, _Opinion]]()
        for row in rows:
            for field, value in _values(row):
                opinions.setdefault(field, {})[row.reviewer] = _Opinion(value, row, order[row.review_id])
        size = len({row.reviewer for row in rows})
        for field, by_reviewer in opinions.items():
            newest = max(by_reviewer.values(), key=lambda opinion: opinion.order)
            agree = len({opinion.value for opinion in by_reviewer.values()}) == 1
            found[field] = (number == len(rounds) - 1, agree and len(by_reviewer) == size, newest)
    return found


def _values(row: Review) -> list[tuple[str, object]]:
    if row.verdict is Verdict.SPAN:
        return [("span", (row.start_s, row.end_s))]
    if row.verdict is Verdict.EDIT:
        return [("", _ACCEPT), (row.length, row.new_text)]
    return [("", _ACCEPT if row.verdict is Verdict.APPROVE else row.verdict.value)]


def _side(reviewer: str, rows: Sequence[Review]) -> Side:
    verdict = next((row for row in reversed(rows) if row.verdict is not Verdict.SPAN), None)
    span = next((row for row in reversed(rows) if row.verdict is Verdict.SPAN), None)
    texts = {row.length: row.new_text or "" for row in rows if row.verdict is Verdict.EDIT}
    shown = verdict or rows[-1]
    return Side(
        reviewer=reviewer,
        verdict=Verdict.EDIT.value if texts and shown.verdict is Verdict.APPROVE else shown.verdict.value,
        texts=texts,
        reason=shown.reason,
        note=shown.note,
        start_s=span.start_s if span else None,
        end_s=span.end_s if span else None,
        review_id=rows[-1].review_id,
    )
