"""Exponential moving average of the weights (docs/adr/0021)."""

import torch
from torch import nn


@torch.no_grad()
def update_ema(ema: nn.Module, model: nn.Module, step: int, decay: float) -> None:
    """Update the EMA after optimizer step `step`, with decay min(decay, (1 + step) / (10 + step))."""
    weight = 1 - min(decay, (1 + step) / (10 + step))
    for average, current in zip(ema.parameters(), model.parameters(), strict=True):
        average.lerp_(current, weight)
