"""Record what reviewers decide: conflicts, confirmation, undo, settled disagreements."""
# pyarrow has no complete types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from manifests.digest import digest_parts
from manifests.records import Review, Verdict
from manifests.review import reviews_table
from manifests.review.cards import Side
from manifests.review.context import DeskContext, now, same_decision
from manifests.review.fold import sides
from manifests.review.messages import ConfirmNeeded, Conflict, DecisionRequest, ReviewError, Saved
from manifests.review.show import row_of
from manifests.review.state import Opinions, standing_texts
from manifests.review.validate import check_request

_ACCEPTING = (Verdict.APPROVE, Verdict.EDIT)
_COPIED = (
    "review_id",
    "media_id",
    "reviewer",
    "verdict",
    "caption_version",
    "caption_digest",
    "saw",
    "length",
    "new_text",
    "reason",
    "note",
    "start_s",
    "end_s",
)


def decide(context: DeskContext, request: DecisionRequest) -> Saved | Conflict | ConfirmNeeded:
    """Record a decision, or say why not."""
    return context.recording(lambda: _decide(context, request))


def _decide(context: DeskContext, request: DecisionRequest) -> Saved | Conflict | ConfirmNeeded:
    row = row_of(context.database, request.media_id)
    media = context.shower.media(row)
    check_request(request, max_text_chars=context.config.max_text_chars, duration_s=media["duration_s"])
    opinion = context.shower.opinions(row, media["caption_digest"])
    review = Review(
        clip_id=media["clip_id"],
        at=now(),
        blind=not opinion.complete,
        **{name: getattr(request, name) for name in _COPIED},
    )
    if _is_repeated(context, review):
        return context.saved(request.review_id, [row], repeated=True)
    if request.verdict is Verdict.EDIT and not media["version"]:
        raise ReviewError(
            "length: this clip has no caption to edit; run `kinora caption`, or `kinora captions import` "
            "with captions that you write, and load the page again"
        )
    decision = opinion.seen_by(request.reviewer, media["caption_digest"])
    texts = standing_texts(context.shower.caption(row, media["version"]), decision)
    if conflict := _conflict(request, opinion, texts, media["caption_digest"]):
        return conflict
    before, after = texts.get(request.length, ""), request.new_text or ""
    empties = request.verdict is Verdict.EDIT and before.strip() and not after.strip()
    if empties and not request.confirm:
        return ConfirmNeeded(media_id=request.media_id, length=request.length, text=before)
    context.store.record([review])
    return context.saved(request.review_id, [row])


def undo(context: DeskContext, target: str, review_id: str, reviewer: str) -> Saved | Conflict:
    """Withdraw a decision, an action, a vote or a withdrawal."""
    return context.recording(lambda: _undo(context, target, review_id, reviewer))


def _undo(context: DeskContext, target: str, review_id: str, reviewer: str) -> Saved | Conflict:
    single = reviews_table.find(context.database, target)
    rows = [single] if single else reviews_table.of_action(context.database, target)
    if not rows:
        raise ReviewError(f"target {target!r}: there is no decision and no action with this id")
    affected = sorted({row for each in rows for row in reviews_table.affected(context.database, each)})
    review = Review(
        review_id=review_id,
        clip_id=single.clip_id if single else "",
        media_id="",
        reviewer=reviewer,
        at=now(),
        verdict=Verdict.WITHDRAW,
        withdraws=target,
    )
    if _is_repeated(context, review):
        return context.saved(review_id, affected, repeated=True)
    _check_undo(context, rows, target, reviewer)
    is_decision = single is not None and single.verdict not in (Verdict.WITHDRAW, Verdict.COMPARE)
    decided = single if is_decision and affected else None
    if decided and (conflict := _decided_since(context, decided, affected[0], reviewer)):
        return conflict
    context.store.record([review])
    return context.saved(review_id, affected)


def adjudicate(
    context: DeskContext, media_id: str, side: int, *, saw: str, review_id: str, reviewer: str
) -> Saved | Conflict:
    """Settle a disagreement by one of its sides."""
    return context.recording(
        lambda: _adjudicate(context, media_id, side, saw=saw, review_id=review_id, reviewer=reviewer)
    )


def _adjudicate(
    context: DeskContext, media_id: str, side: int, *, saw: str, review_id: str, reviewer: str
) -> Saved | Conflict:
    row = row_of(context.database, media_id)
    if reviews_table.of_action(context.database, review_id):
        return context.saved(review_id, [row], repeated=True)
    check_unused(context, "review_id", review_id)
    media = context.shower.media(row)
    opinion = context.shower.opinions(row, media["caption_digest"])
    if not (opinion.complete and opinion.decision.disagreement):
        raise ReviewError(f"media_id {media_id!r}: its reviewers do not differ; it may be settled already")
    found = sides(opinion.rows, opinion.withdrawn)
    if not 0 <= side < len(found):
        raise ReviewError(f"side {side}: there are {len(found)} opinions, counted from 0")
    request = DecisionRequest(
        review_id=review_id, media_id=media_id, reviewer=reviewer, verdict=Verdict.FLAG, saw=saw
    )
    if conflict := _conflict(request, opinion, {}, media["caption_digest"]):
        return conflict
    version = opinion.rows[-1].caption_version
    context.store.record(_settling_rows(found, side, media, request, version))
    return context.saved(review_id, [row])


