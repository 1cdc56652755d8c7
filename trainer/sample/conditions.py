"""What is known of a video before it is sampled: the one argument of the sampler.

Legend: C channels, T frames or latent frames, H height, W width.
"""

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from torch import Tensor

from trainer.sample.frames import frames_in


class Prompt(NamedTuple):
    """A text, and the latent frame from which it holds."""

    text: str
    start: int = 0


class Kept(NamedTuple):
    """Given pixels that the result holds bit for bit."""

    start_frame: int
    frames_THWC: np.ndarray


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Conditions:
    """What is known of one video, of any length. Raises ValueError for values that do not go together."""

    latent_CTHW: Tensor
    """Normalized latents of what is known; 0 where `level_T` is 1. Latent frame 0 holds one frame, each other
    one `time_factor` frames; in a loop all hold `time_factor` frames."""
    level_T: Tensor
    """Noise level of each latent frame: 0 is given, 1 is new, between is replaced to that degree (SDEdit)."""
    prompts: tuple[Prompt, ...]
    """Texts in the order of time; the first starts at 0."""
    negative_prompt: str = ""
    """Text that guidance leads away from."""
    seed: int = 0
    """Seed of the noise."""
    loop: bool = False
    """Whether the end joins the start."""
    kept: tuple[Kept, ...] = ()
    """Pixels that replace what is decoded, by frames of the result."""
    frames_before: int = 0
    """Frames of the result before latent frame 0, all of them in `kept`."""
    frames_after: int = 0
    """Frames of the result after the last latent frame, all of them in `kept`; where negative, so many of the
    decoded frames are dropped."""

    def __post_init__(self) -> None:
        num_latents = self.latent_CTHW.shape[1]
        if self.level_T.shape != (num_latents,):
            shape = [*self.level_T.shape]
            raise ValueError(f"level_T has shape {shape}: must hold {num_latents} levels")
        if not ((self.level_T >= 0) & (self.level_T <= 1)).all():
            raise ValueError("level_T: noise levels must be from 0 to 1")
        starts = [prompt.start for prompt in self.prompts]
        if not starts or starts[0] != 0 or any(a >= b for a, b in pairwise([*starts, num_latents])):
            raise ValueError(f"prompts start at latents {starts}: must ascend from 0, below {num_latents}")

    def num_frames(self, time_factor: int) -> int:
        """Return the length of the result in frames."""
        decoded = frames_in(self.latent_CTHW.shape[1], time_factor, loop=self.loop)
        return self.frames_before + decoded + self.frames_after


def with_seeds(conditions: Conditions, count: int) -> list[Conditions]:
    """Return the same conditions with `count` seeds that count up from theirs."""
    return [replace(conditions, seed=conditions.seed + number) for number in range(count)]
