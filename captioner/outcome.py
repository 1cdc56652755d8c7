"""Decide how an attempt at a caption ended: a pure function of the raw answer."""

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
_LOOP_WORDS = 4
"""A phrase of so many words that fills a third of an answer is a loop."""


def classify(raw: str, *, ended: bool) -> tuple[Outcome, str]:
    """Return the outcome of `raw` and a detail for a person to read.

    `ended` is False when generation stopped at its token limit and not by the model's own end token.
    A loop is reported as a loop also when it ran into the limit: raising the limit would not help.
    """
    text = raw.strip()
    if not _WORD.search(text):
        return Outcome.EMPTY, "no words in the answer"
    if loop := repetition(text):
        return Outcome.DEGENERATE, f"repeats {loop!r}"
    if not ended:
        return Outcome.TRUNCATED, f"stopped at the token limit after {len(text)} characters"
    if match := _REFUSAL.search(text.replace("’", "'")):
        return Outcome.REFUSED, f"begins with {match.group(0).strip()!r}"
    return Outcome.OK, ""


def repetition(text: str) -> str:
    """Return the phrase that `text` loops on, or an empty string.

    A loop is one word at least four times in a row, a sentence at least three times, or a phrase of
    four words that, counted without overlap, makes up a third or more of at least 24 words.
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
    phrases = Counter(zip(*(words[k:] for k in range(_LOOP_WORDS)), strict=False))
    phrase, count = phrases.most_common(1)[0]
    return " ".join(phrase) if count * _LOOP_WORDS >= len(words) / 3 and count >= 4 else ""
