"""Caption strokes or bites, with one short or one dense caption."""

from random import Random

from worlds.canvas.truth import CanvasWorld, Food
from worlds.family import Claim
from worlds.sentence_templates import SHORT_STYLE, listed, style_claims, style_sentences, with_article

WAYS = {
    "left": ("to the left", "from right to left"),
    "right": ("to the right", "from left to right"),
    "up": ("upward", "from the bottom to the top"),
    "down": ("downward", "from the top to the bottom"),
    "clockwise": ("clockwise",),
    "counterclockwise": ("counterclockwise",),
}
SHORT_STROKE = ("a brush paints {a_name} {way}", "a paintbrush leaves {a_name} {way}")
SHORT_NEXT = (" and then {a_name} {way}",)
SHORT_GROUND = " on a {background} canvas"
SHORT_BITE = ("a round head bites {a_name} {at}", "{a_name} is bitten {at}")
SHORT_FOOD_GROUND = " on a {background} background"

PAINT_OPENING = (
    "The video shows a plain {background} canvas on which a brush paints {things}.",
    "On an empty {background} canvas, a brush with a thin handle paints {things}.",
    "In this clip a paintbrush moves over a {background} canvas and leaves {things} behind.",
)
STROKES = {
    "line": (
        "The {name} is a straight stroke that is drawn {way}.",
        "The brush draws the {name} {way}, along one straight path.",
    ),
    "wave": (
        "The {name} swings from side to side while it is drawn {way}.",
        "The brush draws the {name} {way} in smooth, even curves.",
    ),
    "circle": (
        "The {name} is a round ring that is drawn {way} until it closes.",
        "The brush goes {way} once around to close the {name}.",
    ),
}
SHAPE_SENTENCES = {
    "line": ("The {name} is a straight stroke.",),
    "wave": ("The {name} swings from side to side in smooth curves.",),
    "circle": ("The {name} is a round ring with an empty middle.",),
}
ORDER = (
    "The {first} is painted first, and the {second} is painted after it.",
    "First comes the {first}, and only then the {second}.",
)
PAINT_COUNTS = {
    1: ("It is the only stroke on the canvas.", "There is just one stroke in the end."),
    2: ("There are two strokes in the end.", "In the end the canvas holds exactly two strokes."),
}
PAINT_STAYS = (
    "The paint stays where it was put until the last frame, and nothing of it fades.",
    "Every part that has been painted remains on the canvas until the end.",
)
PAINT_MANNER = (
    ("The view is fixed from above, with no zoom and no cuts.", "The camera does not move at all."),
    (
        "When the work is done, the brush is lifted and goes out of sight.",
        "At the end the brush is taken away, so that only paint is left on the {background} canvas.",
    ),
)

FOOD_OPENING = (
    "The video shows {a_name} in front of a plain {background} background.",
    "In this clip, {a_name} can be seen whole at first, over a {background} background.",
)
FOODS = {
    "apple": (
        "The {name} is smooth and round, with a short stem at the top.",
        "The {name} has a plain skin and a little stem.",
    ),
    "cookie": (
        "The {name} is flat and round, with six dark chips in it.",
        "The {name} is a round disc with six dark, round chips.",
    ),
}
BITES = (
    "A round head with an open mouth comes from {side} and bites into the {name}.",
    "From {side} a round head comes closer with its mouth open, and takes a bite of the {name}.",
)
BITE_COUNTS = {
    1: ("It takes just one bite.", "There is one bite and no more."),
    2: ("There are two bites in all.", "In the end two bites are gone."),
}
BITE_STAYS = (
    "The bite leaves a notch with marks of teeth at {side}, and the missing part never comes back.",
    "Where the {name} was bitten, at {side}, the mark stays until the last frame.",
)
FOOD_MANNER = (
    ("The view is fixed, with no zoom and no cuts.", "The camera does not move at all."),
    (
        "After each bite the head goes back to where it came from and leaves the picture.",
        "The head then closes its mouth and goes away again, out of the picture.",
    ),
    (
        "The rest of the {name} does not move, and the {background} background stays empty.",
        "All else is still: the {name} keeps its place on the {background} background.",
    ),
)
SIDES = {"left": "the left", "right": "the right", "top": "the top", "bottom": "the bottom"}
STILL_PAINT = "The picture shows {things} painted on a plain {background} canvas."
STILL_FOOD = "The picture shows {a_name}, bitten at {side}, in front of a plain {background} background."
STILL_MANNER = (
    "The picture is a simple, flat drawing with clean edges, no text and no shadows.",
    "The {background} surface around is empty and has the same color everywhere, up to its edges.",
    "The light is even, and nothing else can be seen anywhere in the picture.",
)

STILL_TEXTURED = (
    "The picture is a simple drawing with clean edges, no text and no shadows.",
    "The {background} surface around is empty, and nothing else lies on it, up to its edges.",
    STILL_MANNER[2],
)


