"""Check claims against the measurements of a clip; pure functions.

A colour claim is supported where the colour shows at all: the measurements do not know what a thing is.
Claims that they cannot tell stay without a verdict.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from captioner.claims.claim import CheckedClaim, ClaimVerdict, TextClaim
from captioner.claims.measures import (
    BRIGHT_L,
    COLORS,
    DARK_L,
    MOVING_WIDTHS,
    STILL_WIDTHS,
    SYNONYMS,
    WAYS,
    ZOOM_RATE,
    ClipMeasures,
    color_time,
    shown_color,
    terms_of,
)

ReadText = Callable[[], Sequence[str]]
"""Returns the lines of text that a reader found in the frames."""
_MOVES, _MOVES_NOT = 0.2, 0.03
"""Fraction of the moving pixels from which something moves one way, and up to which nothing does."""
_LIGHT_OF = {"light", "lighting", "scene", "sky", "room", "picture", "video", "clip", "image", "night", "day"}
_READ_LIKE = 0.75
"""Least similarity of a quotation to a line that was read (Ratcliff and Obershelp's ratio)."""
_OPPOSITE = {"left": "right", "right": "left", "up": "down", "down": "up"}


@dataclass(frozen=True, kw_only=True, slots=True)
class _Found:
    verdict: ClaimVerdict | None
    time_s: float | None = None


_UNKNOWN = _Found(verdict=None)


def check_measured(
    claims: Sequence[TextClaim], measures: ClipMeasures, read_text: ReadText | None = None
) -> list[CheckedClaim]:
    """Return the claims with the verdicts of measurements.

    Args:
        read_text: called once, if a claim quotes text; without it, quotations have no verdict.
    """
    lines = read_text() if read_text and any(claim.kind == "text" for claim in claims) else None
    found = [_check(claim, measures, lines) for claim in claims]
    return [
        CheckedClaim(claim=claim, verdict=each.verdict, start_s=each.time_s, end_s=each.time_s)
        for claim, each in zip(claims, found, strict=True)
    ]


def _check(claim: TextClaim, measures: ClipMeasures, lines: Sequence[str] | None) -> _Found:
    if claim.kind == "attribute":
        return _attribute(claim, measures)
    if claim.kind == "camera":
        return _camera(claim, measures)
    if claim.kind == "action":
        return _action(claim, measures)
    if claim.kind == "text" and lines is not None:
        return _Found(verdict=_verdict(_is_read(claim.value, lines)))
    return _UNKNOWN


def _attribute(claim: TextClaim, measures: ClipMeasures) -> _Found:
    if claim.value in COLORS or claim.value in SYNONYMS:
        shown = shown_color(measures, claim.value)
        return _Found(verdict=_verdict(shown), time_s=color_time(measures, claim.value) if shown else None)
    if claim.subject in _LIGHT_OF and claim.value in ("dark", "dim", "bright", "sunny"):
        light = float(measures.lightness_T.mean())
        if DARK_L <= light <= BRIGHT_L:
            return _UNKNOWN
        right = (light > BRIGHT_L) == (claim.value in ("bright", "sunny"))
        return _Found(verdict=ClaimVerdict.SUPPORTED if right else ClaimVerdict.CONTRADICTED)
    return _UNKNOWN


def _camera(claim: TextClaim, measures: ClipMeasures) -> _Found:
    terms = terms_of(claim.text)
    if measures.camera is None or not terms:
        return _UNKNOWN
    right, up, zoom = measures.camera
    speed = max(abs(right), abs(up))
    if "camera still" in terms:
        if speed < MOVING_WIDTHS and abs(zoom) < ZOOM_RATE:
            return _Found(verdict=ClaimVerdict.SUPPORTED)
        return _Found(verdict=ClaimVerdict.CONTRADICTED if speed > 2 * MOVING_WIDTHS else None)
    if zooms := terms & {"zoom in", "zoom out"}:
        growth = zoom if "zoom in" in zooms else -zoom
        return _Found(verdict=_signed(growth, ZOOM_RATE))
    speeds = {"left": -right, "right": right, "up": up, "down": -up}
    named = [way for way in WAYS if f"camera {way}" in terms]
    if not named:
        return _UNKNOWN
    verdicts = {_signed(speeds[way], STILL_WIDTHS) for way in named}
    return _Found(verdict=verdicts.pop() if len(verdicts) == 1 else None)


def _signed(value: float, limit: float) -> ClaimVerdict:
    """Return the verdict on a motion with a sign: not there, or against it."""
    if value >= limit:
        return ClaimVerdict.SUPPORTED
    return ClaimVerdict.CONTRADICTED if value <= -limit else ClaimVerdict.UNSEEN


def _action(claim: TextClaim, measures: ClipMeasures) -> _Found:
    named = [way for way in WAYS if f"moves {way}" in terms_of(claim.text)]
    if not named or measures.camera is None:
        return _UNKNOWN
    if measures.ways is None:
        return _Found(verdict=ClaimVerdict.UNSEEN) if _camera_is_still(measures) else _UNKNOWN
    shares: dict[str, float] = dict(zip(WAYS, measures.ways, strict=True))
    if all(shares[way] >= _MOVES for way in named):
        return _Found(verdict=ClaimVerdict.SUPPORTED)
    if any(shares[way] <= _MOVES_NOT < 0.5 <= shares[_OPPOSITE[way]] for way in named):
        return _Found(verdict=ClaimVerdict.CONTRADICTED)
    return _UNKNOWN


def _camera_is_still(measures: ClipMeasures) -> bool:
    right, up, zoom = measures.camera or (0.0, 0.0, 0.0)
    return max(abs(right), abs(up)) < STILL_WIDTHS and abs(zoom) < ZOOM_RATE


def _is_read(quotation: str, lines: Sequence[str]) -> bool:
    wanted = _plain(quotation)
    read = [_plain(line) for line in lines]
    together = "".join(read)
    return (
        not wanted
        or wanted in together
        or any(SequenceMatcher(None, wanted, each, autojunk=False).ratio() >= _READ_LIKE for each in read)
    )


def _plain(text: str) -> str:
    return re.sub(r"\W+", "", text.lower())


def _verdict(shown: bool | None) -> ClaimVerdict | None:
    if shown is None:
        return None
    return ClaimVerdict.SUPPORTED if shown else ClaimVerdict.UNSEEN
