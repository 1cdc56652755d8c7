"""Find texts that repeat themselves, in any language, with or without spaces between words."""

import re
import zlib
from collections import Counter

from captioner.phrasebook import NO_SPACES, without_quotes

_WORD = re.compile(r"\w+")
_DENSE_CHAR = re.compile(rf"[{NO_SPACES}]")
"""A character that stands for about as much as two letters."""
_SENTENCE_END = re.compile(r"[.!?\n。！？।؟۔…]+")
_MIN_RUN = 24
"""Minimum number of letters in a run of equal units."""
_MIN_SHORT_RUN = 8
"""Minimum number of units in a run of short units."""
_SEED = 8
"""Characters that are looked for again to find a run."""
_PHRASE_WORDS, _PHRASE_CHARS = 4, 8
"""Length of a repeated phrase: in words, or in characters of a script without spaces."""
_MAX_COMPRESSION = 3.5
"""Maximum compression of a text by zlib, one byte a character. Captions of up to 640 characters reach 2.3."""
_MIN_COMPRESSED = 200
"""Minimum length of a text whose compression is judged, in characters."""


def repetition(text: str) -> str:
    """Return what `text` repeats, or an empty string.

    A repetition is a word at least four times in a row, a longer unit at least three times, a sentence at
    least three times anywhere, phrases that make up a third of the text, or a text that compresses far better
    than captions do. Numbers do not tell repeated units apart. Quotations are left out.
    """
    unquoted = re.sub(r"\s+", " ", without_quotes(text).casefold()).strip()
    if len(unquoted) * 2 < len(text):  # most of it is quoted
        unquoted = re.sub(r"\s+", " ", text.casefold()).strip()
    return (
        _repeated_word(unquoted)
        or _repeated_unit(unquoted)
        or _repeated_sentence(text)
        or _frequent_phrase(unquoted)
        or _compressible(unquoted)
    )


def _repeated_word(text: str) -> str:
    words = _WORD.findall(text)
    return next((words[i] for i in range(len(words) - 3) if len({*words[i : i + 4]}) == 1), "")


def _repeated_unit(text: str) -> str:
    return _run(text) or _run(re.sub(r"\d+", "0", text))


def _run(text: str) -> str:
    """Return a unit that occurs at least three times in a row, long enough to be a loop.

    Each occurrence of the same `_SEED` characters gives a candidate for the distance between units. A run
    that is no loop, as of dots, is looked at once.
    """
    last: dict[str, int] = {}
    at = -1
    while (at := at + 1) <= len(text) - _SEED:
        seed = text[at : at + _SEED]
        before = last.get(seed)
        last[seed] = at
        if before is None:
            continue
        size = at - before
        unit, times = text[before:at], 1
        while text.startswith(unit, before + times * size):
            times += 1
        enough = times >= 3 and _letters(unit) >= 6 and _letters(unit) * times >= _MIN_RUN
        if enough or (times >= _MIN_SHORT_RUN and _letters(unit)):
            return unit.strip()
        at = max(at, before + (times - 1) * size - _SEED)
    return ""


def _letters(text: str) -> int:
    """Return the number of letters; a character of a script without spaces counts twice."""
    return sum(char.isalpha() for char in text) + len(_DENSE_CHAR.findall(text))


def _repeated_sentence(text: str) -> str:
    sentences = (" ".join(sentence.split()).casefold() for sentence in _SENTENCE_END.split(text))
    long = (sentence for sentence in sentences if len(sentence.split()) > 2 or _letters(sentence) >= 12)
    counts = Counter(long).most_common(1)
    return counts[0][0] if counts and counts[0][1] >= 3 else ""


def _frequent_phrase(text: str) -> str:
    words = _WORD.findall(text)
    if len(words) >= 24 and (phrase := _most_frequent(words, _PHRASE_WORDS)):
        return " ".join(phrase)
    chars = [char for char in text if char.isalnum()]
    if len(_DENSE_CHAR.findall(text)) >= 40 and (phrase := _most_frequent(chars, _PHRASE_CHARS)):
        return "".join(phrase)
    return ""


def _most_frequent(items: list[str], size: int) -> tuple[str, ...]:
    """Return the run of `size` items that occurs at least four times and makes up a third of `items`."""
    phrase, count = Counter(zip(*(items[k:] for k in range(size)), strict=False)).most_common(1)[0]
    return phrase if count >= 4 and count * size >= len(items) / 3 else ()


def _compressible(text: str) -> str:
    if len(text) < _MIN_COMPRESSED:
        return ""
    alphabet = {char: min(index, 255) for index, (char, _) in enumerate(Counter(text).most_common())}
    size = len(zlib.compress(bytes(map(alphabet.__getitem__, text))))
    return f"{text[:40]}…" if len(text) / size > _MAX_COMPRESSION else ""
