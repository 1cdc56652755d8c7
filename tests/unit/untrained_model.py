"""A small model without training, to sample noise from."""

import zlib
from dataclasses import dataclass

import numpy as np
import torch

from trainer.config import DitConfig, FlowConfig, VaeConfig
from trainer.dit.model import Dit
from trainer.sample.model import TextToVideo
from trainer.vae.model import VideoVae

TEXT_WIDTH = 16


@dataclass(frozen=True)
class HashedText:
    """States that depend on the text, of one token."""

    def states(self, texts):
        return [
            np.random.default_rng(zlib.crc32(text.encode())).standard_normal((1, TEXT_WIDTH), np.float32)
            for text in texts
        ]


def untrained(buckets=("17x32x32", "17x32x48"), fps=8.0) -> TextToVideo:
    """Return a model whose training clips had the shapes of `buckets`."""
    torch.manual_seed(0)
    vae = VideoVae(VaeConfig(widths=(8, 8), decoder_depths=(0, 0)))
    dit = Dit(DitConfig(width=16, depth=1, heads=2, text_width=TEXT_WIDTH, refiner_depth=0))
    return TextToVideo(
        dit=dit.eval(), vae=vae.eval(), text=HashedText(), flow=FlowConfig(), fps=fps, buckets=buckets
    )
