"""Score how well generated videos follow their prompts.

Figures of each attribute:

- accuracy: share of videos on which the judge agrees with the prompt
- low: lower bound of Wilson's 95 % interval (Wilson 1927, "Probable inference, the law of succession")
- chance: accuracy of the same videos against other videos' prompts
- ceiling: accuracy on ground-truth videos after a VAE round trip: a lower score is the model's doing
"""

from collections.abc import Iterable, Sequence
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
"""Figure names that differ from their attribute's."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EvalPrompt:
    """A prompt and the world that it describes."""

    index: int
    text: str
    world: World
    seed: int
    """Seeds both the world and the sampling noise."""

    @property
    def size(self) -> str:
        return f"{self.world.width}x{self.world.height}"


def sample_prompts(
    n: int,
    *,
    seed: int,
    sizes: Sequence[tuple[int, int]],
    num_frames: int,
    fps: float,
    motions: Sequence[str] = MOTIONS,
    speeds: Sequence[str] = tuple(SPEEDS),
) -> list[EvalPrompt]:
    """Sample `n` prompts about one object each, cycling through `sizes` (width, height).

    World seeds are disjoint from those of training, so no training video recurs; a combination of
    attributes may have been trained on.
    """
    prompts = []
    for index in range(n):
        width, height = sizes[index % len(sizes)]
        world_seed = 1_000_000_007 + 1009 * seed + index
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
        text = short_caption(world, world_seed)
        prompts.append(EvalPrompt(index=index, text=text, world=world, seed=world_seed))
    return prompts


def score(
    prompts: Sequence[EvalPrompt],
    videos: Sequence[np.ndarray],
    reconstructed: Sequence[np.ndarray],
    *,
    seed: int,
) -> tuple[dict[str, Any], list[Verdict]]:
    """Judge every video; return the figures and the verdicts.

    Args:
        prompts: one for each video.
        videos: generated, each frames_THWC uint8.
        reconstructed: ground-truth videos of the same worlds after a VAE round trip.
        seed: shuffles prompts and videos for the chance level.
    """
    pairs = list(zip(prompts, videos, reconstructed, strict=True))
    verdicts = [judge_video(video, prompt.world.fps, prompt.world) for prompt, video, _ in pairs]
    ceiling = [judge_video(true, prompt.world.fps, prompt.world) for prompt, _, true in pairs]
    shuffled = [
        compare(verdicts[i].measured, prompts[j].world)
        for repeat in range(4)
        for i, j in enumerate(Random(seed + repeat).sample(range(len(prompts)), len(prompts)))
        if i != j
    ]
    figures: dict[str, Any] = {"n": len(prompts)}
    for attribute in ATTRIBUTES:
        name = PUBLIC.get(attribute, attribute)
        right, n = _count(verdicts, attribute)
        if n == 0:
            continue
        figures[name] = right / n
        figures[f"{name}_low"] = wilson_low(right, n)
        figures[f"{name}_n"] = n
        figures[f"{name}_chance"] = _share(shuffled, attribute)
        figures[f"{name}_ceiling"] = _share(ceiling, attribute)
    return figures, verdicts


def _count(verdicts: Iterable[Verdict], attribute: str) -> tuple[int, int]:
    answers = [answer for verdict in verdicts if (answer := getattr(verdict, attribute)) is not None]
    return sum(answers), len(answers)


def _share(verdicts: Iterable[Verdict], attribute: str) -> float:
    right, n = _count(verdicts, attribute)
    return right / n if n else 0.0
