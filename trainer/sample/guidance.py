"""The velocity that the sampler follows: guidance by text and by given frames, all branches in one batch.

Legend: B videos, C channels, T latent frames, H height, W width, L text tokens, D text width.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from trainer.config import SampleConfig
from trainer.dit.model import Dit, Group, pad_text
from trainer.flow import interpolate
from trainer.precision import autocast


class Guidance:
    """Combine the velocities of a window's branches.

    With velocities v(text, frames), the negative text t- and given frames f, or none:
    v(t-, none) + condition_guidance * (v(t-, f) - v(t-, none)) + guidance * (v(t, f) - v(t-, f)), from Ho and
    Salimans 2022 (arXiv 2207.12598) and Brooks et al. 2023 (arXiv 2211.09800). Without given frames, these
    are as noisy as the others (Song et al. 2025, arXiv 2502.06764).
    """

    def __init__(
        self,
        dit: Dit,
        states: Sequence[np.ndarray],
        negative_states: Sequence[np.ndarray],
        config: SampleConfig,
        device: torch.device,
    ) -> None:
        self.dit, self.scale, self.condition_scale = dit, config.guidance, config.condition_guidance
        self.text = [tensor.to(device) for tensor in pad_text(states)]
        self.negative = [tensor.to(device) for tensor in pad_text(negative_states)]
        self.given: tuple[Tensor, Tensor, Tensor] | None = None

    def give(self, data_BCTHW: Tensor, noise_BCTHW: Tensor, given_BT: Tensor) -> None:
        """Set the latents of the given frames, which guidance by them leaves out of one branch."""
        if self.condition_scale != 1 and given_BT.any():
            self.given = data_BCTHW, noise_BCTHW, given_BT

    def __call__(self, x_BCTHW: Tensor, sigma_BT: Tensor) -> Tensor:
        pack = [Group(x_BCTHW, sigma_BT, *self.text)]
        if self.scale != 1 or self.given:
            pack.append(Group(x_BCTHW, sigma_BT, *self.negative))
        if self.given:
            data_BCTHW, noise_BCTHW, given_BT = self.given
            all_BT = torch.where(given_BT, sigma_BT.amax(dim=1, keepdim=True), sigma_BT)
            noisy_BCTHW = interpolate(data_BCTHW, noise_BCTHW, all_BT)
            dropped_BCTHW = torch.where(given_BT[:, None, :, None, None], noisy_BCTHW, x_BCTHW)
            pack.append(Group(dropped_BCTHW, all_BT, *self.negative))
        with autocast(x_BCTHW.device):
            velocities = self.dit(pack)
        velocity_BCTHW = velocities[0]
        if len(pack) > 1:
            velocity_BCTHW = velocities[1] + self.scale * (velocities[0] - velocities[1])
        if self.given:
            velocity_BCTHW = velocity_BCTHW + (self.condition_scale - 1) * (velocities[1] - velocities[2])
        return velocity_BCTHW
