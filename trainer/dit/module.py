"""Training of the diffusion transformer."""

import copy
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import lightning as L
import torch
from lightning.pytorch.utilities import rank_zero_warn
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor

from trainer.checkpoints import DIT, VAE, read_about, read_vae_config, save_model
from trainer.config import EMBEDDED_TEXT_ENCODER, DitConfig, FlowConfig, OptimConfig, Size, dit_config
from trainer.data.latents import VALIDATION_SIGMAS, LatentBatch, LatentData, NoisyGroup
from trainer.data.shards import PADDING
from trainer.data.vocabulary import read_vocabulary
from trainer.dit.model import Dit
from trainer.ema import update_ema
from trainer.flow import velocity_error
from trainer.metrics import MeanOverRanks, SumOverRanks
from trainer.migrations import migrate_checkpoint
from trainer.model_files import folder_of, latents_digest
from trainer.optim import build_optimizer, clip_gradients, with_lr_schedule
from trainer.run.preflight import check_batch, check_buckets, check_channels
from trainer.text_digest import describe_encoder, is_digest_of


class DitModule(L.LightningModule):
    """Train the transformer and its EMA; at the end write `model.safetensors`."""

    def __init__(
        self,
        dit: Size | DitConfig,
        optim: OptimConfig,
        vae: str,
        text_encoder: str = EMBEDDED_TEXT_ENCODER,
        flow: FlowConfig | None = None,
    ) -> None:
        """Args:
        dit: a size by its name, with as many latent channels as the VAE; or its fields.
        vae: folder with the VAE that the clips were encoded with, or `shipped`.
        text_encoder: name of the encoder that the texts were encoded with.
        flow: no longer used: `data.flow` trains, samples, and is stored with the model.
        """
        super().__init__()
        self.optim, self.vae, self.text_encoder, self._former_flow = optim, vae, text_encoder, flow
        config = dit_config(dit)
        if isinstance(dit, str):
            config = replace(config, latent_channels=read_vae_config(vae).latent_channels)
        self.model = Dit(config)
        self.ema = copy.deepcopy(self.model).requires_grad_(False)
        self.step_sums = SumOverRanks()
        self.validation_means = MeanOverRanks(
            ["val/loss", *(f"val/loss_at_{sigma:.1f}" for sigma in VALIDATION_SIGMAS)]
        )
        self.exported = False

    @property
    def flow(self) -> FlowConfig:
        """The flow that is trained, which sampling and the exported model share."""
        return self.data.flow

    @property
    def data(self) -> LatentData:
        return cast(Any, self.trainer).datamodule

    def setup(self, stage: str) -> None:
        """Raise ValueError for latents, texts, shapes or a batch that do not go with the model."""
        encoded_by, config = self.data.encoded.origin.vae, self.model.config
        if latents_digest(read_about(self.vae, VAE)) != encoded_by:
            raise ValueError(
                f"{self.vae}: the clips were encoded by another compression network ({encoded_by}); "
                "run `kinora encode` with this one, or name the one that was used"
            )
        vae_config = read_vae_config(self.vae)
        check_channels(config, vae_config, self.data.empty_LD.shape[1])
        check_buckets(self.data.index.counts(), vae_config, config.patch)
        if self._former_flow not in (None, self.flow):
            rank_zero_warn("model.flow is no longer used: data.flow trains, samples and is stored")
        if stage == "fit":
            check_batch(self.data.batch_size, self.trainer)
            self._check_text_encoder()

    def _check_text_encoder(self) -> None:
        encoded_by = self.data.encoded.origin.text
        if not is_digest_of(self.text_encoder, encoded_by):
            digest, _ = describe_encoder(self.text_encoder)
            raise ValueError(
                f"model.text_encoder={self.text_encoder} has digest {digest}, but the texts were encoded by "
                f"another one, {encoded_by}: name that one, or run `kinora encode --text-encoder "
                f"{self.text_encoder}`"
            )

    def training_step(self, batch: LatentBatch, number: int) -> Tensor:
        """Return this rank's part of the loss: a mean over the target tokens of the global batch.

        Logs the loss of the whole batch.
        """
        loss = self.loss_sum(batch) / batch.num_tokens
        self.step_sums.add({"train/loss": loss})
        num_micro_batches = self.trainer.accumulate_grad_batches
        if (number + 1) % num_micro_batches == 0 or self.trainer.is_last_batch:
            self.log_dict(self.step_sums.reduce(), prog_bar=True)
        return loss * self.trainer.world_size * num_micro_batches

    def loss_sum(self, batch: LatentBatch) -> Tensor:
        """Return the velocity error of a batch, summed over its target tokens."""
        total = torch.zeros((), device=self.device)
        velocities = self.model([group.model_input() for group in batch.groups])
        for group, velocity_BCTHW in zip(batch.groups, velocities, strict=True):
            total = total + error_sum(group, velocity_BCTHW, self.model.config)
        return total

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """Step and update the EMA, so that a checkpoint of this step holds both."""
        super().optimizer_step(*args, **kwargs)
        update_ema(self.ema, self.model, self.trainer.global_step, self.optim.ema_decay)

    def validation_step(self, batch: LatentBatch, number: int) -> None:
        """Measure the loss at each fixed sigma, with noise that depends on the clip alone."""
        group = batch.groups[0]
        velocity_BCTHW = self.ema([group.model_input()])[0]
        error_BT = velocity_error(velocity_BCTHW, group.data_BCTHW, group.noise_BCTHW, group.sigma_BT)
        if batch.step != PADDING:
            error_B = error_BT.mean(dim=1)
            self.validation_means.add(f"val/loss_at_{float(group.sigma_BT[0, 0]):.1f}", error_B)
            self.validation_means.add("val/loss", error_B)

    def on_validation_epoch_end(self) -> None:
        means = self.validation_means.reduce(self.device)
        self.log("val/loss", means.pop("val/loss"), prog_bar=True)
        self.log_dict(means)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        migrate_checkpoint(checkpoint, DIT)

    def configure_gradient_clipping(self, *args: Any, **kwargs: Any) -> None:
        super().configure_gradient_clipping(*args, **kwargs)
        clip_gradients(self.model, self.optim)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        return with_lr_schedule(build_optimizer(self.model, self.optim), self.trainer, self.optim)

    def on_train_end(self) -> None:
        if self.trainer.is_global_zero:
            self.export(Path(self.trainer.default_root_dir))
        self.trainer.strategy.barrier()

    def on_fit_end(self) -> None:
        """Export after a resume that had no step left to train."""
        if self.trainer.is_global_zero and not self.exported:
            self.export(Path(self.trainer.default_root_dir))

    def export(self, folder: Path) -> None:
        """Write the transformer and the VAE to one folder, for `kinora generate`."""
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
            "vocabulary": read_vocabulary(data.index),
        }
        save_model(folder, DIT, self.ema, about)
        vae_folder = folder_of(self.vae)
        for name in (f"{VAE}.safetensors", f"{VAE}.json"):
            if vae_folder.resolve() != folder.resolve():
                shutil.copyfile(vae_folder / name, folder / name)
        self.exported = True


def error_sum(group: NoisyGroup, velocity_BCTHW: Tensor, config: DitConfig) -> Tensor:
    """Return a group's velocity error, summed over its target tokens."""
    error_BT = velocity_error(velocity_BCTHW, group.data_BCTHW, group.noise_BCTHW, group.sigma_BT)
    _, channels, _, height, width = group.data_BCTHW.shape
    return error_BT.sum() * config.num_tokens((channels, 1, height, width))
