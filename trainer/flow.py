"""Rectified flow (Liu et al. 2022, arXiv 2209.03003) with a sigma (noise level) for every latent frame.

x = (1 - sigma) * data + sigma * noise. Clean frames have sigma 0 and condition the target frames, so
text-to-video, image animation, extension and connection differ only in sigma.

Legend: B clips, C channels, T latent frames, H height, W width.
"""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from trainer.config import FlowConfig
from trainer.masks import MASKS, clean_frames


def shift(sigma: float, tokens: int, config: FlowConfig) -> float:
    """Shift sigma toward noise for clips of many tokens (Esser et al. 2024, section 5.3.2)."""
    factor = max(1.0, math.sqrt(tokens / config.shift_tokens))
    return factor * sigma / (1 + (factor - 1) * sigma)


def draw_sigmas(rng: np.random.Generator, frames: int, tokens: int, config: FlowConfig) -> np.ndarray:
    """Draw sigma_T for training: one value for all target frames, 0 for clean ones."""
    sigma = 1 / (1 + math.exp(-config.logit_mean - config.logit_std * rng.standard_normal()))
    if rng.random() < config.uniform_prob:
        sigma = rng.random()
    sigma_T = np.full(frames, shift(sigma, tokens, config), np.float32)
    if frames > 1 and rng.random() < config.clean_prob:
        sigma_T[clean_frames(MASKS[rng.integers(len(MASKS))], frames)] = 0
    return sigma_T


def interpolate(data_BCTHW: Tensor, noise_BCTHW: Tensor, sigma_BT: Tensor) -> Tensor:
    """Return (1 - sigma) * data + sigma * noise for each frame."""
    return torch.lerp(data_BCTHW, noise_BCTHW, sigma_BT[:, None, :, None, None])


def velocity_error(
    velocity_BCTHW: Tensor, data_BCTHW: Tensor, noise_BCTHW: Tensor, sigma_BT: Tensor
) -> Tensor:
    """Return error_BT, the mean squared error of each target frame's velocity; 0 for clean frames."""
    error_BT = (velocity_BCTHW - (noise_BCTHW - data_BCTHW)).square().mean(dim=(1, 3, 4))
    return torch.where(sigma_BT > 0, error_BT, 0.0)


def sampling_sigmas(steps: int, tokens: int, config: FlowConfig) -> list[float]:
    """Return the steps + 1 sigmas of sampling, from 1 down to 0."""
    return [shift(1 - step / steps, tokens, config) for step in range(steps + 1)]


def sample_adams_bashforth(
    velocity: Callable[[Tensor, Tensor], Tensor],
    x_BCTHW: Tensor,
    clean_BT: Tensor,
    sigmas: Sequence[float],
) -> Tensor:
    """Integrate the flow from noise to data with the two-step Adams-Bashforth method, after one Euler step.

    Args:
        velocity: maps (x_BCTHW, sigma_BT) to velocity_BCTHW.
        x_BCTHW: noise, and data in the frames where `clean_BT` is true, which stay as they are.
        sigmas: noise levels, from 1 down to 0.
    """
    target_BT = (~clean_BT).float()
    previous_BCTHW, previous_step = None, 0.0
    for sigma, next_sigma in pairwise(sigmas):
        velocity_BCTHW, step = velocity(x_BCTHW, sigma * target_BT), next_sigma - sigma
        delta_BCTHW = step * velocity_BCTHW
        if previous_BCTHW is not None:
            correction = step * step / (2 * previous_step)
            delta_BCTHW = delta_BCTHW + correction * (velocity_BCTHW - previous_BCTHW)
        x_BCTHW = x_BCTHW + delta_BCTHW * target_BT[:, None, :, None, None]
        previous_BCTHW, previous_step = velocity_BCTHW, step
    return x_BCTHW
