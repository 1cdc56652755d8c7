"""Caption a world with one short or one dense caption, and list their atomic claims.

Every sentence is true of the world it is written for. All words come from `vocabulary()`;
`worlds.shapes.grammar` reads them back.
"""

import itertools
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from random import Random

from worlds.family import Claim
from worlds.palette import BACKGROUNDS, COLORS, SHAPES, SPEEDS, STILL
from worlds.sentence_templates import (
    DENSE_STYLE,
    LONG_WAYS,
    SHAPE_SENTENCES,
    SHORT_STYLE,
    SOLID,
    TEXTURED,
    listed,
    style_claims,
    style_sentences,
    with_article,
)
from worlds.shapes.truth import Thing, World, requirements_of
from worlds.shapes.words import words

DENSE_WORDS = (60, 135)
"""Minimum and maximum number of words of a dense caption."""

SHORT_WAYS = {"left": "left", "right": "right", "up": "up", "down": "down"} | {
    f"{y}-{x}": f"{y} and {x}" for y in ("up", "down") for x in ("left", "right")
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

OVER = ("over", "in front of", "against")
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
TEXTURED_STILL = "There is no text in the picture, and there are no shadows."
TEXTURED_SETTING = (
    "The background is {background}, and there is nothing on it that has a different color.",
    "Behind it all there is a {background} background, a little lighter in some places than in others.",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Phrases:
    """Sentences about a whole video or still, which must be true of every world."""

    opening: tuple[str, ...]
    counts: Mapping[int, tuple[str, ...]]
    setting: tuple[str, ...]
    manner: tuple[tuple[str, ...], ...]
    """Groups of sentences; one is taken from each group as far as the length allows."""


VIDEO = _Phrases(
    opening=(
        "The video shows {things} {over} a plain {background} background.",
        "In this short video, {things} can be seen {over} a plain {background} background.",
        "This clip shows {things} {over} a solid {background} background.",
    ),
    counts={
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
        3: (
            "There are three objects in the scene.",
            "The scene holds exactly three objects.",
        ),
    },
    setting=(
        "The {background} background is empty and has the same color everywhere.",
        "Behind it all, the background is a uniform {background} with no texture.",
        "The background stays {background} and does not change.",
    ),
    manner=(
        (
            "The camera is fixed, with no zoom and no cuts.",
            "The view is fixed, and there are no cuts.",
            "The camera does not zoom or pan.",
        ),
        (
            "The picture is a simple, flat drawing with clean edges and no shadows.",
            "The light is even, without shadows, and the drawing is simple and flat.",
            "It is a clean and simple animation with flat colors, sharp edges and no text.",
        ),
    ),
)
STILL_PICTURE = _Phrases(
    opening=(
        "The picture shows {things} {over} a plain {background} background.",
        "In this picture, {things} can be seen {over} a solid {background} background.",
    ),
    counts={
        1: ("There is only one object in the scene.", "It is the only object in the scene."),
        2: ("There are two objects in the scene.", "The scene holds exactly two objects."),
        3: ("There are three objects in the scene.", "The scene holds exactly three objects."),
    },
    setting=(
        "The {background} background is empty and has the same color everywhere.",
        "Behind it all, the background is a uniform {background} with no texture.",
    ),
    manner=(
        (
            "The picture is a simple and flat drawing, with clean edges, no text and no shadows.",
            "The light is even, without shadows, and the drawing is simple and flat, with no text.",
        ),
    ),
)


def vocabulary() -> list[str]:
    """Return all words and punctuation marks of the captions of this family, sorted."""
    texts = [
        *TEXTURED,
        *TEXTURED_SETTING,
        TEXTURED_STILL,
        *SHORT_STYLE.values(),
        *itertools.chain(*DENSE_STYLE.values()),
    ]
    texts += [*SHORT_WAYS.values(), *SHORT_STILL, *SHORT_BACKGROUND, SLATE, *OVER, *MOVES, *STAYS, *SOLID]
    texts += [*COLORS, *SHAPES, *BACKGROUNDS, *SPEEDS, "a an the and"]
    groups = [*LONG_WAYS.values(), *SHORT_MOVES.values(), *SHAPE_SENTENCES.values()]
    for phrases in (VIDEO, STILL_PICTURE):
        groups += [phrases.opening, *phrases.counts.values(), phrases.setting, *phrases.manner]
    texts += itertools.chain.from_iterable(groups)
    return sorted({word for text in texts for word in words(re.sub(r"\{\w+\}", " ", text))})


def short_caption(world: World, seed: int) -> str:
    """Return about 8 words for each thing, such as `a red circle moves left over a gray background`.

    It omits a medium speed, the number of things, the flat style, and the motion of a single frame.
    """
    rng = Random(f"worlds/short/{seed}")
    if not world.things:
        return SLATE.format(background=world.background)
    named = [(with_article(thing.name), _short_motion(thing, rng)) for thing in _order(world, rng)]
    subjects = listed([f"{name} {move}" if world.moves else name for name, move in named])
    setting = rng.choice(SHORT_BACKGROUND).format(background=world.background)
    return f"{subjects} {setting}{SHORT_STYLE[world.style]}"


def dense_caption(world: World, seed: int) -> str:
    """Return a caption of 60 to 135 words that states every claim of `world`.

    Raises:
        ValueError: if the world is an empty slate.
    """
    if not world.things:
        raise ValueError("an empty slate has no dense caption: use short_caption")
    rng = Random(f"worlds/dense/{seed}")
    things, phrases = _order(world, rng), VIDEO if world.moves else STILL_PICTURE
    subjects = listed([with_article(thing.name) for thing in things])
    sentences = [
        rng.choice(phrases.opening).format(
            things=subjects, over=rng.choice(OVER), background=world.background
        ),
        rng.choice(phrases.counts[len(things)]),
    ]
    solid = TEXTURED if world.style == "textured" else SOLID
    if world.moves and len(things) == 3:
        solid = ()  # keeps within DENSE_WORDS
    for thing in things:
        about = [_shape_sentences(thing, solid, rng)] + (
            [_motion_sentence(thing, rng)] if world.moves else []
        )
        sentences += rng.sample(about, len(about))
    manner = [rng.choice(group) for group in phrases.manner]
    setting = TEXTURED_SETTING if world.style == "textured" else phrases.setting
    closing = [rng.choice(setting).format(background=world.background)]
    if style := style_sentences(world.style, rng):
        manner = style + ([] if world.style == "textured" else manner)
    if len(things) == 3:
        closing = style or closing
    closing += manner[: 3 - len(things)]
    if world.style == "textured" and not world.moves:
        closing.append(TEXTURED_STILL)
    return " ".join(sentences + rng.sample(closing, len(closing)))


def claims(world: World) -> frozenset[Claim]:
    """Return the true claims about `world`; claims about motion need more than one frame.

    A thing by name has `color`, `shape`, `direction` and, when it moves, `speed`; `background` has `color`;
    `scene` has `count` and, unless it is flat, `style`.
    """
    truth = requirements_of(world)
    result = {
        Claim(subject="background", attribute="color", value=world.background),
        Claim(subject="scene", attribute="count", value=str(len(world.things))),
        *style_claims(world.style),
    }
    for thing in truth.things:
        stated = {name: value for name, value in asdict(thing).items() if value is not None}
        subject = f"{thing.color} {thing.shape}"
        result |= {Claim(subject=subject, attribute=name, value=value) for name, value in stated.items()}
    return frozenset(result)


def _order(world: World, rng: Random) -> list[Thing]:
    return rng.sample(world.things, len(world.things))


def _short_motion(thing: Thing, rng: Random) -> str:
    if thing.direction == STILL or thing.speed is None:
        return rng.choice(SHORT_STILL)
    return rng.choice(SHORT_MOVES[thing.speed]).format(way=SHORT_WAYS[thing.direction])


def _shape_sentences(thing: Thing, solid: tuple[str, ...], rng: Random) -> str:
    """Return one sentence about the shape, and one about the colour from `solid`, if any."""
    sentence = rng.choice(SHAPE_SENTENCES[thing.shape]).format(Thing=f"The {thing.name}")
    return f"{sentence} {rng.choice(solid).format(color=thing.color)}" if solid else sentence


def _motion_sentence(thing: Thing, rng: Random) -> str:
    """Return a sentence about the motion."""
    names = {"thing": f"the {thing.name}", "Thing": f"The {thing.name}"}
    if thing.direction == STILL:
        return rng.choice(STAYS).format(**names)
    way = rng.choice(LONG_WAYS[thing.direction])
    return rng.choice(MOVES).format(way=way, speed=thing.speed, **names)
