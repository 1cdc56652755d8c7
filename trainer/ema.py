"""Averaged weights: what is validated, sampled from and exported."""

import torch
from torch import nn


@torch.no_grad()
def follow(average: nn.Module, model: nn.Module, step: int, decay: float) -> None:
    """Move the average toward the model. Early on it follows faster, so that it forgets the start."""
    share = 1 - min(decay, (1 + step) / (10 + step))
    for kept, new in zip(average.parameters(), model.parameters(), strict=True):
        kept.lerp_(new, share)
