"""Worlds of `shapes` whose attributes are balanced, so that a video that ignores its prompt is seldom right.

Each value of an attribute occurs equally often (to within one in a small set), and independently of the
others: counts of things over worlds; colours, shapes, directions and speeds over things. Sizes of the frame
are balanced too.
"""

from collections.abc import Collection, Hashable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Generic, Literal, TypeVar

from worlds.palette import BACKGROUNDS, COLORS, MOTIONS, SHAPES, SPEEDS, STILL
from worlds.shapes.family import place_things
from worlds.shapes.truth import ThingRequirements, World
from worlds.split import UNSEEN_PAIRS, is_unseen_pair

Kind = Literal["seen", "unseen", "binding"]
"""`seen`: pairs of colour and shape that training may hold; `unseen`: those of `worlds.split.UNSEEN_PAIRS`
alone; `binding`: two things that differ in colour, shape and, where there are several, direction."""
Value = TypeVar("Value", bound=Hashable)
TRIES = 50
"""How often motions are drawn anew for things that cannot be kept apart."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Vocabulary:
    """What prompts ask for: what the model was trained on."""

    motions: tuple[str, ...] = MOTIONS
    speeds: tuple[str, ...] = tuple(SPEEDS)
    counts: tuple[int, ...] = (1, 2, 3)
    styles: tuple[str, ...] = ("flat",)

    def __post_init__(self) -> None:
        for name, known in (("motions", MOTIONS), ("speeds", tuple(SPEEDS)), ("counts", (1, 2, 3))):
            values = getattr(self, name)
            if not values or not set(values) <= set(known):
                raise ValueError(f"{name}: {values}; give some of {', '.join(map(str, known))}")

    @property
    def moving(self) -> "Vocabulary":
        """The same without things at rest. Raises ValueError where nothing is left."""
        motions = tuple(motion for motion in self.motions if motion != STILL)
        if not motions:
            raise ValueError("motions: nothing moves; name a direction that the model was trained on")
        return Vocabulary(motions=motions, speeds=self.speeds, counts=self.counts, styles=self.styles)


class Deck(Generic[Value]):
    """Draws values in random order, each equally often."""

    def __init__(self, values: Sequence[Value], rng: Random) -> None:
        self._values, self._rng, self._cards = tuple(values), rng, list[Value]()

    def draw(self, avoid: Collection[Value] = ()) -> Value:
        """Return the next value that is not in `avoid`. Raises ValueError where all are."""
        if set(self._values) <= set(avoid):
            raise ValueError(f"no value is left of {', '.join(map(str, self._values))}")
        while True:
            for place, value in enumerate(self._cards):
                if value not in avoid:
                    return self._cards.pop(place)
            self._cards += self._rng.sample(self._values, len(self._values))

    def put_back(self, values: Collection[Value]) -> None:
        """Return drawn values, at random places."""
        for value in values:
            self._cards.insert(self._rng.randrange(len(self._cards) + 1), value)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Decks:
    colors: Deck[str]
    shapes: Deck[str]
    pairs: Deck[tuple[str, str]]
    motions: Deck[str]
    speeds: Deck[str]


def balanced_worlds(
    n: int,
    *,
    seed: int,
    sizes: Sequence[tuple[int, int]],
    num_frames: int,
    fps: float,
    vocabulary: Vocabulary,
    kind: Kind = "seen",
) -> list[World]:
    """Return `n` worlds, deterministically.

    Args:
        sizes: (width, height) of the frames, in pixels.

    Raises:
        ValueError: if things cannot be kept apart, as in a long video of three quick things.
    """
    rng = Random(f"evaluation/{kind}/{seed}")
    decks = _Decks(
        colors=Deck(tuple(COLORS), rng),
        shapes=Deck(SHAPES, rng),
        pairs=Deck(UNSEEN_PAIRS, rng),
        motions=Deck(vocabulary.motions, rng),
        speeds=Deck(vocabulary.speeds, rng),
    )
    counts = Deck((2,) if kind == "binding" else vocabulary.counts, rng)
    grounds, frames, styles = Deck(tuple(BACKGROUNDS), rng), Deck(sizes, rng), Deck(vocabulary.styles, rng)
    worlds = []
    for _ in range(n):
        pairs = _draw_pairs(counts.draw(), decks, kind)
        width, height = frames.draw()
        size = {"width": width, "height": height, "fps": fps, "num_frames": num_frames}
        worlds.append(_place(pairs, decks, rng, kind, grounds.draw(), styles.draw(), size))
    return worlds


def _draw_pairs(count: int, decks: _Decks, kind: Kind) -> list[tuple[str, str]]:
    """Draw a colour and a shape for each thing; the colours of a world differ."""
    if kind == "unseen":
        return _draw_unseen_pairs(count, decks)
    pairs: list[tuple[str, str]] = []
    for _ in range(count):
        color = decks.colors.draw([color for color, _ in pairs])
        avoid = {shape for shape in SHAPES if is_unseen_pair(color, shape)}
        avoid |= {shape for _, shape in pairs} if kind == "binding" else set()
        pairs.append((color, decks.shapes.draw(avoid)))
    return pairs


def _draw_unseen_pairs(count: int, decks: _Decks) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for _ in range(count):
        pairs.append(decks.pairs.draw(pairs))
    return pairs


def _place(
    pairs: Sequence[tuple[str, str]],
    decks: _Decks,
    rng: Random,
    kind: Kind,
    background: str,
    style: str,
    size: dict[str, float],
) -> World:
    """Draw motions with which things of the given colours and shapes can be kept apart, and place them."""
    for _ in range(TRIES):
        motions, speeds = _draw_motions(len(pairs), decks, kind)
        things = [
            ThingRequirements(color=color, shape=shape, direction=motion, speed=speed)
            for (color, shape), motion, speed in zip(pairs, motions, speeds, strict=True)
        ]
        try:
            return place_things(
                rng.getrandbits(48),
                things,
                background=background,
                style=style,
                width=int(size["width"]),
                height=int(size["height"]),
                fps=size["fps"],
                num_frames=int(size["num_frames"]),
            )
        except ValueError:
            decks.motions.put_back(motions)
            decks.speeds.put_back([speed for speed in speeds if speed is not None])
    raise ValueError(
        f"{len(pairs)} things touch in {size['num_frames']} frames of {size['width']}x{size['height']} with "
        "every motion that was tried: ask for fewer things, slower ones or fewer frames"
    )


def _draw_motions(count: int, decks: _Decks, kind: Kind) -> tuple[list[str], list[str | None]]:
    motions: list[str] = []
    for _ in range(count):
        try:
            motions.append(decks.motions.draw(motions if kind == "binding" else ()))
        except ValueError:  # the model knows one motion
            motions.append(decks.motions.draw())
    return motions, [None if motion == STILL else decks.speeds.draw() for motion in motions]
