"""The family `canvas`: permanent changes. A brush leaves strokes, or bites leave marks in food.

Legend: N strokes, T frames, H height, W width.
"""

import math
from random import Random

from worlds.canvas.captions import claims, dense_caption, short_caption
from worlds.canvas.draw import draw
from worlds.canvas.grammar import parse_claims
from worlds.canvas.judge import judge
from worlds.canvas.truth import (
    FOODS,
    FORMS,
    SIDES,
    TURNS,
    WAYS,
    Bite,
    CanvasWorld,
    Food,
    Stroke,
    unobservable,
)
from worlds.family import check_not_empty
from worlds.palette import BACKGROUNDS, COLORS

__all__ = [
    "claims",
    "combination",
    "dense_caption",
    "draw",
    "from_json",
    "judge",
    "parse_claims",
    "sample",
    "short_caption",
    "unobservable",
]

LENGTHS = {
    1: {"line": (0.56, 0.74), "wave": (0.64, 0.76), "circle": (0.42, 0.56)},
    2: {"line": (0.46, 0.56), "wave": (0.50, 0.56), "circle": (0.32, 0.38)},
}
"""Minimum and maximum length of a stroke, by the number of strokes."""
MARGIN, GAP = 0.03, 0.04
"""Minimum distance of paint from the edges, and of two strokes."""
PAINTING = (0.04, 0.88)
"""Start of the first stroke and end of the last one, before the brush leaves."""
RADIUS = (0.25, 0.32)
LEAST_FRAMES = {1: 6, 2: 12}
"""Minimum number of frames of a moving shot with one stroke or bite, and with two."""
TRIES = 400


def sample(
    seed: int, *, width: int, height: int, fps: float, num_frames: int, style: str = "flat"
) -> CanvasWorld:
    """Sample a world, deterministically.

    Strokes (two in three worlds) and bites fill the shot, whatever its duration: in a longer one they are
    slower. Two strokes differ in colour and do not touch.

    Raises:
        ValueError: for an empty world, or one too short to see a stroke in.
    """
    check_not_empty(width=width, height=height, fps=fps, num_frames=num_frames)
    if 1 < num_frames < LEAST_FRAMES[1]:
        raise ValueError(
            f"a stroke cannot be seen to grow in {num_frames} frames: ask for {LEAST_FRAMES[1]} or more, or 1"
        )
    rng = Random(f"worlds/canvas/{seed}")
    paints, count = rng.random() < 2 / 3, rng.choice((1, 2))
    if 1 < num_frames < LEAST_FRAMES[2]:
        count = 1
    extent = (width / min(width, height), height / min(width, height))
    background = rng.choice(list(BACKGROUNDS))
    return CanvasWorld(
        seed=seed,
        style=style,
        background=background,
        strokes=_strokes(rng, count, extent) if paints else (),
        food=None if paints else _food(rng, count, extent),
        width=width,
        height=height,
        fps=fps,
        num_frames=num_frames,
    )


def _strokes(rng: Random, count: int, extent: tuple[float, float]) -> tuple[Stroke, ...]:
    """Draw strokes that keep apart; where two do not fit, one of them is drawn anew, form and all."""
    colors = rng.sample(list(COLORS), count)
    begin, end = PAINTING
    share = (end - begin) / count
    while True:
        looks = [
            (form, rng.choice(TURNS if form == "circle" else tuple(WAYS)))
            for form in rng.choices(FORMS, k=count)
        ]
        for _ in range(TRIES):
            strokes = tuple(
                Stroke(
                    color=color,
                    form=form,
                    direction=direction,
                    center=(round(rng.uniform(0, extent[0]), 6), round(rng.uniform(0, extent[1]), 6)),
                    length=round(rng.uniform(*LENGTHS[count][form]), 6),
                    phase=round(
                        rng.uniform(0, 2 * math.pi) if form == "circle" else rng.choice((0.0, math.pi)), 6
                    ),
                    begin=round(begin + share * (n + (0.06 if n else 0)), 6),
                    end=round(begin + share * (n + 0.96), 6),
                )
                for n, (color, (form, direction)) in enumerate(zip(colors, looks, strict=True))
            )
            if _fits(strokes, extent):
                return strokes


def _fits(strokes: tuple[Stroke, ...], extent: tuple[float, float]) -> bool:
    for stroke in strokes:
        for axis in range(2):
            half = stroke.half_extent[axis] + MARGIN
            if not half <= stroke.center[axis] <= extent[axis] - half:
                return False
    if len(strokes) < 2:
        return True
    one, other = strokes
    return any(
        abs(one.center[a] - other.center[a]) > one.half_extent[a] + other.half_extent[a] + GAP
        for a in range(2)
    )


def _food(rng: Random, count: int, extent: tuple[float, float]) -> Food:
    radius = rng.uniform(*RADIUS)
    sides = rng.sample(list(SIDES), count)
    share = 0.94 / count
    return Food(
        color=rng.choice(list(COLORS)),
        kind=rng.choice(FOODS),
        center=(
            round(_near_middle(rng, extent[0], radius), 6),
            round(_near_middle(rng, extent[1], radius), 6),
        ),
        radius=round(radius, 6),
        bites=tuple(
            Bite(
                side=side,
                come=round(0.02 + share * n, 6),
                bite=round(0.02 + share * (n + 0.5), 6),
                gone=round(0.02 + share * (n + 0.97), 6),
            )
            for n, side in enumerate(sides)
        ),
    )


def _near_middle(rng: Random, extent: float, radius: float) -> float:
    reach = min(extent / 2 - radius - MARGIN, 0.2)
    return extent / 2 + rng.uniform(-reach, reach)


def combination(world: CanvasWorld) -> str:
    """Return the combination for the held-out split, such as `red wave left` or `green apple bitten top`."""
    if world.food is not None:
        return f"{world.food.name} bitten {world.food.bites[0].side}"
    return f"{world.strokes[0].name} {world.strokes[0].direction}"


from_json = CanvasWorld.from_json
