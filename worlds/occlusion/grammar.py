"""Read captions of the family `occlusion` back into claims."""

from collections.abc import Iterator
from functools import cache

from worlds.family import Claim
from worlds.occlusion.captions import ACTION, LENGTH_VALUES, LENGTHS, OPENING, RETURN, SETTING, SHORT
from worlds.palette import SHAPES
from worlds.phrasing import LONG_WAYS
from worlds.reading import Reader, Said, Telling, looks

WAYS = ("left", "right", "up", "down")
WAY_OF = {said: way for way in WAYS for said in (*LONG_WAYS[way], way)}
"""The direction behind each way to say it, the longest ways first."""


def parse_claims(text: str) -> frozenset[Claim]:
    """Return the claims that a caption makes, in the terms of `worlds.occlusion.captions.claims`."""
    return _reader().claims(text)


@cache
def _reader() -> Reader:
    def returns(said: Said) -> list[Claim]:
        return [Claim(subject=said.it, attribute="returns", value="same")] if said.it else []

    return Reader(
        [
            *(_telling(texts, variant, short=True) for variant, texts in SHORT.items()),
            *(_telling(texts, variant, short=False) for variant, texts in ACTION.items()),
            *(Telling(templates=texts, claims=returns) for texts in RETURN.values()),
            Telling(templates=OPENING + SETTING),
            *looks(),
        ],
        {"shape": SHAPES},
        {"way": tuple(WAY_OF), "long": tuple(LENGTHS)},
    )


def _telling(templates: tuple[str, ...], variant: str, *, short: bool) -> Telling:
    return Telling(templates=templates, claims=lambda said: _action(said, variant), short=short)


def _action(said: Said, variant: str) -> Iterator[Claim]:
    """Yield the event, and where the thing goes and how long it is hidden, as far as that is said."""
    yield Claim(subject="scene", attribute="event", value=variant)
    slot = "thing" if "thing" in said.slots else "a_thing"
    for way in said.slots["way"]:
        yield from said.about(slot, "direction", WAY_OF[way])
    for long in said.slots.get("long", ()):
        value = next(value for word, value in LENGTH_VALUES.items() if word in long)
        yield from said.about(slot, "hidden", value)
