"""Training of the video VAE."""

import copy
from dataclasses import asdict
from operator import gt
from typing import Any, cast

import lightning as L
import torch
import torch.nn.functional as F
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor

from manifests.ranges import NonNegativeFloat, PositiveInt, check_values
from trainer.checkpoints import VAE, load_vae, save_model
from trainer.config import OptimConfig, VaeConfig, VaeLossConfig
from trainer.data.pixels import PixelBatch, PixelData
from trainer.data.shards import PADDING
from trainer.ema import update_ema
from trainer.metrics import MeanOverRanks, SumOverRanks
from trainer.migrations import migrate_checkpoint
from trainer.model_files import folder_of, latents_digest
from trainer.optim import build_optimizer, clip_gradients, with_lr_schedule
from trainer.pixels import to_pixels
from trainer.run.preflight import check_batch, check_buckets, check_crop
from trainer.vae.model import DiagonalGaussian, VideoVae, matmul_channels

_NOISE_SEED = 1 << 40
"""Makes the seed of this noise another than that of the posterior's."""

LOSS_TERMS = ("l1", "l2", "gradient", "flicker", "kl")


class VaeModule(L.LightningModule):
    """Train the VAE and its EMA; at the end measure the latents' statistics and write `vae.safetensors`.

    Raises ValueError for a `keep_encoder_of` of another shape, or `latent_noise` without it.
    """

    def __init__(
        self,
        vae: VaeConfig,
        loss: VaeLossConfig,
        optim: OptimConfig,
        statistics_clips: PositiveInt = 256,
        keep_encoder_of: str = "",
        latent_noise: NonNegativeFloat = 0.0,
    ) -> None:
        """Args:
        statistics_clips: clips to measure the latents' mean and covariance on, after training.
        keep_encoder_of: folder of a VAE, or `shipped`, whose encoder and statistics are kept, so that latents
            and transformers made with it stay valid. The decoder alone is trained, from that VAE's on; it may
            have more blocks.
        latent_noise: noise on the latents that the decoder is trained on, in standard deviations of normal
            latents: each clip gets between none and so much. A decoder that knows it shows less of the errors
            of a transformer (Zheng et al. 2025, arXiv 2510.11690). Needs `keep_encoder_of`.
        """
        super().__init__()
        numbers = {"statistics_clips": statistics_clips, "latent_noise": latent_noise}
        check_values(VaeModule.__init__, numbers, "model")
        if latent_noise and not keep_encoder_of:
            raise ValueError(
                "model.latent_noise needs model.keep_encoder_of: a first training measures the latents"
            )
        self.latent_noise = latent_noise
        self.loss, self.optim, self.statistics_clips = loss, optim, statistics_clips
        self.model = VideoVae(vae)
        self.keep_encoder_of = keep_encoder_of
        self.latents_digest = self._keep_encoder(keep_encoder_of) if keep_encoder_of else ""
        self.ema = copy.deepcopy(self.model).requires_grad_(False)
        self.step_sums, self.validation_means = SumOverRanks(), MeanOverRanks(["val/psnr_db"])
        self.exported = False

    def _keep_encoder(self, folder: str) -> str:
        """Load a VAE, freeze its encoder, and return the digest of its latents."""
        kept, about = load_vae(folder)
        theirs, ours = asdict(kept.config), asdict(self.model.config)
        if not any(map(gt, theirs["decoder_depths"], ours["decoder_depths"])):
            theirs["decoder_depths"] = ours["decoder_depths"]
        if wrong := [name for name in theirs if theirs[name] != ours[name]]:
            raise ValueError(
                f"model.keep_encoder_of={folder}: its {', '.join(wrong)} does not fit model.vae; give "
                f"model.vae the values in {folder_of(folder) / 'vae.json'}, of which only decoder_depths may "
                "grow"
            )
        self.model.load_state_dict(kept.state_dict(), strict=False)  # a new block starts as the identity
        for weight in self.model.encoder_parameters():
            weight.requires_grad_(False)
        return latents_digest(about)

    def on_fit_start(self) -> None:
        """Raise ValueError if weights to go on from have another encoder than the one that is kept."""
        if not self.keep_encoder_of:
            return
        kept, _ = load_vae(self.keep_encoder_of)
        theirs, ours = (
            [*vae.encoder_parameters(), vae.latent_mean_C, vae.latent_scale_CC]
            for vae in (kept.to(self.device), self.model)
        )
        if not all(map(torch.equal, theirs, ours)):
            raise ValueError(
                f"model.keep_encoder_of={self.keep_encoder_of}: the weights to go on from have another "
                "encoder; name the folder of the VAE whose decoder they are"
            )

    @property
    def data(self) -> PixelData:
        return cast(Any, self.trainer).datamodule

    def setup(self, stage: str) -> None:
        """Raise ValueError for a batch, crops or buckets that cannot be trained on."""
        if stage == "fit":
            check_batch(self.data.batch_size, self.trainer)
            check_crop(self.data.crop, self.model.config)
        check_buckets(self.data.index.counts(), self.model.config)

    def training_step(self, batch: PixelBatch, number: int) -> Tensor:
        """Return this rank's part of the loss: a mean over the pixel values of the global batch.

        Logs the loss of the whole batch.
        """
        total, logged = self._loss(batch)
        self.step_sums.add({f"train/{name}": value for name, value in {"loss": total, **logged}.items()})
        num_micro_batches = self.trainer.accumulate_grad_batches
        if (number + 1) % num_micro_batches == 0 or self.trainer.is_last_batch:
            sums = self.step_sums.reduce()
            self.log("train/loss", sums.pop("train/loss"), prog_bar=True)
            self.log_dict(sums)
        return total * self.trainer.world_size * num_micro_batches

    def loss_sum(self, batch: PixelBatch) -> Tensor:
        """Return a batch's part of the loss of the global batch."""
        return self._loss(batch)[0]

    def _loss(self, batch: PixelBatch) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss, with its gradient, and its terms by name, without."""
        total = torch.zeros((), device=self.device)
        logged: dict[str, Tensor] = dict.fromkeys(LOSS_TERMS, torch.zeros((), device=self.device))
        for frames_BTHWC, seeds in zip(batch.frames_BTHWC, batch.noise_seeds, strict=True):
            pixels_BCTHW = to_pixels(frames_BTHWC)
            posterior = self.model.posterior(pixels_BCTHW)
            raw_BCTHW = reparameterize(posterior, seeds)
            if self.latent_noise:
                noise_BCTHW = noise_of(raw_BCTHW, seeds, self.latent_noise)
                raw_BCTHW = raw_BCTHW + matmul_channels(self.model.latent_scale_CC, noise_BCTHW)
            out_BCTHW = self.model.decode_raw(raw_BCTHW)
            terms = self._loss_terms(out_BCTHW, pixels_BCTHW, posterior)
            weight = frames_BTHWC.numel() / batch.num_values
            total = total + weight * sum(terms.values(), torch.zeros((), device=self.device))
            for name, value in terms.items():
                logged[name] = logged[name] + weight * value.detach()
        return total, logged

    def _loss_terms(
        self, out_BCTHW: Tensor, pixels_BCTHW: Tensor, posterior: DiagonalGaussian
    ) -> dict[str, Tensor]:
        error = out_BCTHW - pixels_BCTHW
        mean, logvar = posterior
        kl = 0.5 * (mean.square() + logvar.exp() - 1 - logvar).mean()
        weight = 1 + self.loss.motion * changing(pixels_BCTHW) + self.loss.contrast * contrast(pixels_BCTHW)
        rows = weight[..., 1:, :] * error.diff(dim=3).abs()
        columns = weight[..., 1:] * error.diff(dim=4).abs()
        gradient = rows.mean() + columns.mean()
        steps = weight[:, :, 1:] * error.diff(dim=2).abs()
        flicker = steps.mean() if steps.numel() else error.new_zeros(())
        return {
            "l1": self.loss.l1 * (weight * error.abs()).mean(),
            "l2": self.loss.l2 * (weight * error.square()).mean(),
            "gradient": self.loss.gradient * gradient,
            "flicker": self.loss.flicker * flicker,
            "kl": self.loss.kl * kl,
        }

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """Step and update the EMA, so that a checkpoint of this step holds both."""
        super().optimizer_step(*args, **kwargs)
        update_ema(self.ema, self.model, self.trainer.global_step, self.optim.ema_decay)

    def validation_step(self, batch: PixelBatch, number: int) -> None:
        pixels_BCTHW = to_pixels(batch.frames_BTHWC[0])
        out_BCTHW = self.ema.decode_raw(self.ema.posterior(pixels_BCTHW).mean_BCTHW).clamp(-1, 1)
        if batch.step != PADDING:
            self.validation_means.add("val/psnr_db", psnr_db(out_BCTHW, pixels_BCTHW))

    def on_validation_epoch_end(self) -> None:
        self.log_dict(self.validation_means.reduce(self.device), prog_bar=True)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        migrate_checkpoint(checkpoint, VAE)

    def configure_gradient_clipping(self, *args: Any, **kwargs: Any) -> None:
        super().configure_gradient_clipping(*args, **kwargs)
        clip_gradients(self.model, self.optim)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        return with_lr_schedule(build_optimizer(self.model, self.optim), self.trainer, self.optim)

    def on_train_end(self) -> None:
        if self.trainer.is_global_zero:
            self.export()
        self.trainer.strategy.barrier()

    def on_fit_end(self) -> None:
        """Export after a resume that had no step left to train."""
        if self.trainer.is_global_zero and not self.exported:
            self.export()

    def export(self) -> None:
        """Measure the latents and write the VAE to the run's folder."""
        about: dict[str, Any] = {"steps": self.trainer.global_step, "data": self.data.index.digest}
        if self.latents_digest:
            about["latents_digest"] = self.latents_digest
        else:
            measure_latents(self.ema, self.data, self.statistics_clips)
        save_model(self.trainer.default_root_dir, VAE, self.ema, about)
        self.exported = True


