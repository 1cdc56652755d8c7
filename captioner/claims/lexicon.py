"""The words of captions by what they claim (lexicon.yaml)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

_FILE = Path(__file__).with_name("lexicon.yaml")
_VOWELS = "aeiou"


@dataclass(frozen=True, kw_only=True, slots=True)
class Lexicon:
    """Words by what they claim, in lower case."""

    numbers: Mapping[str, int]
    colors: frozenset[str]
    adjectives: frozenset[str]
    determiners: frozenset[str]
    prepositions: frozenset[str]
    spatial: frozenset[str]
    ways: frozenset[str]
    function: frozenset[str]
    nothing: frozenset[str]
    verbs: Mapping[str, str]
    """Base form of each form."""
    camera: re.Pattern[str]

    def is_noun(self, word: str) -> bool:
        """Return whether a word is in no other list, and so taken for a noun."""
        known = (self.colors, self.adjectives, self.determiners, self.prepositions, self.function, self.ways)
        return (
            word not in self.numbers
            and word not in self.verbs
            and not any(word in words for words in known)
            and not (word.endswith("ly") and len(word) > 4)
            and any(char.isalpha() for char in word)
        )

    def number(self, word: str) -> int | None:
        """Return the value of a number in words or digits."""
        return int(word) if word.isdecimal() and len(word) < 7 else self.numbers.get(word)


@cache
def lexicon() -> Lexicon:
    """Return the lexicon of English captions."""
    data: dict[str, Any] = yaml.safe_load(_FILE.read_text(encoding="utf-8"))
    verbs = {form: base for base in data["verbs"] for form in _forms(base)} | data["irregular"]
    return Lexicon(
        numbers=data["numbers"],
        colors=frozenset(data["colors"]),
        adjectives=frozenset(data["adjectives"]),
        determiners=frozenset(data["determiners"]),
        prepositions=frozenset(data["prepositions"]),
        spatial=frozenset(data["spatial"]),
        ways=frozenset(data["motion_ways"]),
        function=frozenset(data["function"]),
        nothing=frozenset(data["nothing"]),
        verbs=verbs,
        camera=re.compile(data["camera"].replace("\n", ""), re.IGNORECASE),
    )


def _forms(verb: str) -> set[str]:
    """Return a verb with the endings -s, -ing and -ed."""
    if verb.endswith("e"):
        return {verb, f"{verb}s", f"{verb[:-1]}ing", f"{verb}d"}
    if verb.endswith("y") and verb[-2] not in _VOWELS:
        return {verb, f"{verb[:-1]}ies", f"{verb}ing", f"{verb[:-1]}ied"}
    ending = "es" if verb.endswith(("s", "sh", "ch", "x", "o")) else "s"
    return {verb, verb + ending, f"{verb}ing", f"{verb}ed"}
