"""Split captions into words, and join words into captions."""

import re
from collections.abc import Iterable


def words(text: str) -> list[str]:
    """Split a caption into the lower-case words and punctuation marks that `vocabulary` lists."""
    return re.findall(r"[a-z]+|[.,:;-]", text.lower())


def join_words(tokens: Iterable[str]) -> str:
    """Undo `words`: put the spaces back, and the capitals of a text that has full stops."""
    text = re.sub(r" ([.,:;])", r"\1", " ".join(tokens))
    if "." not in text:
        return text
    return re.sub(r"(^|\. )([a-z])", lambda match: match[1] + match[2].upper(), text)
