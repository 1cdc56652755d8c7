"""Delete the unsupported claims of a caption. Words are only taken away, so nothing is invented."""

import re
from collections.abc import Sequence

from captioner.claims.claim import CheckedClaim, ClaimVerdict
from captioner.claims.split import Sentence, split_sentences

_UNSUPPORTED = (ClaimVerdict.CONTRADICTED, ClaimVerdict.UNSEEN)
_MODIFIER = ("attribute", "count")


def refine(text: str, claims: Sequence[CheckedClaim]) -> str:
    """Return a text without its unsupported claims.

    An unsupported adjective is deleted wherever it describes its noun; any other unsupported claim deletes
    its sentence. The result is empty if nothing is left.

    Args:
        claims: of `split_claims(text)`, checked.
    """
    bad = [each.claim for each in claims if each.verdict in _UNSUPPORTED]
    words = {
        (each.value, each.subject)
        for each in bad
        if each.kind == "attribute" and _is_modifier(text, each.start, each.end)
    }
    dropped = {each.sentence for each in bad if (each.value, each.subject) not in words}
    kept: list[str] = []
    for index, sentence in enumerate(split_sentences(text)):
        if index not in dropped and (shorter := _without(sentence, words)):
            kept.append(shorter)
    return " ".join(kept)


def _is_modifier(text: str, start: int, end: int) -> bool:
    """Return whether an attribute stands before its noun, so that it can be deleted alone."""
    return len(text[start:end].split()) > 1


def _without(sentence: Sentence, words: set[tuple[str, str]]) -> str:
    """Return a sentence without adjectives before their nouns; empty if one of them stands elsewhere."""
    text = sentence.text
    for adjective, noun in sorted(words):
        between = r"(?:[\w-]+\s+){0,3}?"
        pattern = rf"\b{re.escape(adjective)}\b,?\s+(?={between}{re.escape(noun)}\b)"
        text = re.sub(pattern, "", text, flags=re.IGNORECASE)
        if re.search(
            rf"\b{re.escape(adjective)}\b[^.]*\b{re.escape(noun)}\b", text, re.IGNORECASE
        ) or re.search(rf"\b{re.escape(noun)}\b[^.]*\b{re.escape(adjective)}\b", text, re.IGNORECASE):
            return ""
    text = re.sub(r"\b([Aa])n(?=\s+[^aeiouAEIOU\s])", r"\1", text)
    return re.sub(r"(?<!\w)([Aa])(?=\s+[aeiou])", r"\1n", text)
