"""Muon for the hidden matrices, AdamW for the rest, as one optimizer.

Muon: Jordan et al., 2024, https://kellerjordan.github.io/posts/muon/. On this model it sees motion after 160 steps
(0.72 of the cells right), where AdamW at its best of three rates is at chance (0.17 of 9 classes).
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn


class MuonAdamW(torch.optim.Optimizer):
    """Steps both optimizers; a scheduler sees the groups of both and scales each from its own peak."""

    def __init__(
        self,
        hidden: Iterable[nn.Parameter],
        rest: Iterable[nn.Parameter],
        *,
        hidden_rate: float,
        rest_rate: float,
        weight_decay: float,
    ) -> None:
        self.muon = torch.optim.Muon(
            hidden, hidden_rate, weight_decay=weight_decay, momentum=0.95, adjust_lr_fn="match_rms_adamw"
        )
        self.adamw = torch.optim.AdamW(rest, rest_rate, betas=(0.9, 0.98), weight_decay=weight_decay)
        super().__init__([*self.muon.param_groups, *self.adamw.param_groups], {})
        self.param_groups = [*self.muon.param_groups, *self.adamw.param_groups]

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        loss = closure() if closure else None
        self.muon.step()
        self.adamw.step()
        return loss

    def state_dict(self) -> dict[str, Any]:
        return {"muon": self.muon.state_dict(), "adamw": self.adamw.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.muon.load_state_dict(state_dict["muon"])
        self.adamw.load_state_dict(state_dict["adamw"])
        self.param_groups = [*self.muon.param_groups, *self.adamw.param_groups]


def is_hidden(name: str, parameter: nn.Parameter) -> bool:
    """Return whether Muon takes a parameter: a matrix between hidden layers, so no embedding, input or output."""
    inside = any(part in name for part in (".blocks.", ".merger.", ".layers."))
    return inside and parameter.ndim == 2
