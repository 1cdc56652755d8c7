"""Parse captions and prompts into claims, including model output.

Wrong words yield wrong claims; unknown words are ignored. One pass over the words tracks the current thing:

- a colour and a shape, or either with `object`, name a thing: `red circle`, `red object`, `circle`; a partial
  name refers to the earlier thing that matches it, if there is exactly one;
- a direction, `still` or a speed applies to the current thing, or to the next one if its sentence has not
  named any yet;
- a background colour is a claim about the background;
- `one object`, `two objects`, `only object` are counts;
- `outlines`, `textures` and `night` are styles.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from worlds.family import Claim
from worlds.palette import BACKGROUNDS, COLORS, SHAPES, STILL
from worlds.sentence_templates import STYLE_WORDS
from worlds.shapes.truth import Requirements, ThingRequirements
from worlds.shapes.words import words

NOUNS = {shape: shape for shape in SHAPES} | dict.fromkeys(("object", "thing", "shape"))
VERTICAL = {
    "up": "up",
    "upward": "up",
    "upwards": "up",
    "down": "down",
    "downward": "down",
    "downwards": "down",
}
HORIZONTAL = {"left": "left", "right": "right", "leftward": "left", "rightward": "right"}
JOINING = {"and", "to", "the", "toward", "-"}
"""Words allowed between the two halves of a diagonal."""
SPEED_WORDS = {"slow": "slow", "slowly": "slow", "medium": "medium", "quick": "quick", "quickly": "quick"}
STILL_WORDS = {"still", "motionless"}
COUNT_WORDS = {"no": "0", "one": "1", "single": "1", "only": "1", "two": "2", "three": "3"}
COUNTED = {"object", "objects", "thing", "things"}
ENDS = {".", ";"}


@dataclass(slots=True)
class _Mention:
    """One thing of a text, with all stated values, so that contradictions are kept."""

    color: str | None
    shape: str | None
    directions: list[str] = field(default_factory=list)
    speeds: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        return " ".join(word for word in (self.color, self.shape or "object") if word)

    def fits(self, color: str | None, shape: str | None) -> bool:
        return color in (None, self.color) and shape in (None, self.shape)


@dataclass(slots=True)
class _Reading:
    """State of the parser."""

    mentions: list[_Mention] = field(default_factory=list)
    backgrounds: list[str] = field(default_factory=list)
    counts: list[str] = field(default_factory=list)
    styles: list[str] = field(default_factory=list)

    def name(self, color: str | None, shape: str | None) -> _Mention:
        fitting = [mention for mention in self.mentions if mention.fits(color, shape)]
        if len(fitting) == 1:
            return fitting[0]
        exact = [mention for mention in fitting if (mention.color, mention.shape) == (color, shape)]
        if exact:
            return exact[0]
        self.mentions.append(_Mention(color, shape))
        return self.mentions[-1]


def parse_claims(text: str) -> frozenset[Claim]:
    """Return the atomic claims of `text` in the terms of `worlds.shapes.captions.claims`."""
    reading = _read(words(text))
    result = {Claim(subject="background", attribute="color", value=value) for value in reading.backgrounds}
    result |= {Claim(subject="scene", attribute="count", value=value) for value in reading.counts}
    result |= {Claim(subject="scene", attribute="style", value=value) for value in reading.styles}
    for mention in reading.mentions:
        pairs = [("color", mention.color), ("shape", mention.shape)]
        pairs += [("direction", value) for value in mention.directions]
        pairs += [("speed", value) for value in mention.speeds]
        result |= {Claim(subject=mention.name, attribute=k, value=v) for k, v in pairs if v is not None}
    return frozenset(result)


def prompt_truth(text: str) -> Requirements:
    """Return the requirements of a prompt; None if unspecified.

    The first value of an attribute counts. Without a count, the number of named things is required.
    """
    reading = _read(words(text))
    things = tuple(
        ThingRequirements(
            color=mention.color,
            shape=mention.shape,
            direction=_first(mention.directions),
            speed=None if _first(mention.directions) == STILL else _first(mention.speeds),
        )
        for mention in reading.mentions
    )
    count = _first(reading.counts)
    return Requirements(
        things=things,
        background=_first(reading.backgrounds),
        count=int(count) if count is not None else len(things) or None,
    )


def _first(values: Sequence[str]) -> str | None:
    return values[0] if values else None


def _read(tokens: list[str]) -> _Reading:
    reading = _Reading()
    for sentence in _sentences(tokens):
        _read_sentence(sentence, reading)
    return reading


def _sentences(tokens: list[str]) -> Iterator[list[str]]:
    sentence: list[str] = []
    for token in [*tokens, "."]:
        if token not in ENDS:
            sentence.append(token)
        elif sentence:
            yield sentence
            sentence = []


def _read_sentence(tokens: list[str], reading: _Reading) -> None:
    """Parse one sentence. Motion words before the first name apply to that name."""
    current = reading.mentions[-1] if reading.mentions else None
    names_later = any(_noun_phrase(tokens, i) for i in range(len(tokens)))
    waiting: list[tuple[str, str]] = []
    named = False
    index = 0
    while index < len(tokens):
        if phrase := _noun_phrase(tokens, index):
            color, shape, length = phrase
            current, named = reading.name(color, shape), True
            # `it` in the next sentence refers to the thing named last
            reading.mentions.remove(current)
            reading.mentions.append(current)
            for kind, value in waiting:
                _attach(current, kind, value)
            waiting, index = [], index + length
            continue
        motion, length = _motion(tokens, index)
        if motion is not None and not named and names_later:
            waiting.append(motion)
        elif motion is not None and current is not None:
            _attach(current, *motion)
        elif tokens[index] in BACKGROUNDS and tokens[index] not in reading.backgrounds:
            reading.backgrounds.append(tokens[index])
        elif tokens[index] in STYLE_WORDS:
            style = STYLE_WORDS[tokens[index]]
            reading.styles += [style] if style not in reading.styles else []
        elif count := _count(tokens, index):
            reading.counts += [count] if count not in reading.counts else []
        index += length


def _noun_phrase(tokens: Sequence[str], index: int) -> tuple[str | None, str | None, int] | None:
    """Return (colour, shape, number of words) of the thing named at `index`, or None."""
    token, after = tokens[index], tokens[index + 1] if index + 1 < len(tokens) else ""
    if token in COLORS and after in NOUNS:
        return token, NOUNS[after], 2
    if token in SHAPES:
        return None, token, 1
    return None


def _motion(tokens: Sequence[str], index: int) -> tuple[tuple[str, str] | None, int]:
    """Return ((`direction` or `speed`, value), number of words) stated at `index`, or (None, 1)."""
    token = tokens[index]
    if token in STILL_WORDS:
        return ("direction", STILL), 1
    if token in SPEED_WORDS:
        return ("speed", SPEED_WORDS[token]), 1
    if token in HORIZONTAL:
        return ("direction", HORIZONTAL[token]), 1
    if token not in VERTICAL:
        return None, 1
    end = index + 1
    while end < len(tokens) and tokens[end] in JOINING:
        end += 1
    if end < len(tokens) and tokens[end] in HORIZONTAL:
        return ("direction", f"{VERTICAL[token]}-{HORIZONTAL[tokens[end]]}"), end + 1 - index
    return ("direction", VERTICAL[token]), 1


def _count(tokens: Sequence[str], index: int) -> str | None:
    after = tokens[index + 1] if index + 1 < len(tokens) else ""
    return COUNT_WORDS.get(tokens[index]) if after in COUNTED else None


def _attach(mention: _Mention, kind: str, value: str) -> None:
    values = mention.directions if kind == "direction" else mention.speeds
    if value not in values:
        values.append(value)
