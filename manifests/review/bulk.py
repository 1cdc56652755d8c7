"""Bulk edits: what they change, shown before and recorded as one action."""
# pyarrow has no complete types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, replace
from functools import partial
from secrets import token_hex
from typing import Any

from manifests.digest import digest_parts
from manifests.records import LENGTHS, Review, Verdict
from manifests.review import reviews_table
from manifests.review.cards import BulkPreview, BulkSample
from manifests.review.config import ReviewConfig
from manifests.review.context import DeskContext, now
from manifests.review.database import Database
from manifests.review.messages import BulkEdit, QueueFilter, ReviewError, Saved
from manifests.review.record import check_unused
from manifests.review.show import Shower
from manifests.review.state import standing_texts
from manifests.review.substitute import Substitution
from manifests.review.validate import MAX_NOTE_CHARS, check_text

_Edit = Callable[[list[str]], list[str]]
_Change = tuple[int, str, str, dict[str, str]]
"""Row of a media, newest decision seen, digest of the caption seen, new texts by length."""
_Found = tuple[int, str, str, dict[str, str], dict[str, str]]
"""Row of a media, newest decision seen, digest of the caption seen, texts before and after by length."""
_TEXT_KINDS = ("replace", "prefix", "suffix", "trim")
_VERDICT_KINDS = ("approve", "reject", "flag")
_CHUNK_ROWS = 500
_PREVIEWS_KEPT = 5


def check(edit: BulkEdit, config: ReviewConfig) -> None:
    """Raise ReviewError if a bulk edit is not complete."""
    if edit.kind not in (*_TEXT_KINDS, *_VERDICT_KINDS):
        raise ReviewError(f"kind {edit.kind!r}: use {', '.join((*_TEXT_KINDS, *_VERDICT_KINDS))}")
    if unknown := {*edit.lengths} - {*LENGTHS}:
        raise ReviewError(f"lengths: {', '.join(sorted(unknown))}: use {', '.join(LENGTHS)}")
    if edit.kind in ("prefix", "suffix") and not edit.replacement:
        raise ReviewError(f"replacement: is empty; write the {edit.kind}")
    if edit.kind == "replace" and not edit.pattern:
        raise ReviewError("pattern: is empty; write what to replace")
    if edit.kind == "reject" and not edit.reason.strip():
        raise ReviewError("reason: is empty; a rejection needs one")
    for name in ("reason", "note", "pattern"):
        check_text(name, getattr(edit, name), MAX_NOTE_CHARS)
    check_text("replacement", edit.replacement, config.max_text_chars)


def preview(context: DeskContext, edit: BulkEdit, *, reviewer: str, samples: int) -> BulkPreview:
    """Compute what an edit changes and keep it under a token, with what was seen."""
    check(edit, context.config)
    token, shown, changed, texts_changed = token_hex(16), list[BulkSample](), 0, 0
    rows = context.queues.all_rows(edit.filter)
    _drop_old(context.database)
    with context.database.transaction() as connection:
        connection.execute(
            "INSERT INTO bulk_edits (token, edit) VALUES (?, ?)", (token, json.dumps(asdict(edit)))
        )
    with _editing(edit, context.config) as apply:
        for first in range(0, len(rows), _CHUNK_ROWS):
            found = [*_changes(context.shower, edit, apply, rows[first : first + _CHUNK_ROWS], reviewer)]
            _check_texts(found, context.config)
            with context.database.transaction() as connection:
                connection.executemany(
                    "INSERT INTO bulk VALUES (?, ?, ?, ?, ?, ?)",
                    (
                        (token, changed + number, row, saw, digest, json.dumps(after))
                        for number, (row, saw, digest, _, after) in enumerate(found)
                    ),
                )
            for row, _, _, before, after in found[: max(0, samples - changed)]:
                shown += _samples(context.shower.media(row)["media_id"], before, after, edit)
            changed += len(found)
            texts_changed += sum(len(after) for *_, after in found)
    return BulkPreview(
        token=token,
        matched=len(rows),
        changed=changed,
        texts_changed=texts_changed,
        samples=tuple(shown[:samples]),
    )


