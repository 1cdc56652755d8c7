"""Parse captions into claims, using the templates that they are generated from.

The parser scans a text from its start. A matching template yields claims from its slots; a sentence without
one is skipped. A wrong word in a slot yields a wrong claim. Each mention of a thing, inside or outside of a
template, is a claim about its colour and its kind.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from string import Formatter

from worlds.family import Claim
from worlds.palette import BACKGROUNDS, COLORS
from worlds.sentence_templates import SHAPE_SENTENCES, SHORT_STYLE, SOLID, STYLE_WORDS, TEXTURED, style_claims

GROUNDS = {"background": "background", "floor": "floor", "wall": "wall", "a_wall": "wall"}
"""Slots for the colour of a ground, and the subject that they describe."""
NAMES = ("a_name", "a_thing", "first", "name", "one", "second", "thing", "things", "two")
"""Slots for the name of a thing, or a list of names."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TemplateMatch:
    """An occurrence of a template in a text."""

    slots: Mapping[str, tuple[str, ...]]
    """Values of each slot, in order; a list of names gives several."""
    it: str | None
    """Name of the thing mentioned last before the template."""

    def claims_about(self, slot: str, attribute: str, value: str) -> list[Claim]:
        """Return a claim about each thing named in a slot."""
        return [Claim(subject=name, attribute=attribute, value=value) for name in self.slots[slot]]


@dataclass(frozen=True, kw_only=True, slots=True)
class TemplateRule:
    """Templates and the claims that they make, besides naming things and grounds."""

    templates: tuple[str, ...]
    claims: Callable[[TemplateMatch], Iterable[Claim]] = lambda matched: ()
    short: bool = False
    """Whether they are whole short captions, optionally followed by a style."""


def scene_claim(attribute: str, value: str) -> Callable[[TemplateMatch], list[Claim]]:
    """Return a function that makes one claim about the scene."""
    return lambda matched: [Claim(subject="scene", attribute=attribute, value=value)]


def shape_rules() -> list[TemplateRule]:
    """Return the rules for the shape and colour of a flat thing."""
    rules = [
        TemplateRule(
            templates=tuple(text.replace("{Thing}", "the {name}") for text in texts),
            claims=lambda matched, shape=shape: matched.claims_about("name", "shape", shape),
        )
        for shape, texts in SHAPE_SENTENCES.items()
    ]
    return [*rules, TemplateRule(templates=SOLID + TEXTURED, claims=_color_of_it)]


def _color_of_it(matched: TemplateMatch) -> list[Claim]:
    (color,) = matched.slots["color"]
    return [Claim(subject=matched.it, attribute="color", value=color)] if matched.it else []


class CaptionParser:
    """Parse the captions of one family.

    Args:
        nouns: nouns of names by the attribute that they express, such as {"shape": ("circle", "star")}.
        slots: values of other slots, such as {"way": ("to the left", "left")}, longer ones first. An unlisted
            slot matches any text within a sentence.
    """

    def __init__(
        self,
        rules: Sequence[TemplateRule],
        nouns: Mapping[str, Sequence[str]],
        slots: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self._nouns = {noun: attribute for attribute, names in nouns.items() for noun in names}
        self._name = rf"(?:{'|'.join(COLORS)}) (?:{'|'.join(self._nouns)})"
        self._slots = {"color": tuple(COLORS)} | dict(slots or {})
        self._patterns = [
            (self._pattern(text, rule.short), rule) for rule in rules for text in rule.templates
        ]

    def claims(self, text: str) -> frozenset[Claim]:
        """Return the claims of a text."""
        lowered = text.lower()
        named = [(match.start(), match[0]) for match in re.finditer(rf"\b{self._name}\b", lowered)]
        result = {claim for _, name in named for claim in self._about_name(name)}
        for word, style in STYLE_WORDS.items():
            if re.search(rf"\b{word}\b", lowered):
                result |= style_claims(style)
        for start, rule, slots in self._matches(lowered):
            it = next((name for offset, name in reversed(named) if offset < start), None)
            result |= set(rule.claims(TemplateMatch(slots=slots, it=it)))
            for slot in slots.keys() & GROUNDS.keys():
                result |= {
                    Claim(subject=GROUNDS[slot], attribute="color", value=value) for value in slots[slot]
                }
        return frozenset(result)

    def _about_name(self, name: str) -> list[Claim]:
        color, noun = name.split()
        return [
            Claim(subject=name, attribute="color", value=color),
            Claim(subject=name, attribute=self._nouns[noun], value=noun),
        ]

    def _matches(self, text: str) -> Iterator[tuple[int, TemplateRule, dict[str, tuple[str, ...]]]]:
        """Yield the offset, rule and slot values of each template in the text."""
        offset = 0
        while offset < len(text):
            fitting = [(match, rule) for p, rule in self._patterns if (match := p.match(text, offset))]
            if fitting:
                match, rule = max(fitting, key=lambda pair: pair[0].end())
                yield offset, rule, self._slot_values(match)
                offset = match.end()
            else:
                end = text.find(". ", offset)
                offset = end + 1 if end >= 0 else len(text)
            offset += len(text) - offset - len(text[offset:].lstrip())

    def _slot_values(self, match: re.Match[str]) -> dict[str, tuple[str, ...]]:
        slots: dict[str, tuple[str, ...]] = {}
        for group, value in match.groupdict().items():
            slot = group.rpartition("_")[0]
            values = tuple(re.findall(self._value_pattern(slot), value))
            slots[slot] = slots.get(slot, ()) + values
        return slots

    def _value_pattern(self, slot: str) -> str:
        """Return the pattern of one slot value, without articles."""
        if slot in NAMES:
            return self._name
        if slot in GROUNDS:
            return "|".join(BACKGROUNDS)
        return "|".join(map(re.escape, self._slots[slot])) if slot in self._slots else r"[^.]+"

    def _pattern(self, template: str, short: bool) -> re.Pattern[str]:
        """Compile a template to a pattern with one group per slot, numbered because slots may repeat."""
        parts = []
        for number, (text, slot, _, _) in enumerate(Formatter().parse(template.lower())):
            parts.append(re.escape(text))
            if slot is not None:
                value = rf"(?:(?:an?|the) )?(?:{self._value_pattern(slot)})"
                more = rf"(?:(?:,| and|, and)(?: at)? {value})*" if slot in ("things", "sides") else ""
                parts.append(rf"(?P<{slot}_{number}>{value}{more})")
        end = rf"(?:{'|'.join(SHORT_STYLE.values())})\.?\s*$" if short else ""
        return re.compile("".join(parts) + end)
