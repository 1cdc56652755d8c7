"""Words of texts, to tell which of a prompt no training caption has."""

import re
from collections.abc import Iterable, Set

_WORD = re.compile(r"[^\W\d_]+")


def words_of(texts: Iterable[str]) -> set[str]:
    """Return the words of texts in lower case, without digits and punctuation."""
    return {word for text in texts for word in _WORD.findall(text.lower())}


def unknown_words(text: str, vocabulary: Set[str]) -> list[str]:
    """Return the words of a text that a vocabulary lacks, in their order; none for an empty vocabulary."""
    found = dict.fromkeys(_WORD.findall(text.lower())) if vocabulary else {}
    return [word for word in found if word not in vocabulary]