def short_caption(world: CanvasWorld, seed: int) -> str:
    """Return about 8 words per stroke or bite, such as `a brush paints a red wave upward`."""
    rng = Random(f"worlds/canvas/short/{seed}")
    if world.food is not None:
        at = "at " + listed([SIDES[bite.side] for bite in world.food.bites])
        pattern = rng.choice(SHORT_BITE) if world.moves else SHORT_BITE[1]
        text = pattern.format(a_name=with_article(world.food.name), at=at) + SHORT_FOOD_GROUND
    elif world.moves:
        first, *rest = world.strokes
        text = rng.choice(SHORT_STROKE).format(a_name=with_article(first.name), way=WAYS[first.direction][0])
        for stroke in rest:
            way = WAYS[stroke.direction][0]
            text += rng.choice(SHORT_NEXT).format(a_name=with_article(stroke.name), way=way)
        text += SHORT_GROUND
    else:
        text = listed([with_article(stroke.name) for stroke in world.strokes]) + SHORT_GROUND
    return text.format(background=world.background) + SHORT_STYLE[world.style]


def dense_caption(world: CanvasWorld, seed: int) -> str:
    """Return a caption of 60 to 135 words that states every claim of `world`."""
    rng = Random(f"worlds/canvas/dense/{seed}")
    return " ".join(_food_sentences(world, world.food, rng) if world.food else _paint_sentences(world, rng))


def _paint_sentences(world: CanvasWorld, rng: Random) -> list[str]:
    things = listed([with_article(stroke.name) for stroke in world.strokes])
    names = {"things": things, "background": world.background}
    if not world.moves:
        shapes = [
            rng.choice(SHAPE_SENTENCES[stroke.form]).format(name=stroke.name) for stroke in world.strokes
        ]
        return [
            STILL_PAINT.format(**names),
            rng.choice(PAINT_COUNTS[len(world.strokes)]),
            *shapes,
            *_still_sentences(world, rng),
        ]
    sentences = [rng.choice(PAINT_OPENING).format(**names), rng.choice(PAINT_COUNTS[len(world.strokes)])]
    for stroke in world.strokes:
        way = rng.choice(WAYS[stroke.direction])
        sentences.append(rng.choice(STROKES[stroke.form]).format(name=stroke.name, way=way))
    if len(world.strokes) == 2:
        first, second = (stroke.name for stroke in world.strokes)
        sentences.append(rng.choice(ORDER).format(first=first, second=second))
    style = style_sentences(world.style, rng)
    manner = [rng.choice(group).format(**names) for group in PAINT_MANNER[len(style) :]]
    closing = [rng.choice(PAINT_STAYS), *style, *manner]
    return sentences + rng.sample(closing, len(closing))


def _food_sentences(world: CanvasWorld, food: Food, rng: Random) -> list[str]:
    names = {"a_name": with_article(food.name), "name": food.name, "background": world.background}
    appearance = rng.choice(FOODS[food.kind]).format(**names)
    if not world.moves:
        side = " and at ".join(SIDES[bite.side] for bite in food.bites)
        opening = STILL_FOOD.format(side=side, **names)
        return [
            opening,
            rng.choice(BITE_COUNTS[2] if len(food.bites) == 2 else BITE_COUNTS[1][1:]),
            appearance,
            *_still_sentences(world, rng),
        ]
    sentences = [rng.choice(FOOD_OPENING).format(**names), appearance]
    sentences += [rng.choice(BITES).format(side=SIDES[bite.side], **names) for bite in food.bites]
    last = SIDES[food.bites[-1].side]
    sentences += [rng.choice(BITE_STAYS).format(side=last, **names), rng.choice(BITE_COUNTS[len(food.bites)])]
    style = style_sentences(world.style, rng)
    manner = [rng.choice(group).format(**names) for group in FOOD_MANNER[len(style) :]]
    closing = style + rng.sample(manner, 4 - len(food.bites) - len(style))
    return sentences + rng.sample(closing, len(closing))


def _still_sentences(world: CanvasWorld, rng: Random) -> list[str]:
    manner = STILL_TEXTURED if world.style == "textured" else STILL_MANNER
    sentences = [text.format(background=world.background) for text in rng.sample(manner, len(manner))]
    return sentences + style_sentences(world.style, rng)


def claims(world: CanvasWorld) -> frozenset[Claim]:
    """Return the true claims about `world`; claims about motion need more than one frame."""
    result = {Claim(subject="background", attribute="color", value=world.background)}
    result |= style_claims(world.style)
    if world.food is not None:
        food = world.food
        result |= {
            Claim(subject=food.name, attribute="color", value=food.color),
            Claim(subject=food.name, attribute="kind", value=food.kind),
            Claim(subject="scene", attribute="bites", value=str(len(food.bites))),
        }
        result |= {Claim(subject=food.name, attribute="bitten", value=bite.side) for bite in food.bites}
        if world.moves:
            result.add(Claim(subject="bite", attribute="stays", value="yes"))
        return frozenset(result)
    result.add(Claim(subject="scene", attribute="count", value=str(len(world.strokes))))
    for stroke in world.strokes:
        result.add(Claim(subject=stroke.name, attribute="color", value=stroke.color))
        result.add(Claim(subject=stroke.name, attribute="form", value=stroke.form))
        if world.moves:
            result.add(Claim(subject=stroke.name, attribute="direction", value=stroke.direction))
    if world.moves:
        result.add(Claim(subject="paint", attribute="stays", value="yes"))
        if len(world.strokes) == 2:
            result.add(Claim(subject=world.strokes[0].name, attribute="order", value="first"))
    return frozenset(result)
