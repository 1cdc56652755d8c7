"""A tiny, randomly initialized model to sample from, for the tests of trainer/sample."""

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import torch

from trainer.config import DitConfig, FlowConfig, VaeConfig
from trainer.dit.model import Dit
from trainer.rng import generator
from trainer.sample.model import TextToVideo
from trainer.vae.model import VideoVae

HEIGHT, WIDTH = 16, 32
"""Size of the test videos; 4 latent frames are given by 13 frames."""


class Words:
    """Stands in for a text encoder: random states that depend on the text."""

    def states(self, texts: Sequence[str]) -> list[np.ndarray]:
        return [generator(text).standard_normal((2 + len(text) % 4, 16)).astype(np.float32) for text in texts]


def tiny_model(*, buckets: tuple[str, ...] = ("17x16x32", "1x16x32")) -> TextToVideo:
    """Return a model whose every layer is random, trained on windows of 5 latent frames.

    It computes in float32 on every machine, so that tests can compare numbers.
    """
    torch.manual_seed(0)
    vae = VideoVae(VaeConfig(latent_channels=4, widths=(8, 12), encoder_depths=(1, 1), decoder_depths=(1, 1)))
    for block in (*vae.encoder_fine, *vae.encoder_coarse, *vae.decoder_fine, *vae.decoder_coarse):
        torch.nn.init.normal_(cast(Any, block).temporal_conv.weight, std=0.3)
    dit = Dit(DitConfig(width=32, depth=2, heads=2, latent_channels=4, text_width=16, refiner_depth=1))
    for parameter in dit.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return TextToVideo(
        dit=dit.eval().requires_grad_(False),
        vae=vae.eval().requires_grad_(False),
        text=cast(Any, Words()),
        flow=FlowConfig(),
        fps=8,
        buckets=buckets,
        dtype="float32",
    )


def video(frames: int, seed: int = 0, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """Return random frames_THWC (uint8)."""
    return np.random.default_rng(seed).integers(0, 256, (frames, height, width, 3), dtype=np.uint8)
