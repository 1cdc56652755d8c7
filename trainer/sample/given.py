"""Given frames: check them, choose those that the model sees, and encode them in chunks of bounded size.

Legend: C channels, T frames or latent frames, H height, W width.
"""

import numpy as np
import torch
from torch import Tensor

from trainer.pixels import to_pixels
from trainer.sample.frames import frames_in, nearest_length
from trainer.sample.model import TextToVideo
from trainer.sample.windows import MIN_WINDOW, default_overlap
from trainer.vae.model import Cache, RepeatCache
from trainer.vae.streaming import encode_stream

CHUNK_BYTES = 1 << 26
"""Pixels (float32) that go through the encoder together."""


def encode_start(model: TextToVideo, frames_THWC: np.ndarray) -> Tensor:
    """Return latent_CTHW of 1 + k * time_factor frames (uint8) as the start of a video."""
    return _encode(model, frames_THWC, {})


def encode_middle(model: TextToVideo, frames_THWC: np.ndarray) -> Tensor:
    """Return latent_CTHW of k * time_factor frames (uint8) that are given without those before them.

    Equals `trainer.vae.boundaries.encode_given`.
    """
    return _encode(model, frames_THWC, RepeatCache())


def context_latents(model: TextToVideo, new: int, sides: int = 1) -> int | None:
    """Return how many given latent frames on a side the model sees beside `new` ones; None for all."""
    if model.window is None:
        return None
    window = max(MIN_WINDOW, model.window)
    return max(default_overlap(window), (window - new) // sides)


def tail_as_start(model: TextToVideo, video_THWC: np.ndarray, most: int | None) -> tuple[Tensor, int]:
    """Return latents of the last frames as the start of a video, and the number of frames before them."""
    factor = model.vae.config.time_factor
    groups = (len(video_THWC) - 1) // factor
    used = frames_in(1 + groups if most is None else min(most, 1 + groups), factor)
    return encode_start(model, video_THWC[-used:]), len(video_THWC) - used


def head_as_middle(model: TextToVideo, video_THWC: np.ndarray, most: int | None) -> tuple[Tensor, int]:
    """Return latents of the first frames without those before them, and the number of frames after them."""
    factor = model.vae.config.time_factor
    groups = len(video_THWC) // factor
    if not groups:
        raise ValueError(
            f"too few frames to come after new ones ({len(video_THWC)}): give {factor} or more, or a frame "
            "as an image"
        )
    used = factor * (groups if most is None else min(most, groups))
    return encode_middle(model, video_THWC[:used]), len(video_THWC) - used


def with_new(head_CTHW: Tensor, new: int, tail_CTHW: Tensor) -> tuple[Tensor, Tensor]:
    """Return latent_CTHW and level_T with `new` latent frames between given ones."""
    channels, before, height, width = head_CTHW.shape
    latent_CTHW = torch.cat([head_CTHW, torch.zeros(channels, new, height, width), tail_CTHW], dim=1)
    level_T = torch.zeros(latent_CTHW.shape[1])
    level_T[before : before + new] = 1
    return latent_CTHW, level_T


def check_video(model: TextToVideo, video_THWC: np.ndarray) -> None:
    """Raise ValueError for frames that the model cannot read."""
    height, width = video_THWC.shape[1:3]
    check_frames(video_THWC, (height, width))
    factor = model.vae.config.time_factor
    model.latent_shape(nearest_length(len(video_THWC), factor), height, width)


def check_frames(frames_THWC: np.ndarray, size: tuple[int, int]) -> None:
    """Raise ValueError for frames that are not RGB (uint8) of one size (height, width)."""
    shape = [*frames_THWC.shape]
    if len(shape) != 4 or not shape[0] or shape[3] != 3 or frames_THWC.dtype != np.uint8:
        raise ValueError(
            f"frames of shape {shape} and type {frames_THWC.dtype}: must be RGB, uint8, one or more"
        )
    if (shape[1], shape[2]) != size:
        raise ValueError(
            f"frames of {shape[2]}x{shape[1]} beside others of {size[1]}x{size[0]}: resize them to one size"
        )


@torch.inference_mode()
def _encode(model: TextToVideo, frames_THWC: np.ndarray, cache: Cache) -> Tensor:
    """Return latent_CTHW on the CPU, with a bounded number of pixels on the device."""
    device = model.device
    size = max(1, CHUNK_BYTES // (4 * int(np.prod(frames_THWC.shape[1:]))))
    chunks = (
        to_pixels(torch.from_numpy(np.ascontiguousarray(frames_THWC[None, start : start + size])).to(device))
        for start in range(0, len(frames_THWC), size)
    )
    with model.on_device(model.vae):
        latents = [x_BCTHW[0].cpu() for x_BCTHW in encode_stream(model.vae, chunks, CHUNK_BYTES, cache)]
    return torch.cat(latents, dim=1)
