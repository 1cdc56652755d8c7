"""Sentence templates that several families share: shapes of flat things, styles, articles and lists.

`STYLE_WORDS` have no other use in captions, so each identifies a style. The flat style is not mentioned.
"""

from collections.abc import Sequence
from random import Random

from worlds.family import Claim

STYLE_WORDS = {"outlines": "outline", "textures": "textured", "night": "night"}
SHORT_STYLE = {"flat": "", "outline": " with outlines", "textured": " with textures", "night": " at night"}
DENSE_STYLE = {
    "flat": (),
    "outline": (
        "Thin outlines are drawn around all that is seen.",
        "The drawing is simple, with thin outlines.",
    ),
    "textured": (
        "Fine textures cover all that is seen.",
        "The drawing is simple, with fine textures on it all.",
    ),
    "night": (
        "It is night, so that all colors are dark and a little blue.",
        "The light is dark and blue, as at night.",
    ),
}
LONG_WAYS = {
    "left": ("to the left", "toward the left"),
    "right": ("to the right", "toward the right"),
    "up": ("straight up", "upward"),
    "down": ("straight down", "downward"),
    "up-left": ("up and to the left", "diagonally up and left"),
    "up-right": ("up and to the right", "diagonally up and right"),
    "down-left": ("down and to the left", "diagonally down and left"),
    "down-right": ("down and to the right", "diagonally down and right"),
}
SHAPE_SENTENCES = {
    "circle": (
        "{Thing} is round and has no corners.",
        "{Thing} has a smooth, round outline without corners.",
    ),
    "square": (
        "{Thing} has four equal sides and four corners.",
        "{Thing} has flat sides of equal length and four sharp corners.",
    ),
    "triangle": (
        "{Thing} has three equal sides, with a corner at the top.",
        "{Thing} has three sharp corners and a flat base.",
    ),
    "star": ("{Thing} has five sharp points.", "{Thing} has five points around its center."),
}
SOLID = (
    "It is filled with a single flat {color}.",
    "Its color is an even {color}, with no texture.",
)
TEXTURED = (
    "It is {color} all over, though not evenly.",
    "Its color is {color}, with lighter and darker parts.",
)


def with_article(name: str) -> str:
    """Return `a red circle`, or `an orange star`."""
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def listed(names: Sequence[str]) -> str:
    """Return `a`, `a and b`, or `a, b and c`."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def style_sentences(style: str, rng: Random) -> list[str]:
    """Return one sentence about the style; an empty list for the flat style."""
    return [rng.choice(DENSE_STYLE[style])] if DENSE_STYLE[style] else []


def style_claims(style: str) -> frozenset[Claim]:
    """Return the claim about the style; an empty set for the flat style."""
    return frozenset([Claim(subject="scene", attribute="style", value=style)] if style != "flat" else [])
