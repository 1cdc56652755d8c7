"""Phrases that captioners use instead of, before or after a caption, in many languages.

The phrases are data (answer_phrases.yaml). They are matched in normalised text, without case and accents, so
that one spelling covers `Désolé`, `desole` and `DÉSOLÉ`.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

_FILE = Path(__file__).with_name("answer_phrases.yaml")
_PLAIN = str.maketrans(
    {
        "’": "'",
        "‘": "'",
        "ʼ": "'",
        "´": "'",
        "“": '"',
        "”": '"',
        "。": ".",
        "、": ",",
        "？": "?",
        "۔": ".",
        "।": ".",
    }
    | {"ı": "i", "ł": "l", "Ł": "l", "đ": "d", "Đ": "d", "ø": "o", "Ø": "o", "æ": "ae", "Æ": "ae", "œ": "oe"}
)
_SOUTH_EAST_ASIAN, _CHINESE = r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff", r"\u3400-\u9fff\uf900-\ufaff"
_JAPANESE, _KOREAN = r"\u3040-\u30ff", r"\u1100-\u11ff\uac00-\ud7af"
NO_SPACES = _SOUTH_EAST_ASIAN + _CHINESE + _JAPANESE + _KOREAN
"""Ranges of characters of scripts without spaces between words, and of Korean, whose words take endings."""
_ACCENT = re.compile(r"[\u0300-\u036f\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0670]")
"""Accents of Latin, Greek and Cyrillic letters, and Hebrew and Arabic marks that are often left out."""
QUOTED = re.compile(
    "|".join(
        rf"{begin}[^{end}\n]{{1,300}}{end}"
        for begin, end in ('""', "“”", "„“", "„”", "«»", "»«", "「」", "『』", "《》", "‘’", "``")
    )
    + r"|(?<!\w)'[^'\n]{1,300}'(?!\w)"
)


def normalize(text: str) -> str:
    """Return `text` in lower case, without accents and invisible characters, with plain punctuation."""
    if text.isascii():
        return text.lower()
    decomposed = unicodedata.normalize("NFKD", text.casefold().translate(_PLAIN))
    return "".join(c for c in _ACCENT.sub("", decomposed) if unicodedata.category(c) != "Cf")


def without_quotes(text: str) -> str:
    """Return `text` with its quotations emptied: what signs and people in a video say is no answer."""
    return QUOTED.sub('""', text)


@dataclass(frozen=True, kw_only=True, slots=True)
class Phrasebook:
    """The phrases of one language by kind (the keys of answer_phrases.yaml), for `normalize`d text."""

    script: str
    """First word of the Unicode names of its letters, such as LATIN."""
    start: str
    """Pattern of the place where a phrase may begin."""
    patterns: Mapping[str, re.Pattern[str]]

    def search(self, kind: str, text: str) -> re.Match[str] | None:
        """Return the first phrase of `kind` in `text`."""
        return self.patterns[kind].search(text) if kind in self.patterns else None

    def match(self, kind: str, text: str) -> re.Match[str] | None:
        """Return the phrase of `kind` that `text` begins with."""
        return self.patterns[kind].match(text) if kind in self.patterns else None


@cache
def _phrasebooks() -> tuple[Phrasebook, ...]:
    books: dict[str, dict[str, str]] = yaml.safe_load(_FILE.read_text(encoding="utf-8"))
    return tuple(
        _phrasebook({kind: normalize(text) for kind, text in book.items()}) for book in books.values()
    )


def _phrasebook(book: Mapping[str, str]) -> Phrasebook:
    """Compile the phrases of one language; where words are set apart, a phrase begins at the start of one."""
    script = Counter(_script(char) for char in book["task"] if char.isalpha()).most_common(1)[0][0]
    start = "" if re.search(f"[{NO_SPACES}]", book["task"]) else r"(?<!\w)"
    patterns = {kind: re.compile(f"{start}(?:{pattern})") for kind, pattern in book.items() if pattern}
    return Phrasebook(script=script, start=start, patterns=patterns)


@cache
def _all(kind: str, script: str) -> re.Pattern[str]:
    """Return the pattern of all phrases of `kind` in one script, which tells fast that a text has none."""
    books = [book for book in _phrasebooks() if book.script == script and kind in book.patterns]
    patterns = (book.patterns[kind].pattern.removeprefix(book.start) for book in books)
    return re.compile(f"{books[0].start}(?:{'|'.join(patterns)})" if books else "(?!)")


def _scripts(text: str) -> set[str]:
    return {_script(char) for char in {*text} if char.isalpha()}


@cache
def _script(char: str) -> str:
    return unicodedata.name(char, "").partition(" ")[0]


def phrasebooks_with(kinds: Iterable[str], text: str, *, at_start: bool = False) -> list[Phrasebook]:
    """Return the phrasebooks in the scripts of normalised `text`, if it has a phrase of any of `kinds`.

    Args:
        at_start: look for one that the text begins with.
    """

    def has(kind: str, script: str) -> bool:
        pattern = _all(kind, script)
        return (pattern.match(text) if at_start else pattern.search(text)) is not None

    found = {script for script in _scripts(text) if any(has(kind, script) for kind in kinds)}
    return [book for book in _phrasebooks() if book.script in found] if found else []


def find(kind: str, text: str) -> re.Match[str] | None:
    """Return the first phrase of `kind` in normalised `text`, in any language."""
    return next(
        (found for book in phrasebooks_with([kind], text) if (found := book.search(kind, text))), None
    )


def begins_with(kind: str, text: str) -> re.Match[str] | None:
    """Return the longest phrase of `kind` that normalised `text` begins with, in any language."""
    found = (book.match(kind, text) for book in phrasebooks_with([kind], text, at_start=True))
    return max((match for match in found if match), key=lambda match: match.end(), default=None)
