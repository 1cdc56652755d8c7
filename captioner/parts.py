"""Read an answer that lists what a clip shows by parts, as one JSON object; pure functions."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, cast

from captioner.lengths import json_object, lengths_schema
from captioner.markup import printable
from captioner.prompts import Prompt
from manifests.records import LIST_PARTS, PARTS

MAX_ITEMS = 64
"""Most items of a list; a longer one is a loop."""
_MAX_EQUAL = 4
"""Most items of a list that may be equal."""
_NOTHING = {"", "none", "n/a", "null", "nothing", "unknown", "not visible", "no text", "-"}

QUOTED_PART = "visible_text"
"""The part that holds what is read in the picture, not what the answer says of it."""
Parts = Mapping[str, str | list[str]]


class NotParts(ValueError):
    """A text holds no parts. The message says what is wrong with it."""


def read_parts(text: str) -> tuple[Parts, list[str]]:
    """Return the parts that a text lists, those without content empty, and the names of those it lacks.

    A list of `LIST_PARTS` may be written as one text, a text as a list, and an item as an object of texts.

    Raises NotParts for a text without a complete JSON object of parts, or with values that are no texts.
    """
    whole = json_object(text)
    if not whole:
        raise NotParts("no complete JSON object" if "{" in text else "no JSON object")
    inner = whole.get("parts")
    listed = cast(Mapping[str, Any], inner) if isinstance(inner, Mapping) else whole
    found = {_plain_key(key): value for key, value in listed.items()}
    if not found.keys() & {*PARTS}:
        raise NotParts(f"a JSON object without any of {', '.join(PARTS)}")
    parts: dict[str, str | list[str]] = {}
    for name in PARTS:
        items = [item for item in _texts(name, found.get(name)) if item.lower().strip(". ") not in _NOTHING]
        if len(items) > MAX_ITEMS:
            raise NotParts(f"{name} has {len(items)} items, more than {MAX_ITEMS}")
        if items and (most := Counter(items).most_common(1)[0])[1] > _MAX_EQUAL:
            raise NotParts(f"{name} repeats {most[0][:80]!r}")
        parts[name] = items if name in LIST_PARTS else "; ".join(items)
    return parts, [name for name in PARTS if name not in found]


def answer_schema(prompt: Prompt) -> dict[str, Any]:
    """Return the JSON schema of an answer to a prompt that `wants_json`."""
    return parts_schema() if prompt.asks_parts else lengths_schema(prompt.lengths)


def parts_schema() -> dict[str, Any]:
    """Return the JSON schema of an answer that lists parts."""
    texts = {"type": "array", "items": {"type": "string"}, "maxItems": MAX_ITEMS}
    return {
        "type": "object",
        "properties": {name: texts if name in LIST_PARTS else {"type": "string"} for name in PARTS},
        "required": [*PARTS],
        "additionalProperties": False,
    }


def _plain_key(key: str) -> str:
    return printable(key).strip().lower().replace(" ", "_")


def _texts(name: str, value: Any) -> list[str]:
    """Return the texts of a value. Raises NotParts for other values than texts."""
    items: Sequence[Any] = cast(list[Any], value) if isinstance(value, list) else [value]
    return [_text(name, item) for item in items if item is not None]


def _text(name: str, item: Any) -> str:
    if isinstance(item, Mapping):
        item = ", ".join(each for each in cast(Mapping[str, Any], item).values() if isinstance(each, str))
    if not isinstance(item, str):
        raise NotParts(f"{name} holds {json.dumps(item)[:80]}, which is no text")
    return " ".join(printable(item).split())
