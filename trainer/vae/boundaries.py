"""Encode frames from the middle of a video, by themselves and in bounded memory.

The latent of a causal encoder depends on the frames before it, so latents of the last frames of a video tell
what came before. A model that is to invent those frames must not be trained on such latents: at inference the
given frames are all there is. `encode_given` encodes them for both.

Legend: B clips, C channels, T frames or latent frames, H height, W width.
"""

from itertools import pairwise

import torch
from torch import Tensor

from trainer.vae.model import Cache, StillCache, VideoVae


def encode_given(vae: VideoVae, frames_BCTHW: Tensor) -> Tensor:
    """Encode frames that are given at the end or in the middle of a video, without the frames before them.

    The encoder first sees the first of them standing still for ever; that latent is discarded. Each latent
    holds `time_factor` frames, as in the middle of a video; the first latent of a video holds one frame.

    Args:
        frames_BCTHW: k * time_factor frames in [-1, 1].

    Returns k normalized latents. Raises ValueError for another number of frames.
    """
    cache = StillCache()
    vae.encode(frames_BCTHW[:, :, :1], cache)
    return vae.encode(frames_BCTHW, cache)


def encode_in_chunks(vae: VideoVae, frames_BCTHW: Tensor, max_bytes: int) -> Tensor:
    """Return `vae.encode(frames_BCTHW)`, computed on chunks of at most `max_bytes` of pixels.

    A chunk has at least `time_factor` frames.
    """
    frames, step = frames_BCTHW.shape[2], vae.config.time_factor
    chunk = step * max(1, max_bytes * frames // (step * frames_BCTHW.nbytes))
    if 1 + chunk >= frames:
        return vae.encode(frames_BCTHW)
    starts = [0, *range(1 + chunk, frames, chunk), frames]
    cache: Cache = {}
    return torch.cat([vae.encode(frames_BCTHW[:, :, a:b], cache) for a, b in pairwise(starts)], dim=2)