def apply(context: DeskContext, token: str, *, action: str, reviewer: str) -> Saved:
    """Record what a preview showed, some hundreds of media at a time, as rows of one action."""
    edit = _edit_of(context.database, token)
    known = reviews_table.of_action(context.database, action)
    if known and known[0].reviewer != reviewer:
        raise ReviewError(f"action {action}: somebody else's action has this id; make a new one")
    if not known:
        check_unused(context, "action", action)
    changed, skipped = list[str](), 0
    for chunk in _kept_changes(context.database, token):
        built = context.recording(partial(_record, context, edit, chunk, action, reviewer))
        skipped += sum(not each for each in built)
        changed += [each[0].media_id for each in built if each]
    return Saved(
        review_id=action, media_ids=tuple(changed), decision=None, repeated=bool(known), skipped=skipped
    )


def _record(
    context: DeskContext, edit: BulkEdit, chunk: Sequence[_Change], action: str, reviewer: str
) -> list[list[Review]]:
    """Record some changes as one entry; return the rows of each."""
    built = [_reviews(context, edit, change, action, reviewer) for change in chunk]
    rows = [review for each in built for review in each]
    new = [row for row in rows if reviews_table.find(context.database, row.review_id) is None]
    if new:
        context.store.record(new)
    return built


def _reviews(
    context: DeskContext, edit: BulkEdit, change: _Change, action: str, reviewer: str
) -> list[Review]:
    """Return the rows of a change on one media; none if somebody decided on it, or its caption changed."""
    row, saw, digest, texts = change
    shower = context.shower
    rows = context.database.read("SELECT 1 FROM state WHERE row = ?", row)
    if not rows:
        return []  # its clip was dropped
    media = shower.media(row)
    opinion = shower.opinions(row, media["caption_digest"])
    newest = opinion.newest_for(reviewer)
    if newest is not None and newest.action == action:
        return [each for each in opinion.rows if each.action == action]  # recorded before a stop
    if (newest.review_id if newest else "") != saw or media["caption_digest"] != digest:
        return []
    base = Review(
        review_id="",
        clip_id=media["clip_id"],
        media_id=media["media_id"],
        reviewer=reviewer,
        at=now(),
        verdict=Verdict.EDIT if edit.kind in _TEXT_KINDS else Verdict(edit.kind),
        caption_version=shower.version(media["version"]),
        caption_digest=digest,
        blind=not opinion.complete,
        reason=edit.reason,
        note=edit.note,
        action=action,
    )
    found = list[Review]()
    for length, text in (texts or {"": None}).items():
        review_id = digest_parts("bulk", action, media["media_id"], length)
        found.append(replace(base, review_id=review_id, saw=saw, length=length, new_text=text))
        saw = review_id
    return found


def _edit_of(database: Database, token: str) -> BulkEdit:
    """Return the edit of a preview. Raises ReviewError if it is not kept any more."""
    rows = database.read("SELECT edit FROM bulk_edits WHERE token = ?", token)
    if not rows:
        raise ReviewError("token: this preview is not kept any more; make a new one")
    values: dict[str, Any] = json.loads(rows[0][0])
    values["filter"] = QueueFilter(**values["filter"])
    return BulkEdit(**values)


def _kept_changes(database: Database, token: str) -> Iterator[list[_Change]]:
    """Yield row, newest decision seen, caption digest and new texts by length, some hundreds at a time."""
    first = 0
    while rows := database.read(
        "SELECT row, saw, caption_digest, changes FROM bulk WHERE token = ? AND number >= ? AND number < ? "
        "ORDER BY number",
        token,
        first,
        first + _CHUNK_ROWS,
    ):
        yield [(row, saw, digest, json.loads(texts)) for row, saw, digest, texts in rows]
        first += _CHUNK_ROWS