CHANGE = 0.25
"""Difference to a neighbouring frame or pixel, for pixels in [-1, 1], from which on a pixel counts as
changing or as an edge."""


def changing(pixels_BCTHW: Tensor) -> Tensor:
    """Return how far each pixel's neighbourhood differs from the frame before or after: 0 to 1, by B1THW."""
    steps_BTHW = pixels_BCTHW.diff(dim=2).abs().amax(dim=1)
    change_BTHW = torch.maximum(F.pad(steps_BTHW, (0, 0, 0, 0, 1, 0)), F.pad(steps_BTHW, (0, 0, 0, 0, 0, 1)))
    near_BTHW = F.max_pool2d(change_BTHW, 3, stride=1, padding=1)
    return (near_BTHW / CHANGE).clamp(max=1)[:, None]


def contrast(pixels_BCTHW: Tensor) -> Tensor:
    """Return how far each pixel differs from those above, below, left and right of it: 0 to 1, by B1THW."""
    rows_BTHW = pixels_BCTHW.diff(dim=3).abs().amax(dim=1)
    columns_BTHW = pixels_BCTHW.diff(dim=4).abs().amax(dim=1)
    vertical_BTHW = torch.maximum(F.pad(rows_BTHW, (0, 0, 1, 0)), F.pad(rows_BTHW, (0, 0, 0, 1)))
    horizontal_BTHW = torch.maximum(F.pad(columns_BTHW, (1, 0)), F.pad(columns_BTHW, (0, 1)))
    return (torch.maximum(vertical_BTHW, horizontal_BTHW) / CHANGE).clamp(max=1)[:, None]


