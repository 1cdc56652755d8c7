"""Encode frames from the middle of a video, by themselves and in bounded memory.

The latent of a causal encoder depends on the frames before it, so latents of the last frames of a video tell
what came before. A model that is to invent those frames must not be trained on such latents: at inference the
given frames are all there is. `encode_given` encodes them for both.

Legend: B clips, C channels, T frames or latent frames, H height, W width.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from trainer.vae.model import RepeatCache, VideoVae
from trainer.vae.streaming import encode_stream


def encode_given(vae: VideoVae, frames_BCTHW: Tensor) -> Tensor:
    """Encode frames that are given at the end or in the middle of a video, without the frames before them.

    The warm-up context is their first `time_factor` frames, repeated for ever, and is discarded. Each latent
    holds `time_factor` frames, as in the middle of a video; the first latent of a video holds one frame.

    Args:
        frames_BCTHW: k * time_factor frames in [-1, 1].

    Returns k normalized latents. Raises ValueError for another number of frames.
    """
    return vae.encode(frames_BCTHW, RepeatCache())


def encode_with_suffixes(
    vae: VideoVae, frames_BCTHW: Tensor, suffixes: Sequence[int], max_bytes: int
) -> dict[int, Tensor]:
    """Return the latents of a clip, and of its last frames as given, which share the first convolution.

    Args:
        suffixes: latent frames of each result: 0 for the whole clip, else the last ones by `encode_given`.
        max_bytes: pixels of more bytes are encoded in chunks of time, without sharing.
    """
    factor = vae.config.time_factor
    if frames_BCTHW.nbytes <= max_bytes:
        x = vae.embed_patches(frames_BCTHW)
        each = vae.config.fine_frames
        return {
            suffix: vae.encode_patches(x[:, :, -suffix * each :], RepeatCache())
            if suffix
            else vae.encode_patches(x)
            for suffix in suffixes
        }
    return {
        suffix: encode_given(vae, frames_BCTHW[:, :, -suffix * factor :])
        if suffix
        else encode_in_chunks(vae, frames_BCTHW, max_bytes)
        for suffix in suffixes
    }


def encode_in_chunks(vae: VideoVae, frames_BCTHW: Tensor, max_bytes: int) -> Tensor:
    """Return `vae.encode(frames_BCTHW)`, computed on chunks of at most `max_bytes` of pixels.

    A chunk has at least `time_factor` frames.
    """
    if frames_BCTHW.nbytes <= max_bytes:
        return vae.encode(frames_BCTHW)
    return torch.cat([*encode_stream(vae, [frames_BCTHW], max_bytes)], dim=2)
