"""Classify the raw answer of a captioner."""

import re
from collections import Counter

from manifests.records import Outcome

_REFUSAL = re.compile(
    r"^\W*(i'?m sorry|i am sorry|sorry,|i apologi[sz]e|unfortunately, i|as an ai\b|as a language model"
    r"|i('m| am) (not able|unable) to|i (can ?not|can'?t|won'?t|do not|don'?t|am unable to) "
    r"(see|view|watch|assist|help|describe|provide|comply|process|fulfil|access|identify))",
    re.IGNORECASE,
)
_WORD = re.compile(r"\w+")
_PHRASE_WORDS = 4
"""Length of a repeated phrase, in words."""


def classify(raw: str, *, ended: bool) -> tuple[Outcome, str]:
    """Return the outcome of an answer, and the reason when it is not OK.

    A repetitive answer is DEGENERATE even when it was also cut off.

    Args:
        ended: whether generation stopped at an end token, not at the token limit.
    """
    text = raw.strip()
    if not _WORD.search(text):
        return Outcome.EMPTY, "no words in the answer"
    if phrase := repetition(text):
        return Outcome.DEGENERATE, f"repeats {phrase!r}"
    if not ended:
        return Outcome.TRUNCATED, f"stopped at the token limit after {len(text)} characters"
    if match := _REFUSAL.search(text.replace("’", "'")):
        return Outcome.REFUSED, f"begins with {match.group(0).strip()!r}"
    return Outcome.OK, ""


def repetition(text: str) -> str:
    """Return the phrase that `text` repeats, or an empty string.

    A repetition is one word at least four times in a row, a sentence at least three times, or a phrase of
    four words that makes up a third or more of at least 24 words.
    """
    words = [word.lower() for word in _WORD.findall(text)]
    for i in range(len(words) - 3):
        if len(set(words[i : i + 4])) == 1:
            return words[i]
    sentences = Counter(s.strip().lower() for s in re.split(r"[.!?\n]+", text) if len(s.split()) > 2)
    if sentences and (top := sentences.most_common(1)[0])[1] >= 3:
        return top[0]
    if len(words) < 24:
        return ""
    phrases = Counter(zip(*(words[k:] for k in range(_PHRASE_WORDS)), strict=False))
    phrase, count = phrases.most_common(1)[0]
    return " ".join(phrase) if count * _PHRASE_WORDS >= len(words) / 3 and count >= 4 else ""
