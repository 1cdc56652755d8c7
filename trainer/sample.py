"""From prompts to videos.

Legend: B videos, C channels, T frames or latent frames, H height, W width, L text positions, D text width.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from trainer.checkpoints import load_dit, load_vae
from trainer.config import FlowConfig, SampleConfig
from trainer.data.batch_plan import generator
from trainer.data.latents import padded, tokens_in
from trainer.dit.model import Dit, Group
from trainer.flow import integrate, schedule
from trainer.precision import autocast, best_device
from trainer.text import TextEncoder
from trainer.vae.model import VideoVae
from trainer.vae.module import to_frames, to_pixels


@dataclass(frozen=True, kw_only=True, slots=True)
class TextToVideo:
    """A trained model with all that it takes to generate."""

    dit: Dit
    vae: VideoVae
    text: TextEncoder
    flow: FlowConfig
    fps: float
    """Frame rate that the model was trained at."""
    buckets: tuple[str, ...]
    """Shapes (frames x height x width) that the model was trained on."""


def load_model(folder: Path | str, device: torch.device | None = None) -> TextToVideo:
    """Load what `kinora train dit` wrote. Raises FileNotFoundError or ValueError, with the remedy."""
    device = device or best_device()
    dit, about = load_dit(folder)
    vae, vae_about = load_vae(folder)
    if vae_about["digest"] != about["vae_digest"]:
        raise ValueError(
            f"{folder}: vae.safetensors is not the one that the model was trained with; copy the right one"
        )
    text = TextEncoder(about["text_encoder"], device=str(device))
    if text.digest != about["text_digest"]:
        raise ValueError(f"{about['text_encoder']}: not the text encoder that {folder} was trained with")
    return TextToVideo(
        dit=dit.to(device),
        vae=vae.to(device),
        text=text,
        flow=FlowConfig(**about["flow"]),
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

    A seed names the noise, so the same seed, prompt and shape give the same video.
    """
    if len(seeds) != len(prompts):
        raise ValueError(f"{len(prompts)} prompts need as many seeds, not {len(seeds)}")
    device = next(model.dit.parameters()).device
    shape = latent_shape(model, num_frames, height, width)
    noise = [generator("sample", seed).standard_normal(shape, np.float32) for seed in seeds]
    start_BCTHW = torch.from_numpy(np.stack(noise)).to(device)
    states = model.text.states([*prompts, ""])
    velocity = Guided(model.dit, states[:-1], states[-1], sample.guidance, device)
    given_BT = torch.zeros(len(prompts), shape[1], dtype=torch.bool, device=device)
    levels = schedule(sample.steps, tokens_in(shape), model.flow)
    latent_BCTHW = integrate(velocity, start_BCTHW, given_BT, levels)
    with autocast(device):
        return to_frames(model.vae.decode(latent_BCTHW)).cpu().numpy()


@torch.inference_mode()
def reconstruct(vae: VideoVae, frames_BTHWC: np.ndarray, *, batch_size: int = 16) -> np.ndarray:
    """Return true videos (uint8) after a round trip through the compression network: a score's ceiling."""
    device = next(vae.parameters()).device
    outs = []
    for start in range(0, len(frames_BTHWC), batch_size):
        pixels_BCTHW = to_pixels(torch.from_numpy(frames_BTHWC[start : start + batch_size]).to(device))
        with autocast(device):
            outs.append(to_frames(vae.decode(vae.encode(pixels_BCTHW))).cpu().numpy())
    return np.concatenate(outs)


class Guided:
    """The velocity that a text asks for, gone beyond by guidance (Ho and Salimans 2022, arXiv 2207.12598)."""

    def __init__(
        self,
        dit: Dit,
        states: Sequence[np.ndarray],
        empty_LD: np.ndarray,
        guidance: float,
        device: torch.device,
    ) -> None:
        self.dit, self.guidance = dit, guidance
        self.text = [t.to(device) for t in padded(states)]
        self.empty = [t.to(device) for t in padded([empty_LD] * len(states))]

    def __call__(self, x_BCTHW: Tensor, level_BT: Tensor) -> Tensor:
        told = Group(x_BCTHW, level_BT, *self.text)
        untold = Group(x_BCTHW, level_BT, *self.empty)
        with autocast(x_BCTHW.device):
            if self.guidance == 1:
                return self.dit([told])[0]
            with_text, without = self.dit([told, untold])
        return without + self.guidance * (with_text - without)


def latent_shape(model: TextToVideo, num_frames: int, height: int, width: int) -> tuple[int, int, int, int]:
    """Return (C, T, H, W) of the noise to start from. Raises ValueError with the nearest shape that works."""
    side = 2 * model.vae.config.patch * model.dit.config.patch
    factor = model.vae.config.time_factor
    if (
        num_frames < 1
        or (num_frames - 1) % factor
        or height % side
        or width % side
        or min(height, width) < side
    ):
        near = [max(side, round(size / side) * side) for size in (width, height)]
        frames = 1 + max(0, round((num_frames - 1) / factor)) * factor
        raise ValueError(
            f"{num_frames} frames of {width}x{height} cannot be made: sides must be multiples of {side} and "
            f"frames 1 more than a multiple of {factor}, such as {frames} frames of {near[0]}x{near[1]}"
        )
    return model.vae.latent_shape(num_frames, height, width)
