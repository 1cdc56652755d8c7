"""Rules for prompts: words of a file, found in a text whatever its case, accents and spelling tricks."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any, Self, cast

import yaml

_KEYS = {"name", "words", "with", "unless"}
_LOOKALIKES = str.maketrans("0134578@$!", "oieastbasi")
"""Digits and signs that stand for letters."""
_SPELLED = re.compile(r"\b(?:\w[\s.\-_*]+){2,}\w\b")
"""Letters one by one, as in `n u d e`."""
_GAPS = re.compile(r"[\s.\-_*]+")


@dataclass(frozen=True, kw_only=True)
class Rule:
    """Finds texts that hold one of `words` and, where there are any, one of `also`.

    A word is found whole; `word*` is the beginning of one. No slots: patterns are made once.
    """

    name: str
    words: tuple[str, ...]
    also: tuple[str, ...] = ()
    unless: tuple[str, ...] = ()
    """Harmless phrases, which are taken out of the text first."""

    def finds(self, text: str) -> bool:
        """Return whether the rule applies to a text of `normalized`."""
        text = self._harmless.sub(" ", text) if self.unless else text
        return bool(self._words.search(text)) and (not self.also or bool(self._also.search(text)))

    @cached_property
    def _words(self) -> re.Pattern[str]:
        return _pattern(self.words)

    @cached_property
    def _also(self) -> re.Pattern[str]:
        return _pattern(self.also)

    @cached_property
    def _harmless(self) -> re.Pattern[str]:
        return _pattern(self.unless)


class Rules:
    """The rules of a file."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self.rules = tuple(rules)

    @classmethod
    def load(cls, file: str | None) -> Self:
        """Read a file, or the rules that ship. Raises ValueError or OSError with the place of a mistake."""
        path = Path(file) if file else files("kinora.safety") / "rules.yaml"
        try:
            content = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise ValueError(f"{path}: no YAML ({' '.join(str(error).split())})") from None
        if not isinstance(content, list):
            raise ValueError(f"{path}: must be a list of rules, each with `name` and `words`")
        entries = cast(list[Any], content)
        return cls([_rule(entry, f"{path}: rule {number}") for number, entry in enumerate(entries, start=1)])

    def find(self, text: str) -> tuple[str, ...]:
        """Return the names of the rules that apply to a text."""
        forms = normalized(text)
        return tuple(rule.name for rule in self.rules if any(rule.finds(form) for form in forms))


def normalized(text: str) -> tuple[str, ...]:
    """Return the forms in which a text is searched: as it reads, and with its spelling tricks undone."""
    text = unicodedata.normalize("NFKD", text.casefold())
    plain = "".join(char for char in text if unicodedata.category(char) not in ("Mn", "Cf"))
    plain = re.sub(r"\s+", " ", plain)
    joined = _SPELLED.sub(lambda found: _GAPS.sub("", found[0]), plain)
    after_article = _SPELLED.sub(lambda found: found[0][:2] + _GAPS.sub("", found[0][2:]), plain)
    spelled = (joined, after_article) if joined != plain else (plain,)
    return tuple(dict.fromkeys((plain, *spelled, *map(_with_letters, spelled))))


def _with_letters(text: str) -> str:
    """Return a text with letters for the digits and signs within its words."""
    words = text.split()
    return " ".join(word.translate(_LOOKALIKES) if re.search(r"[a-z]", word) else word for word in words)


def _rule(entry: Any, place: str) -> Rule:
    if not isinstance(entry, dict) or not _KEYS.issuperset(cast(dict[Any, Any], entry)):
        raise ValueError(f"{place}: must have the keys {', '.join(sorted(_KEYS))}, and no others")
    given = cast(dict[str, Any], entry)
    if not isinstance(given.get("name"), str) or not given.get("words"):
        raise ValueError(f"{place}: lacks `name` or `words`")
    lists = {key: _words(given.get(key), f"{place}: {key}") for key in ("words", "with", "unless")}
    return Rule(name=given["name"], words=lists["words"], also=lists["with"], unless=lists["unless"])


def _words(value: Any, place: str) -> tuple[str, ...]:
    if value is None:
        return ()
    words = cast(list[Any], value) if isinstance(value, list) else [value]
    if not all(isinstance(word, str) and word.strip(" *") for word in words):
        raise ValueError(f"{place}: must be a list of words")
    return tuple(normalized(word)[0].strip() for word in words)


def _pattern(words: Sequence[str]) -> re.Pattern[str]:
    forms = [re.escape(word.removesuffix("*")) + (r"\w*" if word.endswith("*") else "") for word in words]
    return re.compile(rf"(?<!\w)(?:{'|'.join(forms)})(?!\w)")
