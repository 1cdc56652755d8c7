"""Decode latents to frames, streamed in chunks of bounded size.

Legend: B videos, C channels, T frames or latent frames, H height, W width.
"""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from trainer.pixels import to_frames, to_pixels
from trainer.precision import Dtype, autocast
from trainer.sample.conditions import Conditions
from trainer.sample.model import TextToVideo
from trainer.vae.model import VideoVae
from trainer.vae.streaming import decode_stream, encode_stream

CHUNK_BYTES = 1 << 25
"""Pixels (float32) that leave the decoder together."""


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
    """Yield the frames of a result in chunks of frames_THWC (uint8), with the kept pixels in their places."""
    num_frames = conditions.num_frames(model.vae.config.time_factor)
    height, width = (side * model.vae.config.space_factor for side in latent_CTHW.shape[2:])
    shape = (height, width, 3)
    start = 0
    for chunk_THWC in _chunks(model, conditions, latent_CTHW, shape, chunk_bytes):
        chunk_THWC = chunk_THWC[: num_frames - start]
        _put_kept(conditions, chunk_THWC, start)
        start += len(chunk_THWC)
        yield chunk_THWC


def _chunks(
    model: TextToVideo,
    conditions: Conditions,
    latent_CTHW: Tensor,
    shape: tuple[int, int, int],
    chunk_bytes: int,
) -> Iterator[np.ndarray]:
    size = max(1, chunk_bytes // (4 * int(np.prod(shape))))
    for number in range(0, conditions.frames_before, size):
        yield np.empty((min(size, conditions.frames_before - number), *shape), np.uint8)
    yield from decode(model, latent_CTHW, loop=conditions.loop, chunk_bytes=chunk_bytes)
    for number in range(0, conditions.frames_after, size):
        yield np.empty((min(size, conditions.frames_after - number), *shape), np.uint8)


def _put_kept(conditions: Conditions, chunk_THWC: np.ndarray, start: int) -> None:
    """Replace the kept pixels of a chunk that begins at frame `start` of the result."""
    for first, frames_THWC in conditions.kept:
        begin, end = max(first, start), min(first + len(frames_THWC), start + len(chunk_THWC))
        if begin < end:
            chunk_THWC[begin - start : end - start] = frames_THWC[begin - first : end - first]


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
