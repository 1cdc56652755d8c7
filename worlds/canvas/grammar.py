"""Parse captions of the family `canvas` into claims."""

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
    ORDER,
    PAINT_COUNTS,
    PAINT_MANNER,
    PAINT_OPENING,
    PAINT_STAYS,
    SHAPE_SENTENCES,
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
from worlds.caption_parser import CaptionParser, TemplateMatch, TemplateRule, scene_claim
from worlds.family import Claim

WAY_OF = {matched: way for way, texts in WAYS.items() for matched in texts}
SIDE_OF = {matched: side for side, matched in SIDES.items()}


def parse_claims(text: str) -> frozenset[Claim]:
    """Return the claims of a caption in the terms of `worlds.canvas.captions.claims`."""
    return _parser().claims(text)


@cache
def _parser() -> CaptionParser:
    strokes = [f"{first}{SHORT_GROUND}" for first in SHORT_STROKE]
    strokes += [f"{first}{after}{SHORT_GROUND}" for first in SHORT_STROKE for after in SHORT_NEXT]
    bites = [text.replace("{at}", "at {sides}") + SHORT_FOOD_GROUND for text in SHORT_BITE]
    stays = Claim(subject="paint", attribute="stays", value="yes")
    counts = [(PAINT_COUNTS, "count"), (BITE_COUNTS, "bites")]
    return CaptionParser(
        [
            TemplateRule(templates=tuple(strokes), claims=_stroke_claims, short=True),
            TemplateRule(templates=("{things}" + SHORT_GROUND,), short=True),
            TemplateRule(templates=tuple(bites), claims=_bite_claims, short=True),
            TemplateRule(templates=(*PAINT_OPENING, *FOOD_OPENING, STILL_PAINT)),
            TemplateRule(templates=_flatten(PAINT_MANNER, FOOD_MANNER, [STILL_MANNER], [STILL_TEXTURED])),
            TemplateRule(templates=(STILL_FOOD.replace("{side}", "{sides}"),), claims=_bite_claims),
            *(_shape_rule(texts, "form", form, ways=True) for form, texts in STROKES.items()),
            *(_shape_rule(texts, "form", form) for form, texts in SHAPE_SENTENCES.items()),
            *(_shape_rule(texts, "kind", kind) for kind, texts in FOODS.items()),
            *(
                TemplateRule(templates=texts, claims=scene_claim(attribute, str(count)))
                for groups, attribute in counts
                for count, texts in groups.items()
            ),
            TemplateRule(
                templates=ORDER, claims=lambda matched: matched.claims_about("first", "order", "first")
            ),
            TemplateRule(templates=PAINT_STAYS, claims=lambda matched: (stays,)),
            TemplateRule(templates=BITES, claims=_bite_claims),
            TemplateRule(templates=BITE_STAYS, claims=_permanent_bite_claims),
        ],
        {"form": FORMS, "kind": KINDS},
        {"way": tuple(WAY_OF), "side": tuple(SIDE_OF), "sides": tuple(SIDE_OF)},
    )


def _flatten(*groups: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(chain.from_iterable(chain.from_iterable(groups)))


def _shape_rule(
    templates: tuple[str, ...], attribute: str, value: str, *, ways: bool = False
) -> TemplateRule:
    def parse(matched: TemplateMatch) -> list[Claim]:
        claims = matched.claims_about("name", attribute, value)
        return claims + list(_stroke_claims(matched)) if ways else claims

    return TemplateRule(templates=templates, claims=parse)


def _stroke_claims(matched: TemplateMatch) -> Iterator[Claim]:
    """Yield the direction of each stroke, and the first of two strokes."""
    names = matched.slots.get("a_name") or matched.slots["name"]
    for name, way in zip(names, matched.slots["way"], strict=True):
        yield Claim(subject=name, attribute="direction", value=WAY_OF[way])
    if len(names) > 1:
        yield Claim(subject=names[0], attribute="order", value="first")


def _bite_claims(matched: TemplateMatch) -> Iterator[Claim]:
    names = matched.slots.get("a_name") or matched.slots.get("name") or tuple(filter(None, [matched.it]))
    for side in matched.slots.get("side") or matched.slots["sides"]:
        for name in names:
            yield Claim(subject=name, attribute="bitten", value=SIDE_OF[side])


def _permanent_bite_claims(matched: TemplateMatch) -> Iterator[Claim]:
    yield from _bite_claims(matched)
    yield Claim(subject="bite", attribute="stays", value="yes")
