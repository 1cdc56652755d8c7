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
from trainer.masks import draw_clean_frames


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
        mask = config.masks[rng.integers(len(config.masks))]
        sigma_T[draw_clean_frames(mask, frames, rng)] = 0
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


def sampling_sigmas(
    steps: int, tokens: int, config: FlowConfig, *, factor: float = 1.0, spacing: float = 1.0
) -> list[float]:
    """Return the steps + 1 sigmas of sampling, from 1 down to 0.

    Args:
        factor: of the flow's shift.
        spacing: power of the even spacing before the shift.
    """
    even = [shift((1 - step / steps) ** spacing, tokens, config) for step in range(steps + 1)]
    return [factor * sigma / (1 + (factor - 1) * sigma) for sigma in even]


def sample_adams_bashforth(
    velocity: Callable[[Tensor, Tensor], Tensor],
    x_BCTHW: Tensor,
    level_BT: Tensor,
    sigmas: Sequence[float],
) -> Tensor:
    """Integrate the flow from noise to data with the two-step Adams-Bashforth method, after one Euler step.

    Args:
        velocity: maps (x_BCTHW, sigma_BT) to velocity_BCTHW.
        x_BCTHW: latents at the noise of `level_BT`.
        level_BT: noise level that each frame starts from: it waits until sigma is below; at 0 it stays.
        sigmas: noise levels, from 1 down to 0.
    """
    level_BT = level_BT.double().cpu()
    previous_BCTHW, previous_step_BT = None, torch.zeros_like(level_BT)
    for sigma, next_sigma in pairwise(sigmas):
        sigma_BT = level_BT.clamp(max=sigma)
        step_BT = level_BT.clamp(max=next_sigma) - sigma_BT
        if not step_BT.any():
            continue
        velocity_BCTHW = velocity(x_BCTHW, sigma_BT.float().to(x_BCTHW.device))
        delta_BCTHW = _per_frame(step_BT, x_BCTHW) * velocity_BCTHW
        if previous_BCTHW is not None:
            correction_BT = step_BT.square() / (2 * previous_step_BT)
            correction_BT = torch.where(previous_step_BT < 0, correction_BT, 0.0)
            delta_BCTHW += _per_frame(correction_BT, x_BCTHW) * (velocity_BCTHW - previous_BCTHW)
        x_BCTHW = x_BCTHW + delta_BCTHW
        previous_BCTHW, previous_step_BT = velocity_BCTHW, step_BT
    return x_BCTHW


def _per_frame(value_BT: Tensor, like_BCTHW: Tensor) -> Tensor:
    return value_BT.float().to(like_BCTHW.device)[:, None, :, None, None]
