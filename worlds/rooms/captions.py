"""Caption a room and its camera motion, with one short or one dense caption."""

import itertools
from random import Random

from worlds.family import Claim
from worlds.rooms.truth import STILL, RoomWorld
from worlds.sentence_templates import SHORT_STYLE, listed, style_claims, style_sentences, with_article

SHORT_CAMERA = {
    "orbit left": ("the camera orbits left around {things}",),
    "orbit right": ("the camera orbits right around {things}",),
    "pan left": ("the camera pans left past {things}", "a pan to the left past {things}"),
    "pan right": ("the camera pans right past {things}", "a pan to the right past {things}"),
    "dolly in": ("the camera moves in on {things}", "a dolly in toward {things}"),
    "dolly out": ("the camera moves away from {things}", "a dolly out from {things}"),
    STILL: ("a still view of {things}", "the still camera shows {things}"),
}
SHORT_FLOOR = "on {floor} tiles"
OPENING = (
    "The video shows {things} on a tiled {floor} floor.",
    "In a bright, open room {things} can be seen on a floor of {floor} tiles.",
    "This clip shows {things} on a wide, tiled floor that is {floor}.",
)
STILL_OPENING = (
    "The picture shows {things} on a tiled {floor} floor.",
    "In a bright, open room {things} can be seen on a floor of {floor} tiles.",
)
COUNTS = {
    1: ("It is the only object in the room.", "There is just one object in the room."),
    2: ("There are two objects in the room.", "The room holds exactly two objects."),
    3: ("There are three objects in the room.", "The room holds exactly three objects."),
}
SHAPE_SENTENCES = {
    "box": (
        "The {name} has flat faces and sharp corners.",
        "The {name} is a solid cube with straight edges.",
    ),
    "ball": (
        "The {name} is perfectly round and rests on the floor.",
        "The {name} is a smooth, round sphere.",
    ),
    "cylinder": (
        "The {name} is tall and upright, with a round, flat top.",
        "The {name} stands upright like a tall, round can.",
    ),
}
CAMERA = {
    "orbit left": (
        "The camera orbits to the left around the middle of the room, so near things drift to the right.",
        "Circling to the left, the camera keeps looking at the middle of the room at a constant distance.",
    ),
    "orbit right": (
        "The camera orbits to the right around the middle of the room, so near things drift to the left.",
        "Circling to the right, the camera keeps looking at the middle of the room at a constant distance.",
    ),
    "pan left": (
        "The camera pans to the left without leaving its place, and the whole view slides to the right.",
        "From one fixed place the camera turns slowly to the left.",
    ),
    "pan right": (
        "The camera pans to the right without leaving its place, and the whole view slides to the left.",
        "From one fixed place the camera turns slowly to the right.",
    ),
    "dolly in": (
        "The camera moves straight forward, so that everything ahead grows larger.",
        "In one smooth dolly in, the camera comes closer and closer.",
    ),
    "dolly out": (
        "The camera moves straight backward, so that everything ahead grows smaller.",
        "In one smooth dolly out, the camera draws farther and farther away.",
    ),
    STILL: (
        "The camera is still during the whole clip.",
        "Nothing changes from start to end, because the camera stays still.",
    ),
}
MANNER = (
    (
        "Nothing in the room moves by itself.",
        "All objects stay exactly where they are on the floor.",
    ),
    (
        "Soft light falls from above and from the left, and gives every object a dark shadow on the floor.",
        "The scene is lit softly from above, with a dark shadow beside each object.",
    ),
    (
        "Lighter and darker {floor} tiles alternate like a chessboard and fade into a pale horizon.",
        "The {floor} tiles, some lighter and some darker, reach to a hazy horizon under a pale sky.",
    ),
)

NIGHT_MANNER = (
    (
        "Dim light falls from above and from the left, and gives every object a dark shadow on the floor.",
        "The scene is lit dimly from above, with a dark shadow beside each object.",
    ),
    (
        "Lighter and darker {floor} tiles alternate like a chessboard and fade into a dark horizon.",
        "The {floor} tiles, some lighter and some darker, reach to a hazy horizon under a dark sky.",
    ),
)


def short_caption(world: RoomWorld, seed: int) -> str:
    """Return about 8 words per solid, such as `the camera orbits left around a red box on gray tiles`."""
    rng = Random(f"worlds/rooms/short/{seed}")
    things = listed([with_article(solid.name) for solid in rng.sample(world.solids, len(world.solids))])
    floor = SHORT_FLOOR.format(floor=world.floor) + SHORT_STYLE[world.style]
    if not world.moves:
        return f"{things} {floor}"
    return f"{rng.choice(SHORT_CAMERA[world.camera]).format(things=things)} {floor}"


def dense_caption(world: RoomWorld, seed: int) -> str:
    """Return a caption of 60 to 135 words that states every claim of `world`."""
    rng = Random(f"worlds/rooms/dense/{seed}")
    order = rng.sample(world.solids, len(world.solids))
    openings = OPENING if world.moves else STILL_OPENING
    opening = rng.choice([text for text in openings if world.style != "night" or "bright" not in text])
    things = listed([with_article(solid.name) for solid in order])
    sentences = [opening.format(things=things, floor=world.floor), rng.choice(COUNTS[len(order)])]
    body = [rng.choice(SHAPE_SENTENCES[solid.kind]).format(name=solid.name) for solid in order]
    if world.moves:
        body.insert(rng.choice((0, len(body))), rng.choice(CAMERA[world.camera]))
    manner = NIGHT_MANNER if world.style == "night" else MANNER if world.style == "flat" else MANNER[1:]
    closing = [rng.choice(group).format(floor=world.floor) for group in manner]
    closing += style_sentences(world.style, rng)
    return " ".join(itertools.chain(sentences, body, rng.sample(closing, len(closing))))


def claims(world: RoomWorld) -> frozenset[Claim]:
    """Return the true claims about `world`; claims about the camera need more than one frame."""
    result = {
        Claim(subject="floor", attribute="color", value=world.floor),
        Claim(subject="scene", attribute="count", value=str(len(world.solids))),
    }
    if world.moves:
        result.add(Claim(subject="camera", attribute="motion", value=world.camera))
    for solid in world.solids:
        result.add(Claim(subject=solid.name, attribute="color", value=solid.color))
        result.add(Claim(subject=solid.name, attribute="kind", value=solid.kind))
    return frozenset(result) | style_claims(world.style)
