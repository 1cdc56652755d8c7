"""Transcripts: what is heard in a source, by time; pure functions.

A transcript is WebVTT, SubRip (SRT), the JSON of a speech recogniser, or plain text without times.
"""

import html
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, cast

from captioner.markup import printable
from captioner.prompts import Prompt, load_task

MAX_CHARS = 4000
"""Most characters of a transcript that a prompt holds."""
_TIME = r"(?:(\d+):)?(\d{1,2}):(\d{1,2})[.,](\d{1,3})"
_CUE = re.compile(rf"^[ \t]*{_TIME}[ \t]*-->[ \t]*{_TIME}.*$", re.MULTILINE)
_TAG = re.compile(r"</?[^<>\n]{1,80}>|\{\\[^{}\n]{1,80}\}")
"""Markup of a cue: `<i>`, `<v Ann>`, `<00:01.000>`, `{\\an8}`."""
_LISTS = ("segments", "chunks", "cues", "transcript")
"""Keys under which recognisers list what they heard."""


class TranscriptError(ValueError):
    """A transcript cannot be read. The message says where."""


@dataclass(frozen=True, kw_only=True, slots=True)
class HeardLine:
    """What is heard in one span of a source."""

    text: str
    start_s: float | None
    """None, like the end, in a transcript without times."""
    end_s: float | None


def heard_between(transcript: str, start_s: float, end_s: float, *, whole: bool) -> str:
    """Return what is heard in a span of a source, up to `MAX_CHARS` characters, on one line.

    A line belongs to the span that holds its middle, and to every span that it covers.

    Args:
        whole: whether the span is the whole source; a transcript without times is of no part of it.

    Raises TranscriptError.
    """
    lines = _parsed(transcript)
    heard = " ".join(line.text for line in lines if _is_in(line, start_s, end_s, whole=whole))
    return heard if len(heard) <= MAX_CHARS else heard[:MAX_CHARS].rpartition(" ")[0]


def with_transcript(prompt: Prompt, heard: str) -> Prompt:
    """Return a prompt with what is heard before it; the same prompt if nothing is."""
    if not heard:
        return prompt
    section = load_task("transcript").replace("{transcript}", heard)
    return replace(prompt, text=f"{section}\n\n{prompt.text}")


def parse_transcript(transcript: str) -> Sequence[HeardLine]:
    """Return the lines of a transcript, in order, without empty ones.

    Raises TranscriptError for JSON that lists no lines, and for a line that ends before it starts.
    """
    text = printable(transcript).replace("\r\n", "\n").replace("\r", "\n").strip()
    if _CUE.search(text):
        lines = [*_cues(text)]
    elif text.startswith(("{", "[")):
        lines = [*_json_lines(text)]
    elif text.startswith("WEBVTT"):
        lines = []
    else:
        lines = [HeardLine(text=_plain(text), start_s=None, end_s=None)]
    for line in lines:
        if line.start_s is not None and line.end_s is not None and line.end_s < line.start_s:
            raise TranscriptError(f"{line.text[:40]!r} ends at {line.end_s:g} s, before {line.start_s:g} s")
    return [line for line in lines if line.text]


_parsed = lru_cache(maxsize=64)(parse_transcript)


def _is_in(line: HeardLine, start_s: float, end_s: float, *, whole: bool) -> bool:
    if line.start_s is None or line.end_s is None:
        return whole
    covers = line.start_s <= start_s and end_s <= line.end_s
    return covers or start_s <= (line.start_s + line.end_s) / 2 < end_s


def _cues(text: str) -> Iterator[HeardLine]:
    """Yield the cues of WebVTT or SubRip."""
    found = [*_CUE.finditer(text)]
    ends = [match.start() for match in found[1:]] + [len(text)]
    for match, end in zip(found, ends, strict=True):
        start_s, end_s = (_seconds(*match.groups()[first : first + 4]) for first in (0, 4))
        payload = text[match.end() : end].lstrip("\n").partition("\n\n")[0]
        payload = re.sub(r"\n\d+\s*\Z", "", payload)  # the number of the next cue, without an empty line
        yield HeardLine(text=_plain(_TAG.sub("", payload)), start_s=start_s, end_s=end_s)


def _seconds(hours: str | None, minutes: str, seconds: str, fraction: str) -> float:
    return int(hours or 0) * 3600 + int(minutes) * 60 + int(seconds) + int(fraction.ljust(3, "0")) / 1000


def _json_lines(text: str) -> Iterator[HeardLine]:
    """Yield the lines of a recogniser's JSON: `start`, `end` and `text`, or `timestamp` and `text`."""
    try:
        value: Any = json.loads(text, strict=False)
    except (ValueError, RecursionError) as error:
        raise TranscriptError(f"begins as JSON and is none: {error}") from None
    if isinstance(value, Mapping):
        fields = cast(Mapping[str, Any], value)
        value = next((fields[name] for name in _LISTS if isinstance(fields.get(name), list)), None)
    if not isinstance(value, list):
        raise TranscriptError(f"its JSON has no list named {', '.join(_LISTS)}")
    for number, item in enumerate(cast(list[Any], value)):
        try:
            span = item["timestamp"] if "timestamp" in item else (item["start"], item["end"])
            start_s, end_s = (float(edge) for edge in span)
            yield HeardLine(text=_plain(str(item["text"])), start_s=start_s, end_s=end_s)
        except (KeyError, TypeError, ValueError) as error:
            raise TranscriptError(
                f"line {number + 1} of its JSON has no start, end and text ({error!r})"
            ) from None


def _plain(text: str) -> str:
    """Return a text on one line, so that it cannot end the section of a prompt."""
    return " ".join(html.unescape(text).split())
