"""Caption a long clip by windows, and merge their texts in the order of time; pure functions.

A merge adds words of time only. Sentences that an earlier window has already said are left out.
"""

import json
from collections.abc import Iterable, Sequence
from itertools import pairwise
from math import ceil

from captioner.claims.split import split_sentences
from manifests.records import LIST_PARTS, PARTS

_FIRST, _NEXT, _LAST = "First", ("Then", "Next", "After that"), "Finally"
_LOWERED = {"a", "an", "the", "this", "these", "two", "three", "four", "several", "many", "some", "it", "he"}
_LOWERED |= {"she", "they", "another", "its", "his", "her", "their", "in", "on", "at", "there", "one"}
"""First words that are written small after a word of time; names and other words stay as they are."""


def window_spans(times_s: Sequence[float], window_s: float) -> list[tuple[int, int]]:
    """Return the first frame of each window of a clip, and the first one after it.

    Windows are equal, at most `window_s` long, and of two frames at least.

    Args:
        times_s: time of each frame of the clip.
        window_s: 0 for a single window.
    """
    num = len(times_s)
    if window_s <= 0 or num < 4:
        return [(0, num)]
    interval_s = (times_s[-1] - times_s[0]) / (num - 1)
    length_s = times_s[-1] - times_s[0] + interval_s
    count = max(1, min(ceil(length_s / window_s - 1e-6), num // 2))
    edges = [round(edge * num / count) for edge in range(count + 1)]
    return [*pairwise(edges)]


def window_id(clip_id: str, number: int) -> str:
    """Return the id under which a window of a clip is captioned."""
    return f"{clip_id}#{number}"


def clip_of(clip_id: str) -> str:
    """Return the id of the clip of a window, or the id of a clip itself."""
    return clip_id.partition("#")[0]


def merge_texts(texts: Sequence[str]) -> str:
    """Return one text of the texts of windows, in their order, each after a word of time."""
    said: set[str] = set()
    parts: list[str] = []
    for text in texts:
        sentences = [sentence.text for sentence in split_sentences(text)]
        new = [sentence for sentence in sentences if _key(sentence) not in said]
        said |= {*map(_key, sentences)}
        if new:
            parts.append(" ".join(new))
    if len(parts) < 2:
        return "".join(parts)
    between = (_NEXT[number % len(_NEXT)] for number in range(len(parts) - 2))
    words = (_FIRST, *between, _LAST)
    return " ".join(f"{word}, {_lowered(part)}" for word, part in zip(words, parts, strict=True))


def merge_parts(parts: Sequence[str]) -> str:
    """Return the parts of all windows as one JSON object: actions in order, all else once."""
    listed = [json.loads(each) for each in parts]
    merged: dict[str, str | list[str]] = {}
    for name in PARTS:
        if name == "actions":
            merged[name] = [action for each in listed for action in each[name]]
        elif name in LIST_PARTS:
            merged[name] = _once(text for each in listed for text in each[name])
        else:
            merged[name] = "; ".join(_once(each[name] for each in listed if each[name]))
    return json.dumps(merged, ensure_ascii=False)


def _once(texts: Iterable[str]) -> list[str]:
    """Return the texts that differ in more than case and spaces, in order."""
    return [*{_key(text): text for text in reversed([*texts])}.values()][::-1]


def _key(text: str) -> str:
    return " ".join(text.casefold().split()).rstrip(".")


def _lowered(text: str) -> str:
    word = text.split(maxsplit=1)[0]
    return text[0].lower() + text[1:] if word.lower() in _LOWERED else text
