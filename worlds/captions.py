"""Say what is in a world, in one short or one dense caption, and list the atomic claims behind both.

Every sentence is true of the world it is written for. All words come from `vocabulary()`; `worlds.grammar`
reads them back.
"""

import re
from random import Random

from worlds.grammar import parse_claims, prompt_truth
from worlds.palette import BACKGROUNDS, COLORS, SHAPES, SPEEDS, STILL
from worlds.truth import Claim, Thing, World
from worlds.words import join_words, words

__all__ = [
    "claims",
    "dense_caption",
    "join_words",
    "parse_claims",
    "prompt_truth",
    "short_caption",
    "vocabulary",
    "words",
]

DENSE_WORDS = (60, 135)
"""Fewest and most words of a dense caption."""

SHORT_WAYS = {"left": "left", "right": "right", "up": "up", "down": "down"} | {
    f"{y}-{x}": f"{y} and {x}" for y in ("up", "down") for x in ("left", "right")
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
SHORT_MOVES = {
    "slow": ("slowly moves {way}", "moves {way} slowly"),
    "medium": ("moves {way}",),
    "quick": ("quickly moves {way}", "moves {way} quickly"),
}
SHORT_STILL = ("stays still", "is still", "remains still")
SHORT_BACKGROUND = (
    "over a {background} background",
    "on a {background} background",
    "in front of a {background} background",
)
SLATE = "an empty {background} background"

OPENING = (
    "The video shows {things} {over} a plain {background} background.",
    "In this short video, {things} can be seen {over} a plain {background} background.",
    "This clip shows {things} {over} a solid {background} background.",
)
OVER = ("over", "in front of", "against")
COUNTS = {
    1: (
        "There is only one object in the scene.",
        "It is the only object in the scene.",
        "Just one object is visible from start to end.",
    ),
    2: (
        "There are two objects in the scene.",
        "Two objects are visible from start to end, and they never touch.",
        "The scene holds exactly two objects.",
    ),
}
MOVES = (
    "{Thing} moves {way} at a {speed} speed, and its path is a straight line.",
    "During the whole clip {thing} keeps moving {way} at a {speed}, constant speed.",
    "At a {speed} and even pace {thing} travels {way} without turning.",
)
STAYS = (
    "{Thing} stays still, in the same place, during the whole clip.",
    "During the whole clip {thing} remains still and does not change its place.",
    "{Thing} is still: nothing about its place changes from the first frame to the last.",
)
LOOKS = {
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
SETTING = (
    "The {background} background is empty and has the same color everywhere.",
    "Behind it all, the background is a uniform {background} with no texture.",
    "The background stays {background} and does not change.",
)
CAMERA = (
    "The camera is fixed, with no zoom and no cuts.",
    "The view is fixed, and there are no cuts.",
    "The camera does not zoom or pan.",
)
STYLE = (
    "The picture is a simple, flat drawing with clean edges and no shadows.",
    "The light is even, without shadows, and the drawing is simple and flat.",
    "It is a clean and simple animation with flat colors, sharp edges and no text.",
)


def vocabulary() -> list[str]:
    """Return every word and punctuation mark that a caption of this family can hold, sorted."""
    texts = [
        *SHORT_WAYS.values(),
        *SHORT_STILL,
        *SHORT_BACKGROUND,
        SLATE,
        *OPENING,
        *OVER,
        *MOVES,
        *STAYS,
        *SOLID,
    ]
    for table in (LONG_WAYS, SHORT_MOVES, COUNTS, LOOKS):
        texts += [text for group in table.values() for text in group]
    texts += [*SETTING, *CAMERA, *STYLE, *COLORS, *SHAPES, *BACKGROUNDS, *SPEEDS, "a an the and"]
    return sorted({word for text in texts for word in words(re.sub(r"\{\w+\}", " ", text))})


def short_caption(world: World, seed: int) -> str:
    """Return about 8 words, such as `a red circle moves left over a gray background`.

    A medium speed is not mentioned, nor is the number of things.
    """
    rng = Random(f"worlds/short/{seed}")
    if not world.things:
        return SLATE.format(background=world.background)
    said = " and ".join(f"{_article(t.color)} {t.name} {_short_move(t, rng)}" for t in _order(world, rng))
    return f"{said} {rng.choice(SHORT_BACKGROUND).format(background=world.background)}"


def dense_caption(world: World, seed: int) -> str:
    """Return 60 to 135 words in natural sentences that hold every claim of `world`.

    Raises:
        ValueError: if the world is an empty slate, of which there is not so much to say.
    """
    if not world.things:
        raise ValueError("an empty slate has no dense caption: use short_caption")
    rng = Random(f"worlds/dense/{seed}")
    things = _order(world, rng)
    said = " and ".join(f"{_article(t.color)} {t.name}" for t in things)
    over, background = rng.choice(OVER), world.background
    sentences = [rng.choice(OPENING).format(things=said, over=over, background=background)]
    counts = COUNTS[len(things)]
    sentences.append(rng.choice(counts))
    for thing in things:
        sentences += _about(thing, rng)
    manner = [rng.choice(CAMERA), rng.choice(STYLE)]
    closing = [rng.choice(SETTING).format(background=background), *manner[: 3 - len(things)]]
    rng.shuffle(closing)
    return " ".join(sentences + closing)


def claims(world: World) -> frozenset[Claim]:
    """Return everything that captions can truly say about `world`."""
    found = {
        Claim(subject="background", attribute="color", value=world.background),
        Claim(subject="scene", attribute="count", value=str(len(world.things))),
    }
    for thing in world.things:
        pairs = {
            "color": thing.color,
            "shape": thing.shape,
            "direction": thing.direction,
            "speed": thing.speed,
        }
        found |= {Claim(subject=thing.name, attribute=k, value=v) for k, v in pairs.items() if v is not None}
    return frozenset(found)


def _order(world: World, rng: Random) -> list[Thing]:
    return rng.sample(world.things, len(world.things))


def _article(word: str) -> str:
    return "an" if word[0] in "aeiou" else "a"


def _short_move(thing: Thing, rng: Random) -> str:
    if thing.direction == STILL or thing.speed is None:
        return rng.choice(SHORT_STILL)
    return rng.choice(SHORT_MOVES[thing.speed]).format(way=SHORT_WAYS[thing.direction])


def _about(thing: Thing, rng: Random) -> list[str]:
    """Return how it moves, and its outline and colour; each sentence names the thing or follows one that
    does."""
    name = f"the {thing.name}"
    if thing.direction == STILL:
        motion = rng.choice(STAYS)
    else:
        motion = rng.choice(MOVES).format(
            way=rng.choice(LONG_WAYS[thing.direction]), speed=thing.speed, thing=name, Thing=_capital(name)
        )
    look = rng.choice(LOOKS[thing.shape]) + " " + rng.choice(SOLID).format(color=thing.color)
    pair = [motion.format(thing=name, Thing=_capital(name)), look.format(Thing=_capital(name))]
    rng.shuffle(pair)
    return pair


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]
