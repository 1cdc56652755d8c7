"""Training of the video compression network."""

import copy
from typing import Any, cast

import lightning as L
import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor

from trainer.checkpoints import VAE, save_model
from trainer.config import OptimConfig, VaeConfig, VaeLossConfig
from trainer.data.pixels import PixelBatch, PixelData
from trainer.ema import follow
from trainer.optim import MuonWithAdamW, build_optimizer, rate
from trainer.vae.model import Encoded, VideoVae


class VaeModule(L.LightningModule):
    """Learns to compress; at the end measures the latents' statistics and writes `vae.safetensors`."""

    def __init__(
        self, vae: VaeConfig, loss: VaeLossConfig, optim: OptimConfig, statistics_clips: int = 256
    ) -> None:
        """Args:
        statistics_clips: clips that the latents' mean and spread are measured on, after training.
        """
        super().__init__()
        self.loss, self.optim, self.statistics_clips = loss, optim, statistics_clips
        self.model = VideoVae(vae)
        self.average = copy.deepcopy(self.model).requires_grad_(False)

    def training_step(self, batch: PixelBatch, number: int) -> Tensor:
        """Return this rank's share of the loss over the global batch: a mean over pixel values."""
        total = torch.zeros((), device=self.device)
        logged: dict[str, Tensor] = {}
        for frames_BTHWC, seeds in zip(batch.frames_BTHWC, batch.noise_seeds, strict=True):
            pixels_BCTHW = to_pixels(frames_BTHWC)
            latent = self.model.distribution(pixels_BCTHW)
            parts = self._losses(self.model.pixels(sampled(latent, seeds)), pixels_BCTHW, latent)
            share = frames_BTHWC.numel() / batch.num_values
            total = total + share * sum(parts.values(), torch.zeros((), device=self.device))
            for name, value in parts.items():
                logged[name] = logged.get(name, torch.zeros_like(value)) + share * value.detach()
        scale = self.trainer.world_size * self.trainer.accumulate_grad_batches
        self.log("train/loss", total.detach() * scale, prog_bar=True)
        self.log_dict({f"train/{name}": value * scale for name, value in logged.items()})
        return total * scale

    def _losses(self, out_BCTHW: Tensor, pixels_BCTHW: Tensor, latent: Encoded) -> dict[str, Tensor]:
        error = out_BCTHW - pixels_BCTHW
        mean, log_variance = latent
        divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean()
        edges = error.diff(dim=3).abs().mean() + error.diff(dim=4).abs().mean()
        return {
            "absolute": self.loss.absolute * error.abs().mean(),
            "squared": self.loss.squared * error.square().mean(),
            "edges": self.loss.edges * edges,
            "divergence": self.loss.divergence * divergence,
        }

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """Step, then let the average follow: here, so that a checkpoint of this step holds both."""
        super().optimizer_step(*args, **kwargs)
        follow(self.average, self.model, self.trainer.global_step, self.optim.ema_decay)

    def validation_step(self, batch: PixelBatch, number: int) -> None:
        pixels_BCTHW = to_pixels(batch.frames_BTHWC[0])
        out_BCTHW = self.average.pixels(self.average.distribution(pixels_BCTHW).mean_BCTHW).clamp(-1, 1)
        psnr_B = psnr_db(out_BCTHW, pixels_BCTHW)
        self.log("val/psnr_db", psnr_B.mean(), prog_bar=True, batch_size=len(psnr_B), sync_dist=True)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        return scheduled(build_optimizer(self.model, self.optim), self.trainer, self.optim)

    def on_train_end(self) -> None:
        if self.trainer.is_global_zero:
            data: PixelData = cast(Any, self.trainer).datamodule
            measure_latents(self.average, data, self.statistics_clips)
            about = {"steps": self.trainer.global_step, "data": data.index.digest}
            save_model(self.trainer.default_root_dir, VAE, self.average, about)
        self.trainer.strategy.barrier()


def scheduled(
    optimizer: MuonWithAdamW, trainer: L.Trainer, config: OptimConfig
) -> OptimizerLRSchedulerConfig:
    """Give an optimizer its schedule, in the form that Lightning wants."""
    total = int(trainer.max_steps)
    if total < 1:
        raise ValueError(
            "trainer.max_steps: say how many optimizer steps to train; the learning rate ends with them"
        )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate(step, total, config))
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def to_pixels(frames_BTHWC: Tensor) -> Tensor:
    """Turn uint8 frames to pixels_BCTHW in [-1, 1]."""
    return frames_BTHWC.movedim(-1, 1).float() / 127.5 - 1


def to_frames(pixels_BCTHW: Tensor) -> Tensor:
    """Undo `to_pixels`."""
    return ((pixels_BCTHW + 1) * 127.5).round().clamp(0, 255).byte().movedim(1, -1)


def sampled(latent: Encoded, seeds: list[int]) -> Tensor:
    """Draw raw latents, each clip's from a generator of its own."""
    shape, device = latent.mean_BCTHW.shape[1:], latent.mean_BCTHW.device
    noise = [torch.randn(shape, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
    return latent.mean_BCTHW + torch.stack(noise).to(device) * (latent.log_variance_BCTHW / 2).exp()


def psnr_db(out_BCTHW: Tensor, pixels_BCTHW: Tensor) -> Tensor:
    """Return each clip's peak signal-to-noise ratio; the peak is 2, from -1 to 1."""
    mse_B = (out_BCTHW.float() - pixels_BCTHW).square().mean(dim=(1, 2, 3, 4))
    return 10 * torch.log10(4 / mse_B.clamp_min(1e-10))


@torch.no_grad()
def measure_latents(vae: VideoVae, data: PixelData, num_clips: int) -> None:
    """Store the mean and the spread of the latents over training clips in the network itself.

    Half-way to decorrelated: not at all, and the background's colour is most of the variance; wholly, and the
    faintest detail weighs as much as the colour, which the transformer then spends its steps on.
    """
    rows = data.training_rows[:: max(1, len(data.training_rows) // num_clips)][:num_clips]
    values = []
    for row in rows:
        pixels = to_pixels(torch.from_numpy(data.frames(int(row)))[None]).to(vae.latent_mean_C.device)
        values.append(vae.distribution(pixels).mean_BCTHW.movedim(1, 0).flatten(1))
    values_CN = torch.cat(values, dim=1)
    variance_C, axes_CC = torch.linalg.eigh(torch.cov(values_CN.double()))
    softened_C = variance_C.clamp_min(1e-6) + variance_C.mean() / 2
    softened_C = softened_C * (variance_C / softened_C).mean()  # unit variance on average
    spread_CC = axes_CC @ torch.diag(softened_C.sqrt()) @ axes_CC.T
    vae.latent_mean_C.copy_(values_CN.mean(1))
    vae.latent_spread_CC.copy_(spread_CC)
