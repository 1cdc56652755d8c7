"""Parse captions of the family `rooms` into claims."""

from functools import cache

from worlds.caption_parser import CaptionParser, TemplateMatch, TemplateRule, scene_claim
from worlds.family import Claim
from worlds.rooms.captions import (
    CAMERA,
    COUNTS,
    MANNER,
    NIGHT_MANNER,
    OPENING,
    SHAPE_SENTENCES,
    SHORT_CAMERA,
    SHORT_FLOOR,
    STILL_OPENING,
)
from worlds.rooms.truth import KINDS


def parse_claims(text: str) -> frozenset[Claim]:
    """Return the claims of a caption in the terms of `worlds.rooms.captions.claims`."""
    return _parser().claims(text)


@cache
def _parser() -> CaptionParser:
    short = [
        _camera(tuple(f"{text} {SHORT_FLOOR}" for text in texts), motion, short=True)
        for motion, texts in SHORT_CAMERA.items()
    ]
    return CaptionParser(
        [
            *short,
            TemplateRule(templates=(f"{{things}} {SHORT_FLOOR}",), short=True),
            TemplateRule(templates=(*OPENING, *STILL_OPENING, *MANNER[2], *NIGHT_MANNER[1])),
            *(
                TemplateRule(templates=texts, claims=scene_claim("count", str(count)))
                for count, texts in COUNTS.items()
            ),
            *(_camera(texts, motion, short=False) for motion, texts in CAMERA.items()),
            *(_kind(texts, kind) for kind, texts in SHAPE_SENTENCES.items()),
        ],
        {"kind": KINDS},
    )


def _camera(templates: tuple[str, ...], motion: str, *, short: bool) -> TemplateRule:
    claim = Claim(subject="camera", attribute="motion", value=motion)
    return TemplateRule(templates=templates, claims=lambda matched: (claim,), short=short)


def _kind(templates: tuple[str, ...], kind: str) -> TemplateRule:
    def claims(matched: TemplateMatch) -> list[Claim]:
        return matched.claims_about("name", "kind", kind)

    return TemplateRule(templates=templates, claims=claims)
