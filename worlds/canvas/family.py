"""The family `canvas`: permanent changes. A brush paints strokes, or a head bites food."""

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
"""Minimum distance between paint and the edges, and between two strokes."""
PAINTING = (0.04, 0.88)
"""Start time of the first stroke and end time of the last one."""
RADIUS = (0.25, 0.32)
MIN_FRAMES = {1: 6, 2: 12}
"""Minimum number of frames of a moving shot with one stroke or bite, and with two."""
TRIES = 400


def sample(
    seed: int, *, width: int, height: int, fps: float, num_frames: int, style: str = "flat"
) -> CanvasWorld:
    """Sample a world, deterministically.

    Two thirds of the worlds have strokes, the others bites. They take the whole shot, so they are slower in a
    longer one. Two strokes differ in colour and do not touch.

    Raises:
        ValueError: for an empty world, or one too short to show a stroke.
    """
    check_not_empty(width=width, height=height, fps=fps, num_frames=num_frames)
    if 1 < num_frames < MIN_FRAMES[1]:
        raise ValueError(
            f"a stroke cannot be seen to grow in {num_frames} frames: ask for {MIN_FRAMES[1]} or more, or 1"
        )
    rng = Random(f"worlds/canvas/{seed}")
    paints, count = rng.random() < 2 / 3, rng.choice((1, 2))
    if 1 < num_frames < MIN_FRAMES[2]:
        count = 1
    extent = (width / min(width, height), height / min(width, height))
    background = rng.choice(list(BACKGROUNDS))
    return CanvasWorld(
        seed=seed,
        style=style,
        background=background,
        strokes=_sample_strokes(rng, count, extent) if paints else (),
        food=None if paints else _sample_food(rng, count, extent),
        width=width,
        height=height,
        fps=fps,
        num_frames=num_frames,
    )


def _sample_strokes(rng: Random, count: int, extent: tuple[float, float]) -> tuple[Stroke, ...]:
    """Sample strokes that keep their distance; resample the forms if `TRIES` positions do not fit."""
    colors = rng.sample(list(COLORS), count)
    begin, end = PAINTING
    duration = (end - begin) / count
    while True:
        forms = [
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
                    begin=round(begin + duration * (n + (0.06 if n else 0)), 6),
                    end=round(begin + duration * (n + 0.96), 6),
                )
                for n, (color, (form, direction)) in enumerate(zip(colors, forms, strict=True))
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
    first, second = strokes
    return any(
        abs(first.center[a] - second.center[a]) > first.half_extent[a] + second.half_extent[a] + GAP
        for a in range(2)
    )


def _sample_food(rng: Random, count: int, extent: tuple[float, float]) -> Food:
    radius = rng.uniform(*RADIUS)
    sides = rng.sample(list(SIDES), count)
    duration = 0.94 / count
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
                come=round(0.02 + duration * n, 6),
                bite=round(0.02 + duration * (n + 0.5), 6),
                gone=round(0.02 + duration * (n + 0.97), 6),
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
