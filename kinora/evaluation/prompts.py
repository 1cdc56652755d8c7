"""Does a generated video show what its prompt says? Counted, with its interval, chance and ceiling.

- accuracy: share of videos on which the judge agrees with the prompt, attribute by attribute
- low: lower end of Wilson's 95 % interval (Wilson 1927, "Probable inference, the law of succession")
- chance: the same videos judged against the other videos' prompts
- ceiling: the judge's accuracy on true videos after a round trip through the VAE, so that a poor score
  says who is to blame
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np

from kinora.evaluation.intervals import wilson_low
from worlds.palette import MOTIONS, SPEEDS
from worlds.shapes.captions import short_caption
from worlds.shapes.family import sample_world
from worlds.shapes.judge import Verdict, compare, judge_video
from worlds.shapes.truth import World

ATTRIBUTES = ("color", "shape", "direction", "speed", "background", "count")
PUBLIC = {"color": "colour"}
"""The figure's name, where it differs from the attribute's."""

Draw = Callable[[Sequence["Wish"]], list[np.ndarray]]
"""Prompts in, videos (frames_THWC uint8) out."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Wish:
    """One prompt, and the world that it describes."""

    number: int
    prompt: str
    world: World
    seed: int

    @property
    def size(self) -> str:
        return f"{self.world.width}x{self.world.height}"


def wishes(
    n: int,
    *,
    seed: int,
    sizes: Sequence[tuple[int, int]],
    num_frames: int,
    fps: float,
    motions: Sequence[str] = MOTIONS,
    speeds: Sequence[str] = tuple(SPEEDS),
) -> list[Wish]:
    """Draw `n` prompts of one thing, over `sizes` (width, height) in turn.

    Worlds are seeded far from the seeds of training worlds, so no training video is drawn again; a
    combination of attributes may have been seen.
    """
    drawn = []
    for number in range(n):
        width, height = sizes[number % len(sizes)]
        world_seed = 1_000_000_007 + 1009 * seed + number
        world = sample_world(
            world_seed,
            width=width,
            height=height,
            fps=fps,
            num_frames=num_frames,
            num_things=1,
            motions=motions,
            speeds=speeds,
        )
        prompt = short_caption(world, world_seed)
        drawn.append(Wish(number=number, prompt=prompt, world=world, seed=world_seed))
    return drawn


def score(
    asked: Sequence[Wish], videos: Sequence[np.ndarray], reconstructed: Sequence[np.ndarray], *, seed: int
) -> tuple[dict[str, Any], list[Verdict]]:
    """Return the figures over all videos, and each video's verdict.

    `reconstructed` holds true videos of the same worlds after the VAE round trip, in the same order.
    """
    pairs = list(zip(asked, videos, reconstructed, strict=True))
    verdicts = [judge_video(video, wish.world.fps, wish.world) for wish, video, _ in pairs]
    ceiling = [judge_video(true, wish.world.fps, wish.world) for wish, _, true in pairs]
    strangers = [
        compare(verdicts[i].measured, asked[j].world)
        for turn in range(4)
        for i, j in enumerate(Random(seed + turn).sample(range(len(asked)), len(asked)))
        if i != j
    ]
    figures: dict[str, Any] = {"n": len(asked)}
    for attribute in ATTRIBUTES:
        name = PUBLIC.get(attribute, attribute)
        right, n = _count(verdicts, attribute)
        if n == 0:
            continue
        figures[name] = right / n
        figures[f"{name}_low"] = wilson_low(right, n)
        figures[f"{name}_n"] = n
        figures[f"{name}_chance"] = _share(strangers, attribute)
        figures[f"{name}_ceiling"] = _share(ceiling, attribute)
    return figures, verdicts


def _count(verdicts: Iterable[Verdict], attribute: str) -> tuple[int, int]:
    answers = [answer for verdict in verdicts if (answer := getattr(verdict, attribute)) is not None]
    return sum(answers), len(answers)


def _share(verdicts: Iterable[Verdict], attribute: str) -> float:
    right, n = _count(verdicts, attribute)
    return right / n if n else 0.0
