"""Parse captions of the family `occlusion` into claims."""

from collections.abc import Iterator
from functools import cache

from worlds.caption_parser import CaptionParser, TemplateMatch, TemplateRule, shape_rules
from worlds.family import Claim
from worlds.occlusion.captions import ACTION, LENGTH_VALUES, LENGTHS, OPENING, RETURN, SETTING, SHORT
from worlds.palette import SHAPES
from worlds.sentence_templates import LONG_WAYS

WAYS = ("left", "right", "up", "down")
WAY_OF = {matched: way for way in WAYS for matched in (*LONG_WAYS[way], way)}
"""Direction of each phrase, longest phrases first."""


def parse_claims(text: str) -> frozenset[Claim]:
    """Return the claims of a caption in the terms of `worlds.occlusion.captions.claims`."""
    return _parser().claims(text)


@cache
def _parser() -> CaptionParser:
    def returns(matched: TemplateMatch) -> list[Claim]:
        return [Claim(subject=matched.it, attribute="returns", value="same")] if matched.it else []

    return CaptionParser(
        [
            *(_telling(texts, variant, short=True) for variant, texts in SHORT.items()),
            *(_telling(texts, variant, short=False) for variant, texts in ACTION.items()),
            *(TemplateRule(templates=texts, claims=returns) for texts in RETURN.values()),
            TemplateRule(templates=OPENING + SETTING),
            *shape_rules(),
        ],
        {"shape": SHAPES},
        {"way": tuple(WAY_OF), "long": tuple(LENGTHS)},
    )


def _telling(templates: tuple[str, ...], variant: str, *, short: bool) -> TemplateRule:
    return TemplateRule(templates=templates, claims=lambda matched: _action(matched, variant), short=short)


def _action(matched: TemplateMatch, variant: str) -> Iterator[Claim]:
    """Yield the event, and direction and hidden duration if they are matched."""
    yield Claim(subject="scene", attribute="event", value=variant)
    slot = "thing" if "thing" in matched.slots else "a_thing"
    for way in matched.slots["way"]:
        yield from matched.claims_about(slot, "direction", WAY_OF[way])
    for long in matched.slots.get("long", ()):
        value = next(value for word, value in LENGTH_VALUES.items() if word in long)
        yield from matched.claims_about(slot, "hidden", value)
