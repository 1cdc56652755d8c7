"""Read captions of the family `canvas` back into claims."""

from collections.abc import Iterable, Iterator
from functools import cache
from itertools import chain

from worlds.canvas.captions import (
    BITE_COUNTS,
    BITE_STAYS,
    BITES,
    FOOD_MANNER,
    FOOD_OPENING,
    FOODS,
    LOOKS,
    ORDER,
    PAINT_COUNTS,
    PAINT_MANNER,
    PAINT_OPENING,
    PAINT_STAYS,
    SHORT_BITE,
    SHORT_FOOD_GROUND,
    SHORT_GROUND,
    SHORT_NEXT,
    SHORT_STROKE,
    SIDES,
    STILL_FOOD,
    STILL_MANNER,
    STILL_PAINT,
    STILL_TEXTURED,
    STROKES,
    WAYS,
)
from worlds.canvas.truth import FOODS as KINDS
from worlds.canvas.truth import FORMS
from worlds.family import Claim
from worlds.reading import Reader, Said, Telling, scene

WAY_OF = {said: way for way, texts in WAYS.items() for said in texts}
SIDE_OF = {said: side for side, said in SIDES.items()}


def parse_claims(text: str) -> frozenset[Claim]:
    """Return the claims that a caption makes, in the terms of `worlds.canvas.captions.claims`."""
    return _reader().claims(text)


@cache
def _reader() -> Reader:
    strokes = [f"{first}{SHORT_GROUND}" for first in SHORT_STROKE]
    strokes += [f"{first}{after}{SHORT_GROUND}" for first in SHORT_STROKE for after in SHORT_NEXT]
    bites = [text.replace("{at}", "at {sides}") + SHORT_FOOD_GROUND for text in SHORT_BITE]
    stays = Claim(subject="paint", attribute="stays", value="yes")
    counts = [(PAINT_COUNTS, "count"), (BITE_COUNTS, "bites")]
    return Reader(
        [
            Telling(templates=tuple(strokes), claims=_painted, short=True),
            Telling(templates=("{things}" + SHORT_GROUND,), short=True),
            Telling(templates=tuple(bites), claims=_bitten, short=True),
            Telling(templates=(*PAINT_OPENING, *FOOD_OPENING, STILL_PAINT)),
            Telling(templates=_all(PAINT_MANNER, FOOD_MANNER, [STILL_MANNER], [STILL_TEXTURED])),
            Telling(templates=(STILL_FOOD.replace("{side}", "{sides}"),), claims=_bitten),
            *(_looks(texts, "form", form, ways=True) for form, texts in STROKES.items()),
            *(_looks(texts, "form", form) for form, texts in LOOKS.items()),
            *(_looks(texts, "kind", kind) for kind, texts in FOODS.items()),
            *(
                Telling(templates=texts, claims=scene(attribute, str(count)))
                for groups, attribute in counts
                for count, texts in groups.items()
            ),
            Telling(templates=ORDER, claims=lambda said: said.about("first", "order", "first")),
            Telling(templates=PAINT_STAYS, claims=lambda said: (stays,)),
            Telling(templates=BITES, claims=_bitten),
            Telling(templates=BITE_STAYS, claims=_stays_bitten),
        ],
        {"form": FORMS, "kind": KINDS},
        {"way": tuple(WAY_OF), "side": tuple(SIDE_OF), "sides": tuple(SIDE_OF)},
    )


def _all(*groups: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(chain.from_iterable(chain.from_iterable(groups)))


def _looks(templates: tuple[str, ...], attribute: str, value: str, *, ways: bool = False) -> Telling:
    def claims(said: Said) -> list[Claim]:
        found = said.about("name", attribute, value)
        return found + list(_painted(said)) if ways else found

    return Telling(templates=templates, claims=claims)


def _painted(said: Said) -> Iterator[Claim]:
    """Yield the way of each stroke, and which one comes first."""
    names = said.slots.get("a_name") or said.slots["name"]
    for name, way in zip(names, said.slots["way"], strict=True):
        yield Claim(subject=name, attribute="direction", value=WAY_OF[way])
    if len(names) > 1:
        yield Claim(subject=names[0], attribute="order", value="first")


def _bitten(said: Said) -> Iterator[Claim]:
    names = said.slots.get("a_name") or said.slots.get("name") or tuple(filter(None, [said.it]))
    for side in said.slots.get("side") or said.slots["sides"]:
        for name in names:
            yield Claim(subject=name, attribute="bitten", value=SIDE_OF[side])


def _stays_bitten(said: Said) -> Iterator[Claim]:
    yield from _bitten(said)
    yield Claim(subject="bite", attribute="stays", value="yes")
