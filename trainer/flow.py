"""Rectified flow (Liu et al. 2022, arXiv 2209.03003) with a noise level for every latent frame.

A level of 0 is data: a frame that is given. A level of 1 is noise: a frame to be invented. So every way to
prompt a model is one call with other levels.

Legend: B clips, C channels, T latent frames, H height, W width.
"""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from trainer.config import FlowConfig

MASKS = ("first", "last", "ends", "prefix", "suffix")
"""Which frames may be given, beside none: to animate, to extend either way, to connect."""


def shift(level: float, tokens: int, config: FlowConfig) -> float:
    """Move a level toward noise, the more so the more tokens a clip has.

    Many tokens repeat each other, so it takes more noise to hide what they show
    (Esser et al. 2024, arXiv 2403.03206, section 5.3.2).
    """
    factor = max(1.0, math.sqrt(tokens / config.shift_tokens))
    return factor * level / (1 + (factor - 1) * level)


def draw_levels(rng: np.random.Generator, frames: int, tokens: int, config: FlowConfig) -> np.ndarray:
    """Draw level_T for training: one level for all frames that are to be invented, 0 for those given."""
    drawn = 1 / (1 + math.exp(-config.level_mean - config.level_spread * rng.standard_normal()))
    if rng.random() < config.uniform_share:
        drawn = rng.random()
    level_T = np.full(frames, shift(drawn, tokens, config), np.float32)
    if frames > 1 and rng.random() < config.given_share:
        level_T[given_frames(MASKS[rng.integers(len(MASKS))], frames)] = 0
    return level_T


def given_frames(mask: str, frames: int) -> list[int]:
    """Return which latent frames a mask gives: never all of them."""
    half = max(1, frames // 2)
    given = {
        "first": [0],
        "last": [frames - 1],
        "ends": [0, frames - 1] if frames > 2 else [0],
        "prefix": list(range(half)),
        "suffix": list(range(frames - half, frames)),
    }
    return given[mask]


def mixed(data_BCTHW: Tensor, noise_BCTHW: Tensor, level_BT: Tensor) -> Tensor:
    """Return the point between data and noise that each frame's level says."""
    return torch.lerp(data_BCTHW, noise_BCTHW, level_BT[:, None, :, None, None])


def squared_error(
    velocity_BCTHW: Tensor, data_BCTHW: Tensor, noise_BCTHW: Tensor, level_BT: Tensor
) -> Tensor:
    """Return error_BT: the mean over a frame's values of the squared error, 0 where the frame is given."""
    error_BT = (velocity_BCTHW - (noise_BCTHW - data_BCTHW)).square().mean(dim=(1, 3, 4))
    return torch.where(level_BT > 0, error_BT, 0.0)


def schedule(steps: int, tokens: int, config: FlowConfig) -> list[float]:
    """Return the steps + 1 levels of sampling, from 1 down to 0."""
    return [shift(1 - step / steps, tokens, config) for step in range(steps + 1)]


def integrate(
    velocity: Callable[[Tensor, Tensor], Tensor],
    start_BCTHW: Tensor,
    given_BT: Tensor,
    levels: Sequence[float],
) -> Tensor:
    """Follow the flow from noise to data, with two Adams-Bashforth terms after the first Euler step.

    Frames where `given_BT` is true stay as they are in `start_BCTHW`, at level 0.
    """
    x_BCTHW, before = start_BCTHW, None
    keep_BT = (~given_BT).float()
    step_before = 0.0
    for level, following in pairwise(levels):
        slope, step = velocity(x_BCTHW, level * keep_BT), following - level
        move = step * slope
        if before is not None:
            move = move + step * step / (2 * step_before) * (slope - before)
        x_BCTHW = x_BCTHW + move * keep_BT[:, None, :, None, None]
        before, step_before = slope, step
    return x_BCTHW
