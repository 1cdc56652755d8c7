"""Parse captions of the family `physics` into claims."""

from collections.abc import Iterator
from functools import cache

from worlds.caption_parser import CaptionParser, TemplateMatch, TemplateRule, shape_rules
from worlds.family import Claim
from worlds.palette import SHAPES
from worlds.physics.captions import ACTION, OPENING, SETTING, SHORT
from worlds.sentence_templates import LONG_WAYS

WAY_OF = {matched: way for way in ("left", "right", "up", "down") for matched in (*LONG_WAYS[way], way)}


def parse_claims(text: str) -> frozenset[Claim]:
    """Return the claims of a caption in the terms of `worlds.physics.captions.claims`."""
    return _parser().claims(text)


@cache
def _parser() -> CaptionParser:
    return CaptionParser(
        [
            *(_telling(texts, event, short=True) for event, texts in SHORT.items()),
            *(_telling(texts, event, short=False) for event, texts in ACTION.items()),
            TemplateRule(templates=OPENING + SETTING),
            *shape_rules(),
        ],
        {"shape": SHAPES},
        {"way": tuple(WAY_OF)},
    )


def _telling(templates: tuple[str, ...], event: str, *, short: bool) -> TemplateRule:
    return TemplateRule(templates=templates, claims=lambda matched: _action(matched, event), short=short)


def _action(matched: TemplateMatch, event: str) -> Iterator[Claim]:
    """Yield the event, and the direction of a sliding thing."""
    yield Claim(subject="scene", attribute="event", value=event)
    for way in matched.slots.get("way", ()):
        yield from matched.claims_about(
            "first" if "first" in matched.slots else "one", "direction", WAY_OF[way]
        )[:1]
