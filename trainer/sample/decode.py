"""Decode latents to frames, streamed in chunks of bounded size.

Legend: B videos, C channels, T frames or latent frames, H height, W width.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from trainer.pixels import to_frames, to_pixels
from trainer.precision import Dtype, autocast
from trainer.sample.conditions import Conditions, Kept
from trainer.sample.joins import put_kept
from trainer.sample.model import TextToVideo
from trainer.vae.model import VideoVae
from trainer.vae.streaming import decode_stream, encode_stream

CHUNK_BYTES = 1 << 25
"""Pixels (float32) that leave the decoder together."""
FADE_S = 1.0
"""Seconds after a join in which new frames take on less and less of what the kept frame beside them had."""


def decode(
    model: TextToVideo, latent_CTHW: Tensor, *, loop: bool = False, chunk_bytes: int = CHUNK_BYTES
) -> Iterator[np.ndarray]:
    """Yield the frames of a video in chunks of frames_THWC (uint8).

    The decoder sees the latents in their order, with its cache. In a loop it sees the last ones before the
    first, so that rotating the latents rotates the frames.
    """
    latent_BCTHW = latent_CTHW[None].to(model.device)
    chunks = decode_stream(model.vae, latent_BCTHW, chunk_bytes, loop=loop)
    with model.on_device(model.vae):
        while True:
            with torch.inference_mode(), autocast(model.device, model.dtype):
                chunk_BCTHW = next(chunks, None)
            if chunk_BCTHW is None:
                return
            yield to_frames(chunk_BCTHW)[0].cpu().numpy()


def decode_result(
    model: TextToVideo, conditions: Conditions, latent_CTHW: Tensor, *, chunk_bytes: int = CHUNK_BYTES
) -> Iterator[np.ndarray]:
    """Yield the frames of a result in chunks of frames_THWC (uint8), with the kept pixels in their places.

    New frames within `FADE_S` of kept ones join them smoothly (`trainer.sample.joins`).
    """
    height, width = (side * model.vae.config.space_factor for side in latent_CTHW.shape[2:])
    chunks = _chunks(model, conditions, latent_CTHW, (height, width, 3), chunk_bytes)
    fade = round(FADE_S * model.fps)
    yield from put_kept(chunks, conditions.kept, fade=fade, loop=conditions.loop)


def with_kept(frames_THWC: np.ndarray, kept: Sequence[Kept], fps: float) -> np.ndarray:
    """Return decoded frames (uint8) with kept pixels in their places, joined as in `decode_result`."""
    return np.concatenate([*put_kept([frames_THWC], kept, fade=round(FADE_S * fps))])


def _chunks(
    model: TextToVideo,
    conditions: Conditions,
    latent_CTHW: Tensor,
    shape: tuple[int, int, int],
    chunk_bytes: int,
) -> Iterator[np.ndarray]:
    size = max(1, chunk_bytes // (4 * int(np.prod(shape))))
    left = conditions.num_frames(model.vae.config.time_factor)
    for number in range(0, conditions.frames_before, size):
        yield np.empty((min(size, conditions.frames_before - number), *shape), np.uint8)
    left -= conditions.frames_before
    for chunk_THWC in decode(model, latent_CTHW, loop=conditions.loop, chunk_bytes=chunk_bytes):
        if left > 0:
            yield chunk_THWC[:left]
        left -= len(chunk_THWC)
    for number in range(0, conditions.frames_after, size):
        yield np.empty((min(size, conditions.frames_after - number), *shape), np.uint8)


@torch.inference_mode()
def reconstruct(
    vae: VideoVae, frames_BTHWC: np.ndarray, *, batch_size: int = 16, dtype: Dtype = "auto"
) -> np.ndarray:
    """Return videos (uint8) after a round trip through the VAE: the ceiling of a score.

    A batch of more than `CHUNK_BYTES` of pixels goes through in chunks of time, if it fills its latents.
    """
    device = next(vae.parameters()).device
    reconstructed = []
    for start in range(0, len(frames_BTHWC), batch_size):
        pixels_BCTHW = to_pixels(torch.from_numpy(frames_BTHWC[start : start + batch_size]).to(device))
        with autocast(device, dtype):
            reconstructed.append(to_frames(_round_trip(vae, pixels_BCTHW)).cpu().numpy())
    return np.concatenate(reconstructed)


def _round_trip(vae: VideoVae, pixels_BCTHW: Tensor) -> Tensor:
    """Return pixels in [-1, 1] after the VAE, in bounded memory where they fill their latents."""
    whole = (pixels_BCTHW.shape[2] - 1) % vae.config.time_factor == 0
    if not whole or pixels_BCTHW.nbytes <= CHUNK_BYTES:
        return vae.decode(vae.encode(pixels_BCTHW))
    latent_BCTHW = torch.cat([*encode_stream(vae, [pixels_BCTHW], CHUNK_BYTES)], dim=2)
    return torch.cat([*decode_stream(vae, latent_BCTHW, CHUNK_BYTES)], dim=2)
