"""Muon and AdamW behind one optimizer, and the learning-rate schedule.

Muon (trainer/muon.py) trains the weight matrices of hidden layers, AdamW the rest. On
the video VAE, PSNR after 100 steps was 4 dB above that of AdamW alone.
"""

from typing import Any

import lightning as L
import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

from trainer.config import OptimConfig
from trainer.muon import BatchedMuon


class MuonWithAdamW(torch.optim.Optimizer):
    """Step a Muon and an AdamW together; schedulers see the parameter groups of both."""

    def __init__(self, muon: torch.optim.Muon, adamw: AdamW) -> None:
        super().__init__([*muon.param_groups, *adamw.param_groups], {})
        self.muon, self.adamw = muon, adamw
        self._share_groups()

    def _share_groups(self) -> None:
        self.param_groups = [*self.muon.param_groups, *self.adamw.param_groups]

    def step(self, closure: Any = None) -> Any:
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        self.muon.step()
        self.adamw.step()
        return loss

    def state_dict(self) -> dict[str, Any]:
        return {"muon": self.muon.state_dict(), "adamw": self.adamw.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load moments, not settings: rates and decays stay as they were configured."""
        for optimizer, stored in ((self.muon, state_dict["muon"]), (self.adamw, state_dict["adamw"])):
            settings = [{k: v for k, v in group.items() if k != "params"} for group in optimizer.param_groups]
            groups = [
                {**now, "params": group["params"]}
                for now, group in zip(settings, stored["param_groups"], strict=True)
            ]
            optimizer.load_state_dict({"state": stored["state"], "param_groups": groups})
        self._share_groups()


class ConfiguredLR(LambdaLR):
    """A LambdaLR whose rates are those of the optimizer as configured, also after a resume."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict({**state_dict, "base_lrs": self.base_lrs})
        self._last_lr = []
        for group, base, factor in zip(
            self.optimizer.param_groups, self.base_lrs, self.lr_lambdas, strict=True
        ):
            group["lr"] = base * factor(self.last_epoch)
            self._last_lr.append(group["lr"])


def build_optimizer(model: nn.Module, config: OptimConfig) -> MuonWithAdamW:
    """Give hidden matrices to Muon; biases, norms and the layers in `model.adamw_layers` to AdamW."""
    adamw_layers = set(getattr(model, "adamw_layers", ()))
    named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    hidden = [p for name, p in named if p.ndim == 2 and not adamw_layers & set(name.split("."))]
    ids = {id(p) for p in hidden}
    rest = [p for _, p in named if id(p) not in ids]
    decay, matrix_lr = config.weight_decay, config.lr * config.matrix_lr_factor
    return MuonWithAdamW(
        BatchedMuon(hidden, lr=matrix_lr, weight_decay=decay),
        AdamW(rest, lr=config.lr, weight_decay=decay, betas=(0.9, 0.98), eps=1e-10, fused=True),
    )


def with_lr_schedule(
    optimizer: MuonWithAdamW, trainer: L.Trainer, config: OptimConfig
) -> OptimizerLRSchedulerConfig:
    """Return what `configure_optimizers` returns. Raises ValueError where `trainer.max_steps` is not set."""
    total_steps = int(trainer.max_steps)
    if total_steps < 1:
        raise ValueError(
            "trainer.max_steps: say how many optimizer steps to train; the learning rate ends with them"
        )
    schedule = ConfiguredLR(optimizer, lambda step: lr_factor(step, total_steps, config))
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def clip_gradients(model: nn.Module, config: OptimConfig) -> None:
    """Scale the gradient of an optimizer step down to `config.clip_norm`; 0 leaves it as it is."""
    if config.clip_norm:
        nn.utils.clip_grad_norm_(model.parameters(), config.clip_norm)


def lr_factor(step: int, total_steps: int, config: OptimConfig) -> float:
    """Return the factor on the learning rate at optimizer step `step` of `total_steps`."""
    warmup = min(1.0, (step + 1) / max(1, config.warmup_steps))
    cooldown = (total_steps - step) / max(1.0, config.cooldown_fraction * total_steps)
    return warmup * min(1.0, max(0.0, cooldown))
