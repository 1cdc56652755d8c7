"""Checks of a run before its first step: each names both numbers that do not go together."""

from collections.abc import Iterable

import lightning as L

from manifests.records import Bucket
from trainer.config import CropConfig, DitConfig, VaeConfig


def check_batch(batch_size: int, trainer: L.Trainer) -> None:
    """Raise ValueError where a rank would have a micro-batch without a clip."""
    ranks, parts = trainer.world_size, trainer.accumulate_grad_batches
    if batch_size < ranks * parts:
        raise ValueError(
            f"data.batch_size={batch_size} is less than {ranks} ranks x {parts} accumulated micro-batches = "
            f"{ranks * parts}: raise it to {ranks * parts} or more, or lower trainer.accumulate_grad_batches"
        )


def check_clipping(trainer: L.Trainer) -> None:
    """Raise ValueError for a negative limit, which would turn gradients around."""
    limit = trainer.gradient_clip_val
    if limit is not None and limit < 0:
        raise ValueError(f"trainer.gradient_clip_val={limit} must be at least 0; use model.optim.clip_norm")


def check_buckets(buckets: Iterable[Bucket], vae: VaeConfig, patch: int = 1) -> None:
    """Raise ValueError for a bucket that does not divide into the VAE's latents and the model's patches."""
    side = vae.space_factor * patch
    for bucket in sorted(buckets, key=lambda bucket: bucket.name):
        if (bucket.num_frames - 1) % vae.time_factor:
            raise ValueError(
                f"bucket {bucket.name} of the shards has {bucket.num_frames} frames, but the VAE's "
                f"time_factor={vae.time_factor} needs 1 + k * {vae.time_factor}: pack with "
                f"--time-factor {vae.time_factor} and buckets that fit, or train a VAE of another time_factor"
            )
        if bucket.height % side or bucket.width % side:
            raise ValueError(
                f"bucket {bucket.name} of the shards is {bucket.width}x{bucket.height} pixels, but its sides "
                f"must be multiples of {side} (the VAE's space_factor {vae.space_factor} x patch {patch})"
            )


def check_crop(crop: CropConfig, vae: VaeConfig) -> None:
    """Raise ValueError for crops that do not divide into the VAE's latents."""
    if not crop.lengths:
        raise ValueError("data.crop.lengths is empty: name at least one number of frames, such as 1")
    for length in crop.lengths:
        if (length - 1) % vae.time_factor:
            raise ValueError(
                f"data.crop.lengths has {length} frames, but model.vae.time_factor={vae.time_factor} needs "
                f"1 + k * {vae.time_factor}"
            )
    if crop.side_px % vae.space_factor:
        raise ValueError(
            f"data.crop.side_px={crop.side_px} is no multiple of the VAE's space_factor {vae.space_factor}"
        )


def check_channels(dit: DitConfig, vae: VaeConfig, text_width: int) -> None:
    """Raise ValueError for latents or text states of another width than the model's."""
    if dit.latent_channels != vae.latent_channels:
        raise ValueError(
            f"model.dit.latent_channels={dit.latent_channels}, but the latents have {vae.latent_channels} "
            f"channels: set it to {vae.latent_channels}"
        )
    if dit.text_width != text_width:
        raise ValueError(
            f"model.dit.text_width={dit.text_width}, but the states of the text encoder have {text_width} "
            f"channels: set it to {text_width}"
        )
