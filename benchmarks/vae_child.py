"""One measurement of `benchmarks.vae`, in a process of its own.

`python vae_child.py TASK LATENTS HEIGHT WIDTH SEED` prints a JSON object.
"""

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import torch
import yaml
from torch import Tensor

from benchmarks.loader_child import peak_mb
from trainer import config as trainer_config
from trainer.config import VaeConfig
from trainer.vae.model import VideoVae
from trainer.vae.streaming import decode_stream, encode_stream

CHUNK_BYTES = 1 << 25


def shipped_vae(seed: int) -> VideoVae:
    """Return the VAE of `vae_tiny.yaml` with random weights, those that start at zero included."""
    settings = Path(trainer_config.__file__).with_name("configs") / "vae_tiny.yaml"
    torch.manual_seed(seed)
    vae = VideoVae(VaeConfig(**yaml.safe_load(settings.read_text())["model"]["vae"]))
    for name, weight in vae.named_parameters():
        if name.endswith("temporal_conv.weight"):
            torch.nn.init.normal_(weight, std=0.02)
    return vae.eval().requires_grad_(False)


def frames_of(latents: int, height: int, width: int) -> Iterator[Tensor]:
    """Yield random frames_BCTHW, those of one latent at a time."""
    for number in range(latents):
        yield torch.rand(1, 3, 4 if number else 1, height, width) * 2 - 1


def decode(vae: VideoVae, latents: int, height: int, width: int) -> dict[str, float]:
    side = vae.config.space_factor
    latent_BCTHW = torch.randn(1, vae.config.latent_channels, latents, height // side, width // side)
    return measured(vae, latent_BCTHW)


def round_trip(vae: VideoVae, latents: int, height: int, width: int) -> dict[str, float]:
    chunks = encode_stream(vae, frames_of(latents, height, width), CHUNK_BYTES)
    return measured(vae, torch.cat([*chunks], dim=2))


def measured(vae: VideoVae, latent_BCTHW: Tensor) -> dict[str, float]:
    frames = sum(chunk.shape[2] for chunk in decode_stream(vae, latent_BCTHW, CHUNK_BYTES))
    return {"peak_mb": peak_mb(), "cpu_s": time.process_time(), "frames": frames}


def errors(vae: VideoVae, latents: int, height: int, width: int) -> dict[str, float]:
    frames = torch.cat([*frames_of(latents, height, width)], dim=2)
    latent = vae.encode(frames)
    encoded = torch.cat([*encode_stream(vae, frames.split(3, dim=2), 1)], dim=2)
    decoded = [torch.cat([*decode_stream(vae, latent, size)], dim=2) for size in (1, 1 << 22)]
    one_pass = vae.decode(latent)
    error = max(float((encoded - latent).abs().max()), float((decoded[0] - one_pass).abs().max()))
    return {
        "stream_max_abs_error": error,
        "chunks_max_abs_error": float((decoded[0] - decoded[1]).abs().max()),
    }


if __name__ == "__main__":
    torch.set_num_threads(1)
    task, sizes = {"decode": decode, "round_trip": round_trip, "errors": errors}[sys.argv[1]], sys.argv[2:5]
    with torch.inference_mode():
        print(json.dumps(task(shipped_vae(int(sys.argv[5])), *map(int, sizes))))