def reparameterize(posterior: DiagonalGaussian, seeds: list[int]) -> Tensor:
    """Sample raw latents, each clip's noise from its own seed."""
    mean_BCTHW, logvar_BCTHW = posterior
    shape, device = mean_BCTHW.shape[1:], mean_BCTHW.device
    noise = [torch.randn(shape, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
    return mean_BCTHW + torch.stack(noise).to(device) * (logvar_BCTHW / 2).exp()


def noise_of(latent_BCTHW: Tensor, seeds: list[int], most: float) -> Tensor:
    """Return noise of latents, with a standard deviation from 0 to `most` that each clip's seed draws."""
    noise = []
    for seed in seeds:
        generator = torch.Generator().manual_seed(seed ^ _NOISE_SEED)
        level = most * torch.rand((), generator=generator)
        noise.append(level * torch.randn(latent_BCTHW.shape[1:], generator=generator))
    return torch.stack(noise).to(latent_BCTHW.device)


def psnr_db(out_BCTHW: Tensor, pixels_BCTHW: Tensor) -> Tensor:
    """Return psnr_B, the peak signal-to-noise ratio of each clip for pixels in [-1, 1]."""
    mse_B = (out_BCTHW.float() - pixels_BCTHW).square().mean(dim=(1, 2, 3, 4))
    return 10 * torch.log10(4 / mse_B.clamp_min(1e-10))


@torch.no_grad()
def measure_latents(vae: VideoVae, data: PixelData, num_clips: int) -> None:
    """Set the VAE's latent mean and scale from training clips, half-way to whitened (docs/adr/0007)."""
    rows = data.training_rows[:: max(1, len(data.training_rows) // num_clips)][:num_clips]
    values = []
    for row in rows:
        pixels = to_pixels(torch.from_numpy(data.frames(int(row)))[None]).to(vae.latent_mean_C.device)
        values.append(vae.posterior(pixels).mean_BCTHW.movedim(1, 0).flatten(1))
    values_CN = torch.cat(values, dim=1)
    variance_C, axes_CC = torch.linalg.eigh(torch.cov(values_CN.double()))
    softened_C = variance_C.clamp_min(1e-6) + variance_C.mean() / 2
    softened_C = softened_C * (variance_C / softened_C).mean()  # unit variance on average
    scale_CC = axes_CC @ torch.diag(softened_C.sqrt()) @ axes_CC.T
    vae.latent_mean_C.copy_(values_CN.mean(1))
    vae.latent_scale_CC.copy_(scale_CC)
