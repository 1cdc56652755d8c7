"""Sample videos from prompts.

Legend: B videos, C channels, T frames or latent frames, H height, W width, L text tokens, D text width.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from manifests.renamed_fields import rename_keys
from trainer.checkpoints import load_dit, load_vae
from trainer.config import DitConfig, FlowConfig, SampleConfig, VaeConfig
from trainer.dit.model import Dit, Group, pad_text
from trainer.flow import sample_adams_bashforth, sampling_sigmas
from trainer.pixels import to_frames, to_pixels
from trainer.precision import autocast, best_device
from trainer.rng import generator
from trainer.text import TextEncoder
from trainer.vae.model import VideoVae


@dataclass(frozen=True, kw_only=True, slots=True)
class TextToVideo:
    """A trained transformer with its VAE and text encoder."""

    dit: Dit
    vae: VideoVae
    text: TextEncoder
    flow: FlowConfig
    fps: float
    """Frame rate that the model was trained at."""
    buckets: tuple[str, ...]
    """Shapes (frames x height x width) of the training clips."""


def load_model(folder: Path | str, device: torch.device | None = None) -> TextToVideo:
    """Load a folder of `kinora train dit`. Raises FileNotFoundError or ValueError, with the remedy."""
    device = device or best_device()
    dit, about = load_dit(folder)
    vae, vae_about = load_vae(folder)
    if vae_about["digest"] != about["vae_digest"]:
        raise ValueError(
            f"{folder}: vae.safetensors is not the one that the model was trained with; copy the right one"
        )
    text = TextEncoder.load(about["text_encoder"], about["text_digest"], device=str(device))
    return TextToVideo(
        dit=dit.to(device),
        vae=vae.to(device),
        text=text,
        flow=FlowConfig(**rename_keys(FlowConfig, about["flow"])),
        fps=float(about["fps"]),
        buckets=tuple(about["buckets"]),
    )


@torch.inference_mode()
def generate(
    model: TextToVideo,
    prompts: Sequence[str],
    *,
    height: int,
    width: int,
    num_frames: int,
    seeds: Sequence[int],
    sample: SampleConfig,
) -> np.ndarray:
    """Return frames_BTHWC (uint8), a video for each prompt and seed. Raises ValueError for a bad shape.

    The seed determines the noise: the same seed, prompt and shape give the same video.
    """
    if len(seeds) != len(prompts):
        raise ValueError(f"{len(prompts)} prompts need as many seeds, not {len(seeds)}")
    device = next(model.dit.parameters()).device
    shape = latent_shape(model.vae.config, model.dit.config, num_frames, height, width)
    noise = [generator("sample", seed).standard_normal(shape, np.float32) for seed in seeds]
    noise_BCTHW = torch.from_numpy(np.stack(noise)).to(device)
    states = model.text.states([*prompts, ""])
    velocity = ClassifierFreeGuidance(model.dit, states[:-1], states[-1], sample.guidance, device)
    clean_BT = torch.zeros(len(prompts), shape[1], dtype=torch.bool, device=device)
    sigmas = sampling_sigmas(sample.steps, model.dit.config.num_tokens(shape), model.flow)
    latent_BCTHW = sample_adams_bashforth(velocity, noise_BCTHW, clean_BT, sigmas)
    with autocast(device):
        return to_frames(model.vae.decode(latent_BCTHW)).cpu().numpy()


@torch.inference_mode()
def reconstruct(vae: VideoVae, frames_BTHWC: np.ndarray, *, batch_size: int = 16) -> np.ndarray:
    """Return videos (uint8) after a round trip through the VAE: the ceiling of a score."""
    device = next(vae.parameters()).device
    reconstructed = []
    for start in range(0, len(frames_BTHWC), batch_size):
        pixels_BCTHW = to_pixels(torch.from_numpy(frames_BTHWC[start : start + batch_size]).to(device))
        with autocast(device):
            reconstructed.append(to_frames(vae.decode(vae.encode(pixels_BCTHW))).cpu().numpy())
    return np.concatenate(reconstructed)


class ClassifierFreeGuidance:
    """Extrapolate from the unconditional to the text-conditional velocity (arXiv 2207.12598)."""

    def __init__(
        self,
        dit: Dit,
        states: Sequence[np.ndarray],
        empty_LD: np.ndarray,
        scale: float,
        device: torch.device,
    ) -> None:
        self.dit, self.scale = dit, scale
        self.text = [tensor.to(device) for tensor in pad_text(states)]
        self.empty = [tensor.to(device) for tensor in pad_text([empty_LD] * len(states))]

    def __call__(self, x_BCTHW: Tensor, sigma_BT: Tensor) -> Tensor:
        cond = Group(x_BCTHW, sigma_BT, *self.text)
        uncond = Group(x_BCTHW, sigma_BT, *self.empty)
        with autocast(x_BCTHW.device):
            if self.scale == 1:
                return self.dit([cond])[0]
            cond_BCTHW, uncond_BCTHW = self.dit([cond, uncond])
        return uncond_BCTHW + self.scale * (cond_BCTHW - uncond_BCTHW)


def latent_shape(
    vae: VaeConfig, dit: DitConfig, num_frames: int, height: int, width: int
) -> tuple[int, int, int, int]:
    """Return (C, T, H, W) of the initial noise. Raises ValueError with the nearest shape that works."""
    side = vae.space_factor * dit.patch
    factor = vae.time_factor
    if (
        num_frames < 1
        or (num_frames - 1) % factor
        or height % side
        or width % side
        or min(height, width) < side
    ):
        nearest = [max(side, round(size / side) * side) for size in (width, height)]
        frames = 1 + max(0, round((num_frames - 1) / factor)) * factor
        raise ValueError(
            f"{num_frames} frames of {width}x{height} cannot be made: sides must be multiples of {side} and "
            f"frames 1 more than a multiple of {factor}, such as {frames} frames of {nearest[0]}x{nearest[1]}"
        )
    return vae.latent_shape(num_frames, height, width)
