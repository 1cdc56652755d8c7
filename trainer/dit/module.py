"""Training of the diffusion transformer."""

import copy
import shutil
from pathlib import Path
from typing import Any, cast

import lightning as L
import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor

from trainer.checkpoints import DIT, VAE, read_about, save_model
from trainer.config import EMBEDDED_TEXT_ENCODER, DitConfig, FlowConfig, OptimConfig, Size, dit_size
from trainer.data.latents import LatentBatch, LatentData, NoisyGroup
from trainer.dit.model import Dit
from trainer.ema import follow
from trainer.flow import squared_error
from trainer.optim import build_optimizer
from trainer.vae.module import scheduled


class DitModule(L.LightningModule):
    """Learns to turn noise and text into latents; at the end writes `model.safetensors`."""

    def __init__(
        self,
        dit: Size | DitConfig,
        flow: FlowConfig,
        optim: OptimConfig,
        vae: str,
        text_encoder: str = EMBEDDED_TEXT_ENCODER,
    ) -> None:
        """Args:
        dit: a size by its name, or the shape itself.
        vae: folder with the compression network that the clips were encoded by.
        text_encoder: name of the encoder that the texts were encoded by.
        """
        super().__init__()
        self.flow, self.optim, self.vae, self.text_encoder = flow, optim, vae, text_encoder
        self.model = Dit(dit if isinstance(dit, DitConfig) else dit_size(dit))
        self.average = copy.deepcopy(self.model).requires_grad_(False)

    @property
    def data(self) -> LatentData:
        return cast(Any, self.trainer).datamodule

    def setup(self, stage: str) -> None:
        """Refuse latents that another compression network made."""
        made_by = self.data.encoded.origin.vae
        if read_about(self.vae, VAE)["digest"] != made_by:
            raise ValueError(
                f"{self.vae}: the clips were encoded by another compression network ({made_by}); "
                "run `kinora encode` with this one, or name the one that was used"
            )

    def training_step(self, batch: LatentBatch, number: int) -> Tensor:
        """Return this rank's share of the loss over the global batch: a mean over tokens to be invented."""
        total = torch.zeros((), device=self.device)
        velocities = self.model([group.given() for group in batch.groups])
        for group, velocity_BCTHW in zip(batch.groups, velocities, strict=True):
            total = total + summed(group, velocity_BCTHW, self.model.config.patch)
        loss = total / batch.num_tokens * self.trainer.world_size * self.trainer.accumulate_grad_batches
        self.log("train/loss", loss.detach(), prog_bar=True)
        return loss

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """Step, then let the average follow: here, so that a checkpoint of this step holds both."""
        super().optimizer_step(*args, **kwargs)
        follow(self.average, self.model, self.trainer.global_step, self.optim.ema_decay)

    def validation_step(self, batch: LatentBatch, number: int) -> None:
        """Log the loss at each fixed noise level. Noise is drawn from the clip's id, the same every time."""
        group = batch.groups[0]
        velocity_BCTHW = self.average([group.given()])[0]
        error_BT = squared_error(velocity_BCTHW, group.data_BCTHW, group.noise_BCTHW, group.level_BT)
        settings: dict[str, Any] = {"batch_size": len(error_BT), "sync_dist": True}
        self.log(f"val/loss_at_{float(group.level_BT[0, 0]):.1f}", error_BT.mean(), **settings)
        self.log("val/loss", error_BT.mean(), prog_bar=True, **settings)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        return scheduled(build_optimizer(self.model, self.optim), self.trainer, self.optim)

    def on_train_end(self) -> None:
        if self.trainer.is_global_zero:
            self.export(Path(self.trainer.default_root_dir))
        self.trainer.strategy.barrier()

    def export(self, folder: Path) -> None:
        """Write all that `kinora generate` needs to one folder."""
        data = self.data
        about = {
            "steps": self.trainer.global_step,
            "fps": data.index.fps,
            "buckets": sorted(bucket.name for bucket in data.index.counts()),
            "flow": {name: getattr(self.flow, name) for name in self.flow.__slots__},
            "text_encoder": self.text_encoder,
            "text_digest": data.encoded.origin.text,
            "vae_digest": data.encoded.origin.vae,
            "data": data.index.digest,
        }
        save_model(folder, DIT, self.average, about)
        for name in (f"{VAE}.safetensors", f"{VAE}.json"):
            if Path(self.vae).resolve() != folder.resolve():
                shutil.copyfile(Path(self.vae) / name, folder / name)


def summed(group: NoisyGroup, velocity_BCTHW: Tensor, patch: int) -> Tensor:
    """Return a group's error, summed over its tokens."""
    error_BT = squared_error(velocity_BCTHW, group.data_BCTHW, group.noise_BCTHW, group.level_BT)
    tokens_of_a_frame = group.data_BCTHW.shape[3] * group.data_BCTHW.shape[4] // patch**2
    return error_BT.sum() * tokens_of_a_frame
