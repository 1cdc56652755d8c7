"""Checks of what is sent to the desk. Each raises ReviewError with the field and the remedy."""

import re
from math import isfinite

from manifests.records import LENGTHS, Verdict
from manifests.review.messages import DecisionRequest, ReviewError

_ID = re.compile(r"[0-9a-f]{8,64}")
_MAX_NAME, MAX_NOTE_CHARS = 100, 2_000
_DECISIONS = (Verdict.APPROVE, Verdict.EDIT, Verdict.REJECT, Verdict.FLAG, Verdict.SPAN)


def check_id(name: str, value: str) -> None:
    """Check an id that a client made."""
    if not _ID.fullmatch(value):
        raise ReviewError(f"{name} {value!r}: must be 8 to 64 hexadecimal digits in lower case")


def check_reviewer(reviewer: str) -> None:
    """Check the name of a reviewer."""
    if not reviewer.strip() or len(reviewer) > _MAX_NAME or not reviewer.isprintable():
        raise ReviewError(
            f"reviewer {reviewer!r}: must be a printable name of at most {_MAX_NAME} characters"
        )


def check_text(name: str, text: str, max_chars: int) -> None:
    """Check a text that is to be stored as UTF-8."""
    if len(text) > max_chars:
        raise ReviewError(f"{name}: has {len(text)} characters; at most {max_chars} are allowed")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ReviewError(f"{name}: is not text ({error.reason} at {error.start}); write it again") from None
    if "\0" in text:
        raise ReviewError(f"{name}: holds a NUL character; remove it")


def check_request(request: DecisionRequest, *, max_text_chars: int, duration_s: float) -> None:
    """Check a decision on a media that lasts `duration_s` seconds."""
    if request.verdict not in _DECISIONS:
        raise ReviewError(f"verdict {request.verdict!r}: use {', '.join(each.value for each in _DECISIONS)}")
    for name in ("reason", "note", "saw", "caption_version", "caption_digest"):
        check_text(name, getattr(request, name), MAX_NOTE_CHARS)
    if request.verdict is Verdict.EDIT:
        if request.length not in LENGTHS:
            raise ReviewError(f"length {request.length!r}: an edit names its text; use {', '.join(LENGTHS)}")
        if request.new_text is None:
            raise ReviewError("new_text: is missing; an edit needs it")
        check_text("new_text", request.new_text, max_text_chars)
    elif request.new_text is not None or request.length:
        raise ReviewError(f"new_text, length: only an edit has them, not {request.verdict.value!r}")
    if request.verdict is Verdict.REJECT and not request.reason.strip():
        raise ReviewError("reason: is empty; a rejection needs one")
    if request.verdict is Verdict.SPAN:
        check_span(request.start_s, request.end_s, duration_s)
    elif request.start_s is not None or request.end_s is not None:
        raise ReviewError(f"start_s, end_s: only a span has them, not {request.verdict.value!r}")


def check_span(start_s: float | None, end_s: float | None, duration_s: float) -> None:
    """Check a span inside a media; its end may be later by the rounding of a page."""
    if start_s is None or end_s is None:
        raise ReviewError("start_s, end_s: a span needs both")
    if not (isfinite(start_s) and isfinite(end_s) and 0 <= start_s < end_s <= duration_s + 0.001):
        raise ReviewError(
            f"start_s {start_s:g}, end_s {end_s:g}: must hold 0 <= start_s < end_s <= {duration_s:g} seconds"
        )