def _drop_old(database: Database) -> None:
    with database.transaction() as connection:
        tokens = [row for (row,) in connection.execute("SELECT token FROM bulk_edits ORDER BY number")]
        for token in tokens[: max(0, len(tokens) - _PREVIEWS_KEPT + 1)]:
            connection.execute("DELETE FROM bulk WHERE token = ?", (token,))
            connection.execute("DELETE FROM bulk_edits WHERE token = ?", (token,))


def _editing(edit: BulkEdit, config: ReviewConfig) -> AbstractContextManager[_Edit | None]:
    """Return a context manager that gives the function from texts to texts; None for a verdict."""
    if edit.kind == "replace":
        return _Replacing(edit, config)
    if edit.kind in _TEXT_KINDS:
        return nullcontext(partial(_edit_all, edit))
    return nullcontext(None)


def _edit_all(edit: BulkEdit, texts: list[str]) -> list[str]:
    match edit.kind:
        case "prefix":
            return [_with_prefix(edit.replacement, text) for text in texts]
        case "suffix":
            return [_with_suffix(text, edit.replacement) for text in texts]
        case _:
            return [" ".join(text.split()) for text in texts]


class _Replacing(AbstractContextManager[_Edit]):
    def __init__(self, edit: BulkEdit, config: ReviewConfig) -> None:
        self._substitution = Substitution(
            edit.pattern,
            edit.replacement,
            ignore_case=edit.ignore_case,
            timeout_s=config.regex_timeout_s,
            max_chars=config.max_text_chars,
        )

    def __enter__(self) -> _Edit:
        return self._substitution.__enter__().apply

    def __exit__(self, *error: object) -> None:
        self._substitution.__exit__(*error)


def _with_prefix(prefix: str, text: str) -> str:
    return text if text.startswith(prefix) else prefix + text


def _with_suffix(text: str, suffix: str) -> str:
    return text if text.endswith(suffix) else text + suffix


def _changes(
    shower: Shower, edit: BulkEdit, apply: _Edit | None, rows: Sequence[int], reviewer: str
) -> Iterator[_Found]:
    """Yield what an edit changes."""
    seen = list[tuple[int, str, str, dict[str, str]]]()
    for row in rows:
        media = shower.media(row)
        opinion = shower.opinions(row, media["caption_digest"])
        newest = opinion.newest_for(reviewer)
        decision = opinion.seen_by(reviewer, media["caption_digest"])
        saw = newest.review_id if newest else ""
        if apply is None:
            if decision.verdict != edit.kind:
                yield row, saw, media["caption_digest"], {}, {}
            continue
        texts = standing_texts(shower.caption(row, media["version"]), decision)
        wanted = {length: text for length, text in texts.items() if length in (edit.lengths or LENGTHS)}
        seen.append((row, saw, media["caption_digest"], wanted))
    if apply is None:
        return
    flat = [text for *_, texts in seen for text in texts.values()]
    edited = iter(apply(flat) if flat else [])
    for row, saw, digest, texts in seen:
        after = {length: next(edited) for length in texts}
        changed = {length: text for length, text in after.items() if text != texts[length]}
        if changed:
            yield row, saw, digest, texts, changed


def _check_texts(changes: Sequence[_Found], config: ReviewConfig) -> None:
    """Raise ReviewError if an edit makes a text that cannot be recorded."""
    for *_, after in changes:
        for length, text in after.items():
            check_text(f"replacement: a {length} text", text, config.max_text_chars)


def _samples(
    media_id: str, before: dict[str, str], after: dict[str, str], edit: BulkEdit
) -> list[BulkSample]:
    if edit.kind in _VERDICT_KINDS:
        return [BulkSample(media_id=media_id, length="", before="", after=edit.kind)]
    return [
        BulkSample(media_id=media_id, length=length, before=before[length], after=text)
        for length, text in after.items()
    ]
