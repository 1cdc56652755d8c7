"""Tokenize captions, and join tokens into captions."""

import re
from collections.abc import Iterable


def words(text: str) -> list[str]:
    """Split a caption into the lower-case words and punctuation marks of `vocabulary`."""
    return re.findall(r"[a-z]+|[.,:;-]", text.lower())


def join_words(tokens: Iterable[str]) -> str:
    """Join the tokens of `words`, restoring spaces and the capitals of sentences."""
    text = re.sub(r" ([.,:;])", r"\1", " ".join(tokens))
    if "." not in text:
        return text
    return re.sub(r"(^|\. )([a-z])", lambda match: match[1] + match[2].upper(), text)
