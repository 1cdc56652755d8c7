"""Read captions back into claims, by the templates that they were written with.

A text is read from its start: where a template fits, its slots are claims; where none does, the sentence is
passed over. Wrong words in a slot give wrong claims, other words none. Wherever a thing is named, fitting
sentence or not, that is a claim about its colour and its kind.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from string import Formatter

from worlds.family import Claim
from worlds.palette import BACKGROUNDS, COLORS
from worlds.phrasing import LOOKS, SHORT_STYLE, SOLID, STYLE_WORDS, TEXTURED, style_claims

GROUNDS = {"background": "background", "floor": "floor", "wall": "wall", "a_wall": "wall"}
"""Slots that hold the colour of a ground, and what has it."""
NAMES = ("a_name", "a_thing", "first", "name", "one", "second", "thing", "things", "two")
"""Slots that hold one name of a thing, or a list of them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Said:
    """A template that was found in a text."""

    slots: Mapping[str, tuple[str, ...]]
    """What stands in each slot, once for each time that the template has it; of a list, each name."""
    it: str | None
    """Name of the thing that was spoken of last before."""

    def about(self, slot: str, attribute: str, value: str) -> list[Claim]:
        """Return one claim about each thing named in a slot."""
        return [Claim(subject=name, attribute=attribute, value=value) for name in self.slots[slot]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Telling:
    """Templates, and what each of them says beside naming things and grounds."""

    templates: tuple[str, ...]
    claims: Callable[[Said], Iterable[Claim]] = lambda said: ()
    short: bool = False
    """Whether they are whole captions, which a style may follow."""


def scene(attribute: str, value: str) -> Callable[[Said], list[Claim]]:
    """Say one thing about the scene."""
    return lambda said: [Claim(subject="scene", attribute=attribute, value=value)]


def looks() -> list[Telling]:
    """Return the tellings of a flat thing's shape and colour."""
    told = [
        Telling(
            templates=tuple(text.replace("{Thing}", "the {name}") for text in texts),
            claims=lambda said, shape=shape: said.about("name", "shape", shape),
        )
        for shape, texts in LOOKS.items()
    ]
    return [*told, Telling(templates=SOLID + TEXTURED, claims=_color_of_it)]


def _color_of_it(said: Said) -> list[Claim]:
    (color,) = said.slots["color"]
    return [Claim(subject=said.it, attribute="color", value=color)] if said.it else []


class Reader:
    """Reads the captions of one family.

    Args:
        nouns: what names end in, by the attribute that it tells, such as {"shape": ("circle", "star")}.
        slots: what else may stand in a slot, such as {"way": ("to the left", "left")}; a value that holds
            another comes before it. A slot that is not listed takes any text within a sentence.
    """

    def __init__(
        self,
        tellings: Sequence[Telling],
        nouns: Mapping[str, Sequence[str]],
        slots: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self._nouns = {noun: attribute for attribute, names in nouns.items() for noun in names}
        self._name = rf"(?:{'|'.join(COLORS)}) (?:{'|'.join(self._nouns)})"
        self._slots = {"color": tuple(COLORS)} | dict(slots or {})
        self._patterns = [
            (self._pattern(text, telling.short), telling)
            for telling in tellings
            for text in telling.templates
        ]

    def claims(self, text: str) -> frozenset[Claim]:
        """Return the claims that a text makes."""
        lowered = text.lower()
        named = [(match.start(), match[0]) for match in re.finditer(rf"\b{self._name}\b", lowered)]
        found = {claim for _, name in named for claim in self._about_name(name)}
        for word, style in STYLE_WORDS.items():
            if re.search(rf"\b{word}\b", lowered):
                found |= style_claims(style)
        for start, telling, slots in self._told(lowered):
            it = next((name for at, name in reversed(named) if at < start), None)
            found |= set(telling.claims(Said(slots=slots, it=it)))
            for slot in slots.keys() & GROUNDS.keys():
                found |= {
                    Claim(subject=GROUNDS[slot], attribute="color", value=value) for value in slots[slot]
                }
        return frozenset(found)

    def _about_name(self, name: str) -> list[Claim]:
        color, noun = name.split()
        return [
            Claim(subject=name, attribute="color", value=color),
            Claim(subject=name, attribute=self._nouns[noun], value=noun),
        ]

    def _told(self, text: str) -> Iterator[tuple[int, Telling, dict[str, tuple[str, ...]]]]:
        """Yield each place where a template begins, its telling, and what stands in its slots."""
        at = 0
        while at < len(text):
            fitting = [(match, telling) for p, telling in self._patterns if (match := p.match(text, at))]
            if fitting:
                match, telling = max(fitting, key=lambda pair: pair[0].end())
                yield at, telling, self._filled(match)
                at = match.end()
            else:
                end = text.find(". ", at)
                at = end + 1 if end >= 0 else len(text)
            at += len(text) - at - len(text[at:].lstrip())

    def _filled(self, match: re.Match[str]) -> dict[str, tuple[str, ...]]:
        slots: dict[str, tuple[str, ...]] = {}
        for group, value in match.groupdict().items():
            slot = group.rpartition("_")[0]
            values = tuple(re.findall(self._one(slot), value))
            slots[slot] = slots.get(slot, ()) + values
        return slots

    def _one(self, slot: str) -> str:
        """Return the pattern of one value of a slot, without articles."""
        if slot in NAMES:
            return self._name
        if slot in GROUNDS:
            return "|".join(BACKGROUNDS)
        return "|".join(map(re.escape, self._slots[slot])) if slot in self._slots else r"[^.]+"

    def _pattern(self, template: str, short: bool) -> re.Pattern[str]:
        """Return a pattern with a group for each slot, numbered so that one may come twice."""
        parts = []
        for number, (text, slot, _, _) in enumerate(Formatter().parse(template.lower())):
            parts.append(re.escape(text))
            if slot is not None:
                one = rf"(?:(?:an?|the) )?(?:{self._one(slot)})"
                more = rf"(?:(?:,| and|, and)(?: at)? {one})*" if slot in ("things", "sides") else ""
                parts.append(rf"(?P<{slot}_{number}>{one}{more})")
        end = rf"(?:{'|'.join(SHORT_STYLE.values())})\.?\s*$" if short else ""
        return re.compile("".join(parts) + end)
