"""Caption worlds of the family `occlusion`, and list their claims."""

from random import Random

from worlds.family import Claim
from worlds.occlusion.truth import OcclusionWorld, hidden_span, visible_T
from worlds.sentence_templates import (
    LONG_WAYS,
    SHAPE_SENTENCES,
    SHORT_STYLE,
    SOLID,
    TEXTURED,
    style_claims,
    style_sentences,
    with_article,
)

LENGTHS = {"briefly": 0.4, "for a moment": 0.8, "for a while": float("inf")}
"""Maximum seconds of each duration word."""
LENGTH_VALUES = {"briefly": "brief", "moment": "moment", "while": "while"}
"""Claim value of each duration, by a word that occurs in no other sentence."""

SHORT = {
    "thing": (
        "{a_thing} moves {way} behind {a_wall} wall over {background}",
        "{a_thing} goes {way} and passes behind {a_wall} wall over {background}",
    ),
    "camera_wall": (
        "the camera passes {a_wall} wall that hides {a_thing} going {way} over {background}",
        "{a_wall} wall passes the camera and hides {a_thing} going {way} over {background}",
    ),
    "camera_out": (
        "the camera turns until {a_thing} beside {a_wall} wall leaves {way} over {background} and returns",
        "the camera turns from {a_thing} leaving {way} beside {a_wall} wall over {background} and turns back",
    ),
}
OPENING = (
    "The video shows {a_thing} and {a_wall} wall over a plain {background} background.",
    "In this short video, {a_thing} and {a_wall} wall can be seen over a {background} background.",
    "This clip shows {a_thing} together with {a_wall} wall in front of a {background} background.",
)
ACTION = {
    "thing": (
        "The {thing} moves {way} in a straight line and goes behind the {wall} wall, where it is "
        "hidden {long}.",
        "At a constant pace the {thing} travels {way}, passes behind the {wall} wall and is hidden {long}.",
    ),
    "camera_wall": (
        "The camera travels, so the {thing} drifts {way}, and the {wall} wall, which is nearer, "
        "passes in front of it and hides it {long}.",
        "The {thing} drifts {way} because the camera travels, and the {wall} wall, closer to the camera, "
        "slides over it and hides it {long}.",
    ),
    "camera_out": (
        "The camera turns away, so the {thing} slides {way} until it is out of the picture {long}, and then "
        "the camera turns back.",
        "The {thing} slides {way} out of the picture, because the camera turns away from it; it stays out of "
        "view {long} until the camera turns back.",
    ),
}
RETURN = {
    "thing": (
        "Then it comes out on the other side, at the same pace and with the same color and shape as before.",
        "Afterward it appears again on the other side of the {wall} wall, unchanged in color, shape "
        "and pace.",
    ),
    "camera_wall": (
        "Once the {wall} wall has passed, it appears again with the same color and shape as before.",
        "Afterward it appears again, unchanged in color and shape.",
    ),
    "camera_out": (
        "It appears again at the same edge of the picture, with the same color and shape as before.",
        "Then it slides back into view, unchanged in color and shape.",
    ),
}
SETTING = (
    "Behind them there is only the {background} background.",
    "The {background} background is empty and does not change.",
)
CAMERA = {
    "thing": ("The camera is fixed, and there are no cuts.", "The view does not move, zoom or cut."),
    "camera_wall": ("There are no cuts.", "It is one shot without a cut."),
    "camera_out": ("There are no cuts.", "It is one shot without a cut."),
}


def hidden_long(world: OcclusionWorld) -> str:
    """Return the duration word for how long the thing is hidden."""
    hidden = hidden_span(visible_T(world))
    seconds = (hidden[1] - hidden[0]) / world.fps if hidden else 0.0
    return next(words for words, max_s in LENGTHS.items() if seconds <= max_s)


def short_caption(world: OcclusionWorld, seed: int) -> str:
    """Return about ten words, such as `a red circle moves left behind a brown wall over gray`."""
    rng = Random(f"worlds/occlusion/short/{seed}")
    text = rng.choice(SHORT[world.variant]).format(**_words(world, rng), way=world.direction)
    return f"{text}{SHORT_STYLE[world.style]}"


def dense_caption(world: OcclusionWorld, seed: int) -> str:
    """Return a caption of 60 to 135 words that states every claim of `world`."""
    rng = Random(f"worlds/occlusion/dense/{seed}")
    words = _words(world, rng) | {"way": rng.choice(LONG_WAYS[world.direction])}
    solid = rng.choice(TEXTURED if world.style == "textured" else SOLID).format(color=world.color)
    shape = [f"{rng.choice(SHAPE_SENTENCES[world.shape]).format(Thing=f'The {world.name}')} {solid}"]
    action = f"{rng.choice(ACTION[world.variant])} {rng.choice(RETURN[world.variant])}".format(**words)
    middle = [*shape, action]
    closing = [rng.choice(SETTING).format(**words), rng.choice(CAMERA[world.variant])]
    closing += style_sentences(world.style, rng)
    sentences = [rng.choice(OPENING).format(**words)]
    return " ".join([*sentences, *rng.sample(middle, 2), *rng.sample(closing, len(closing))])


def _words(world: OcclusionWorld, rng: Random) -> dict[str, str]:
    return {
        "thing": world.name,
        "a_thing": with_article(world.name),
        "wall": world.wall,
        "a_wall": with_article(world.wall),
        "background": world.background,
        "long": hidden_long(world),
    }


def claims(world: OcclusionWorld) -> frozenset[Claim]:
    """Return the claims of the dense caption.

    They cover colour, shape and direction of the thing, the `event` that hides it, the duration (`hidden`),
    `returns`, and the colours of wall and background.
    """
    about = {
        "color": world.color,
        "shape": world.shape,
        "direction": world.direction,
        "hidden": next(v for word, v in LENGTH_VALUES.items() if word in hidden_long(world)),
        "returns": "same",
    }
    result = {Claim(subject=world.name, attribute=name, value=value) for name, value in about.items()}
    result |= {
        Claim(subject="background", attribute="color", value=world.background),
        Claim(subject="wall", attribute="color", value=world.wall),
        Claim(subject="scene", attribute="event", value=world.variant),
    }
    return frozenset(result) | style_claims(world.style)
