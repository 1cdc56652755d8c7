"""Claims that quote what is heard: no frame can support them."""

import re
from collections.abc import Sequence
from dataclasses import replace

from captioner.claims.claim import TextClaim
from captioner.phrasebook import normalize

_WORD = re.compile(r"[^\W_]+")


def mark_heard(claims: Sequence[TextClaim], heard: str) -> list[TextClaim]:
    """Return the claims, those that quote words of the transcript `heard` as claims of speech."""
    known = _words(heard)
    return [
        replace(claim, kind="speech") if claim.kind == "text" and _quotes(claim.value, known) else claim
        for claim in claims
    ]


def _quotes(value: str, known: str) -> bool:
    words = _words(value)
    return bool(words.strip()) and words in known


def _words(text: str) -> str:
    """Return the words of a text between spaces, without case, accents and punctuation."""
    return f" {' '.join(_WORD.findall(normalize(text)))} "
