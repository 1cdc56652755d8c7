"""Read captions of the family `rooms` back into claims."""

from functools import cache

from worlds.family import Claim
from worlds.reading import Reader, Said, Telling, scene
from worlds.rooms.captions import (
    CAMERA,
    COUNTS,
    LOOKS,
    MANNER,
    NIGHT_MANNER,
    OPENING,
    SHORT_CAMERA,
    SHORT_FLOOR,
    STILL_OPENING,
)
from worlds.rooms.truth import KINDS


def parse_claims(text: str) -> frozenset[Claim]:
    """Return the claims that a caption makes, in the terms of `worlds.rooms.captions.claims`."""
    return _reader().claims(text)


@cache
def _reader() -> Reader:
    short = [
        _camera(tuple(f"{text} {SHORT_FLOOR}" for text in texts), motion, short=True)
        for motion, texts in SHORT_CAMERA.items()
    ]
    return Reader(
        [
            *short,
            Telling(templates=(f"{{things}} {SHORT_FLOOR}",), short=True),
            Telling(templates=(*OPENING, *STILL_OPENING, *MANNER[2], *NIGHT_MANNER[1])),
            *(Telling(templates=texts, claims=scene("count", str(count))) for count, texts in COUNTS.items()),
            *(_camera(texts, motion, short=False) for motion, texts in CAMERA.items()),
            *(_kind(texts, kind) for kind, texts in LOOKS.items()),
        ],
        {"kind": KINDS},
    )


def _camera(templates: tuple[str, ...], motion: str, *, short: bool) -> Telling:
    claim = Claim(subject="camera", attribute="motion", value=motion)
    return Telling(templates=templates, claims=lambda said: (claim,), short=short)


def _kind(templates: tuple[str, ...], kind: str) -> Telling:
    def claims(said: Said) -> list[Claim]:
        return said.about("name", "kind", kind)

    return Telling(templates=templates, claims=claims)
