"""Ask for captions of several lengths in one answer, and split it."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, cast

from captioner.markup import printable


def split_lengths(text: str, lengths: Sequence[str]) -> dict[str, str]:
    """Return the texts of an answer by length, in the order of `lengths`; empty if it names none.

    An answer is a JSON object with the lengths as keys, alone or inside other text, or has sections, each
    headed by a length (`Short: …`, `## Dense`, `**medium**`).
    """
    found = _from_json(text) or _from_sections(text, lengths)
    plain = {re.sub(r"[\W_]*caption[\W_]*", "", key.strip().lower()): value for key, value in found.items()}
    return {length: plain[length].strip() for length in lengths if plain.get(length, "").strip()}


def lengths_schema(lengths: Sequence[str]) -> dict[str, Any]:
    """Return the JSON schema of an answer with a text for each length.

    Without limits on the length of a text: with them, xgrammar allows no quotation mark in a caption.
    """
    return {
        "type": "object",
        "properties": {length: {"type": "string"} for length in lengths},
        "required": [*lengths],
        "additionalProperties": False,
    }


def from_json(text: str) -> str:
    """Return the only text of an answer that is a JSON object, or `text`."""
    found = _from_json(text) if text.startswith("{") and text.endswith("}") else {}
    return next(iter(found.values())) if len(found) == 1 else text


def json_object(text: str) -> Mapping[str, Any]:
    """Return the JSON object in a text, alone or among other words; empty if there is none."""
    begin, end = text.find("{"), text.rfind("}")
    if not 0 <= begin < end:
        return {}
    try:
        value: Any = json.loads(text[begin : end + 1], strict=False)
    except (ValueError, RecursionError):
        return {}
    return cast(Mapping[str, Any], value) if isinstance(value, Mapping) else {}


def _from_json(text: str) -> dict[str, str]:
    items = json_object(text).items()
    return {printable(key): printable(content) for key, content in items if isinstance(content, str)}


def _from_sections(text: str, lengths: Sequence[str]) -> dict[str, str]:
    names = "|".join(map(re.escape, lengths))
    before, after = (
        r"^[ \t]*(?:[#>*_\-\[(]|\d+[.)])*[ \t]*(?:\*\*)?",
        r"(?:[ \t]+caption)?[ \t]*(?:\([^)\n]*\))?[*_\])]*",
    )
    head = rf"{before}({names}){after}[ \t]*(?:[:：\-–][*_]*[ \t]*|$)"
    heads = [*re.finditer(head, text, re.IGNORECASE | re.MULTILINE)]
    ends = [match.start() for match in heads[1:]] + [len(text)] * bool(heads)
    return {match[1].lower(): text[match.end() : end].strip() for match, end in zip(heads, ends, strict=True)}
