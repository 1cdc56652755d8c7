"""Encode and decode video of any length in bounded memory; the result equals one pass.

The networks see a chunk of time and, through their cache, the last inputs of each convolution before it.

Legend: B clips, C channels, T frames or latent frames, H height, W width.
"""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from trainer.vae.model import Cache, VideoVae


def decode_stream(
    vae: VideoVae, latent_BCTHW: Tensor, max_bytes: int, *, loop: bool = False
) -> Iterator[Tensor]:
    """Yield frames_BCTHW in [-1, 1] of normalized latents, in chunks of at most `max_bytes` of pixels.

    A chunk has at least the frames of one latent.

    Args:
        loop: the last latents are seen before the first, as far as the decoder depends on them, so that
            rotating the latents rotates the frames; every latent holds `time_factor` frames.
    """
    latents = latent_BCTHW.shape[2]
    size = chunk_latents(vae, latent_BCTHW, max_bytes)
    cache: Cache = {}
    if loop:
        history = vae.config.decoder_history
        warm_up = [t % latents for t in range(-history, 0)]
        for start in range(0, history, size):
            vae.decode(latent_BCTHW[:, :, warm_up[start : start + size]], cache)
    for start in range(0, latents, size):
        yield vae.decode(latent_BCTHW[:, :, start : start + size], cache)


def decode_loop(vae: VideoVae, latent_BCTHW: Tensor, max_bytes: int) -> Tensor:
    """Return frames_BCTHW in [-1, 1] of the latents of a loop, `time_factor` frames of each."""
    return torch.cat([*decode_stream(vae, latent_BCTHW, max_bytes, loop=True)], dim=2)


def encode_stream(
    vae: VideoVae, chunks_BCTHW: Iterable[Tensor], max_bytes: int, cache: Cache | None = None
) -> Iterator[Tensor]:
    """Yield normalized latents of a video that comes in chunks of frames in [-1, 1], of any lengths.

    The encoder sees at most `max_bytes` of pixels at a time, or `time_factor` frames where they are more.

    Args:
        cache: a `RepeatCache` for frames from the middle of a video; by default the video begins.

    Raises ValueError where frames are left over that fill no latent.
    """
    factor = vae.config.time_factor
    cache = {} if cache is None else cache
    waiting: Tensor | None = None
    for chunk_BCTHW in chunks_BCTHW:
        frames = chunk_BCTHW if waiting is None else torch.cat([waiting, chunk_BCTHW], dim=2)
        frame_bytes = 4 * frames[:, :, :1].numel()
        size = factor * max(1, max_bytes // (factor * frame_bytes))
        start = 0
        if not cache and frames.shape[2]:
            start = 1
            yield vae.encode(frames[:, :, :1], cache)
        while (count := min(size, (frames.shape[2] - start) // factor * factor)) > 0:
            yield vae.encode(frames[:, :, start : start + count], cache)
            start += count
        waiting = frames[:, :, start:].clone()
    left = 0 if waiting is None else waiting.shape[2]
    if left:
        raise ValueError(
            f"the last {left} frames fill no latent of {factor} frames: give 1 + {factor}k frames, or "
            f"{factor}k from the middle of a video"
        )


def chunk_latents(vae: VideoVae, latent_BCTHW: Tensor, max_bytes: int) -> int:
    """Return how many latents are decoded together."""
    batch, _, _, height, width = latent_BCTHW.shape
    frame_bytes = 4 * 3 * batch * height * width * vae.config.space_factor**2
    return max(1, max_bytes // (vae.config.time_factor * frame_bytes))