def _is_repeated(context: DeskContext, review: Review) -> bool:
    """Return whether a decision was recorded before. Raises ReviewError if its id is that of another one."""
    known = reviews_table.find(context.database, review.review_id)
    if known is not None and not same_decision(known, review):
        raise ReviewError(f"review_id {review.review_id}: another decision has this id; make a new one")
    if known is None:
        check_unused(context, "review_id", review.review_id)
    return known is not None


def check_unused(context: DeskContext, field: str, name: str) -> None:
    """Raise ReviewError if a review or an action has an id: a withdrawal of one would undo the other too."""
    database = context.database
    if reviews_table.of_action(database, name) or reviews_table.find(database, name):
        raise ReviewError(f"{field} {name}: another decision has this id; make a new one")


def _conflict(
    request: DecisionRequest, opinion: Opinions, texts: Mapping[str, str], caption_digest: str
) -> Conflict | None:
    """Return a conflict if the decision did not see the newest one, or accepts a caption that has changed."""
    newest = opinion.newest_for(request.reviewer)
    saw_now = newest.review_id if newest else ""
    changed = request.verdict in _ACCEPTING and request.caption_digest not in ("", caption_digest)
    if request.saw == saw_now and not changed:
        return None
    return Conflict(
        media_id=request.media_id,
        saw=request.saw,
        newest=newest,
        saw_now=saw_now,
        length=request.length,
        your_text=request.new_text or "",
        their_text=texts.get(request.length, ""),
        caption_changed=changed,
    )


def _check_undo(context: DeskContext, rows: Sequence[Review], target: str, reviewer: str) -> None:
    others = {row.reviewer for row in rows} - {reviewer}
    if others:
        raise ReviewError(
            f"target {target!r}: was decided by {', '.join(sorted(others))}; only they can undo it"
        )
    if {target, *(row.action for row in rows if row.action == target)} & reviews_table.withdrawn(
        context.database, rows
    ):
        raise ReviewError(f"target {target!r}: is undone already; undo that to have it again")


def _decided_since(context: DeskContext, row: Review, number: int, reviewer: str) -> Conflict | None:
    """Return a conflict if another decision, that the reviewer may see, came after theirs."""
    media = context.shower.media(number)
    opinion = context.shower.opinions(number, media["caption_digest"])
    newest = opinion.newest_for(reviewer)
    if newest is None or newest.review_id == row.review_id:
        return None
    decision = opinion.seen_by(reviewer, media["caption_digest"])
    texts = standing_texts(context.shower.caption(number, media["version"]), decision)
    return Conflict(
        media_id=row.media_id,
        saw=row.review_id,
        newest=newest,
        saw_now=newest.review_id,
        length=row.length,
        your_text=row.new_text or "",
        their_text=texts.get(row.length, ""),
    )


def _settling_rows(
    found: Sequence[Side], side: int, media: Mapping[str, Any], request: DecisionRequest, version: str
) -> list[Review]:
    """Return the rows that give the opinion of one side again, by somebody who saw all of them."""
    chosen = found[side]
    base = Review(
        review_id="",
        clip_id=media["clip_id"],
        media_id=request.media_id,
        reviewer=request.reviewer,
        at=now(),
        verdict=Verdict.APPROVE,
        caption_version=version,
        caption_digest=media["caption_digest"],
        reason=chosen.reason,
        note=chosen.note,
        action=request.review_id,
    )
    rows = list[Review]()
    if len({(each.verdict, *sorted(each.texts.items())) for each in found}) > 1:
        if chosen.verdict == Verdict.EDIT:
            edits = chosen.texts.items()
            rows += [
                replace(base, verdict=Verdict.EDIT, length=length, new_text=text) for length, text in edits
            ]
        elif chosen.verdict != Verdict.SPAN:
            rows.append(replace(base, verdict=Verdict(chosen.verdict)))
    if len({(each.start_s, each.end_s) for each in found}) > 1 and chosen.start_s is not None:
        rows.append(replace(base, verdict=Verdict.SPAN, start_s=chosen.start_s, end_s=chosen.end_s))
    if not rows:
        raise ReviewError(f"side {side}: says nothing about what differs; decide on the clip instead")
    saw, chained = request.saw, list[Review]()
    for index, row in enumerate(rows):
        review_id = digest_parts("settle", request.review_id, index)
        chained.append(replace(row, review_id=review_id, saw=saw))
        saw = review_id
    return chained
