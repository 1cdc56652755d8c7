"""Caption worlds of the family `physics`, and list their claims."""

from random import Random

from worlds.family import Claim
from worlds.physics.truth import PhysicsWorld
from worlds.sentence_templates import (
    SHAPE_SENTENCES,
    SHORT_STYLE,
    SOLID,
    TEXTURED,
    listed,
    style_claims,
    style_sentences,
    with_article,
)

SHORT = {
    "fall": (
        "{first} falls onto {floor} floor over {background}",
        "{first} drops to {floor} floor over {background}",
    ),
    "bounce": (
        "{first} bounces on {floor} floor over {background}",
        "{first} falls and bounces off {floor} floor over {background}",
    ),
    "collide": ("{first} slides {way} and hits {second} on {floor} floor over {background}",),
    "stack": ("{first} lands on top of {second} on {floor} floor over {background}",),
}
OPENING = (
    "The video shows {things} above {floor} floor, with a plain {background} background.",
    "In this short video there is {floor} floor in front of a {background} background, and {things}.",
)
ACTION = {
    "fall": (
        "The {one} starts at rest high up, falls faster and faster, and stays where it meets the floor.",
        "Pulled by gravity, the {one} drops from rest with growing speed until it meets the floor and stays "
        "there.",
    ),
    "bounce": (
        "The {one} falls faster and faster, meets the floor and bounces up again, not quite as high as "
        "before.",
        "Pulled by gravity, the {one} drops with growing speed and bounces off the floor, a little lower "
        "each time.",
    ),
    "collide": (
        "The {one} slides {way} over the floor at a constant speed until it hits the {two}, which was at "
        "rest. Then the {one} stops, and the {two} goes on at the same speed.",
        "At a constant speed the {one} slides {way} and hits the {two}, which waits at rest. The {one} stops "
        "there, and hands all of its speed over to the {two}.",
    ),
    "stack": (
        "The {one} starts at rest high up, falls faster and faster, lands on top of the {two}, and stays "
        "there.",
        "Pulled by gravity, the {one} drops with growing speed, lands on top of the {two}, and the two make "
        "a pile.",
    ),
}
SETTING = (
    "Behind it all there is only the {background} background.",
    "The {background} background is empty and does not change.",
)
CAMERA = (
    "The camera is fixed, with no zoom and no cuts.",
    "The view does not move or zoom, and it is one shot without a cut.",
)
SMALL = (
    "Nothing turns or changes its form on the way.",
    "All of it keeps its form and color from the first frame to the last.",
)


def short_caption(world: PhysicsWorld, seed: int) -> str:
    """Return about ten words, such as `a red circle falls onto a brown floor over gray`."""
    rng = Random(f"worlds/physics/short/{seed}")
    text = rng.choice(SHORT[world.event]).format(**_words(world), way=world.direction)
    return f"{text}{SHORT_STYLE[world.style]}"


def dense_caption(world: PhysicsWorld, seed: int) -> str:
    """Return a caption of 60 to 135 words that states every claim of `world`."""
    rng = Random(f"worlds/physics/dense/{seed}")
    words = _words(world)
    way = rng.choice((f"to the {world.direction}", f"toward the {world.direction}"))
    solid = TEXTURED if world.style == "textured" else SOLID
    shapes = [
        f"{rng.choice(SHAPE_SENTENCES[body.shape]).format(Thing=f'The {body.name}')} "
        f"{rng.choice(solid).format(color=body.color)}"
        for body in world.bodies
    ]
    middle = [*shapes, rng.choice(ACTION[world.event]).format(**words, way=way)]
    closing = [rng.choice(SETTING).format(**words)]
    if len(world.bodies) == 1:
        closing += [rng.choice(CAMERA), rng.choice(SMALL)]
    closing += style_sentences(world.style, rng)
    sentences = [rng.choice(OPENING).format(**words), *rng.sample(middle, len(middle))]
    return " ".join([*sentences, *rng.sample(closing, len(closing))])


def _words(world: PhysicsWorld) -> dict[str, str]:
    named = [with_article(body.name) for body in world.bodies]
    return {
        "first": named[0],
        "second": named[-1],
        "things": listed(named),
        "one": world.bodies[0].name,
        "two": world.bodies[-1].name,
        "floor": with_article(world.floor),
        "background": world.background,
    }


def claims(world: PhysicsWorld) -> frozenset[Claim]:
    """Return the claims of the dense caption.

    They cover the `event`, colour and shape of each thing, the `direction` of a sliding thing, and the
    colours of floor and background.
    """
    result = {
        Claim(subject="background", attribute="color", value=world.background),
        Claim(subject="floor", attribute="color", value=world.floor),
        Claim(subject="scene", attribute="event", value=world.event),
    }
    for body in world.bodies:
        result.add(Claim(subject=body.name, attribute="color", value=body.color))
        result.add(Claim(subject=body.name, attribute="shape", value=body.shape))
    if world.event == "collide":
        result.add(Claim(subject=world.bodies[0].name, attribute="direction", value=world.direction))
    return frozenset(result) | style_claims(world.style)
