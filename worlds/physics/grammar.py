"""Read captions of the family `physics` back into claims."""

from collections.abc import Iterator
from functools import cache

from worlds.family import Claim
from worlds.palette import SHAPES
from worlds.phrasing import LONG_WAYS
from worlds.physics.captions import ACTION, OPENING, SETTING, SHORT
from worlds.reading import Reader, Said, Telling, looks

WAY_OF = {said: way for way in ("left", "right", "up", "down") for said in (*LONG_WAYS[way], way)}


def parse_claims(text: str) -> frozenset[Claim]:
    """Return the claims that a caption makes, in the terms of `worlds.physics.captions.claims`."""
    return _reader().claims(text)


@cache
def _reader() -> Reader:
    return Reader(
        [
            *(_telling(texts, event, short=True) for event, texts in SHORT.items()),
            *(_telling(texts, event, short=False) for event, texts in ACTION.items()),
            Telling(templates=OPENING + SETTING),
            *looks(),
        ],
        {"shape": SHAPES},
        {"way": tuple(WAY_OF)},
    )


def _telling(templates: tuple[str, ...], event: str, *, short: bool) -> Telling:
    return Telling(templates=templates, claims=lambda said: _action(said, event), short=short)


def _action(said: Said, event: str) -> Iterator[Claim]:
    """Yield the event, and where a thing slides that does."""
    yield Claim(subject="scene", attribute="event", value=event)
    for way in said.slots.get("way", ()):
        yield from said.about("first" if "first" in said.slots else "one", "direction", WAY_OF[way])[:1]
