"""A causal video compression network: 1 + 4k frames to 1 + k latent frames, 8x smaller in height and width.

Space and time are folded into channels before the first convolution, so that every convolution runs at
the latent frame rate and at most a quarter of the size: the folding of LTX-Video (Hacohen et al. 2024,
arXiv 2501.00103) with the causal padding of MAGVIT-v2 (Yu et al. 2023, arXiv 2310.05737).

Legend: B clips, C channels, T frames or latent frames, H height, W width; t and s, the folding factors.
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainer.config import VaeConfig

Cache = dict[nn.Module, Tensor]
"""What each convolution saw last, for one stream: long video in pieces equals one pass."""


class CausalConv3d(nn.Module):
    """A convolution that sees the present and the past. Before the first frame there are zeros.

    The weight is kept as a matrix, which is what the Muon optimizer works on.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel: tuple[int, int, int]) -> None:
        super().__init__()
        self.kernel, self.history = kernel, kernel[0] - 1
        fan_in = in_channels * math.prod(kernel)
        self.weight = nn.Parameter(torch.randn(out_channels, fan_in) / fan_in**0.5)
        self.bias = nn.Parameter(torch.zeros(out_channels))

    def forward(self, x: Tensor, cache: Cache | None = None) -> Tensor:
        if self.history:
            past = None if cache is None else cache.get(self)
            if past is None:
                past = x.new_zeros(*x.shape[:2], self.history, *x.shape[3:])
            x = torch.cat([past, x], dim=2)
            if cache is not None:
                cache[self] = x[:, :, -self.history :]
        weight = self.weight.unflatten(1, (*self.kernel, -1)).movedim(-1, 1)  # channels last in memory
        padding = (0, self.kernel[1] // 2, self.kernel[2] // 2)
        return F.conv3d(
            x.contiguous(memory_format=torch.channels_last_3d), weight, self.bias, padding=padding
        )


class ChannelNorm(nn.LayerNorm):
    """Layer normalisation over the channels of each position, so that no statistic crosses time."""

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input.movedim(1, -1)).movedim(-1, 1)


class Block(nn.Module):
    """A convolution over space, then one over time, around a skip."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList([ChannelNorm(width), ChannelNorm(width)])
        self.space = CausalConv3d(width, width, (1, 3, 3))
        self.time = CausalConv3d(width, width, (3, 1, 1))
        nn.init.zeros_(self.time.weight)

    def forward(self, x: Tensor, cache: Cache | None = None) -> Tensor:
        h = self.space(F.silu(self.norms[0](x)))
        return x + self.time(F.silu(self.norms[1](h)), cache)


def fold(x_BCTHW: Tensor, t: int, s: int) -> Tensor:
    """Move t frames and s x s neighbours into channels."""
    b, c, frames, height, width = x_BCTHW.shape
    x = x_BCTHW.reshape(b, c, frames // t, t, height // s, s, width // s, s)
    return x.permute(0, 3, 5, 7, 1, 2, 4, 6).reshape(b, -1, frames // t, height // s, width // s)


def unfold(x_BCTHW: Tensor, t: int, s: int) -> Tensor:
    """Undo `fold`."""
    b, c, frames, height, width = x_BCTHW.shape
    x = x_BCTHW.reshape(b, t, s, s, c // (t * s * s), frames, height, width)
    return x.permute(0, 4, 5, 1, 6, 2, 7, 3).reshape(b, -1, frames * t, height * s, width * s)


class Encoded(NamedTuple):
    """A Gaussian for each latent value."""

    mean_BCTHW: Tensor
    log_variance_BCTHW: Tensor


class VideoVae(nn.Module):
    """Encoder and decoder, with the latents' statistics as weights."""

    latent_mean_C: Tensor
    latent_spread_CC: Tensor
    """Turns latents of unit variance on average, less correlated than raw ones, to raw ones."""

    def __init__(self, config: VaeConfig) -> None:
        super().__init__()
        self.config = config
        fine, coarse = config.widths
        pixels = 3 * config.time_factor * config.patch**2
        self.stem = CausalConv3d(pixels, fine, (1, 3, 3))
        self.encoder_fine = nn.ModuleList(Block(fine) for _ in range(config.encoder_depths[0]))
        self.shrink = CausalConv3d(4 * fine, coarse, (1, 1, 1))
        self.encoder_coarse = nn.ModuleList(Block(coarse) for _ in range(config.encoder_depths[1]))
        self.to_latent = CausalConv3d(coarse, 2 * config.latent_channels, (1, 1, 1))
        self.from_latent = CausalConv3d(config.latent_channels, coarse, (3, 3, 3))
        self.decoder_coarse = nn.ModuleList(Block(coarse) for _ in range(config.decoder_depths[0]))
        self.grow = CausalConv3d(coarse, 4 * fine, (1, 1, 1))
        self.decoder_fine = nn.ModuleList(Block(fine) for _ in range(config.decoder_depths[1]))
        self.head = nn.Sequential(ChannelNorm(fine), nn.SiLU(), CausalConv3d(fine, pixels, (1, 3, 3)))
        self.register_buffer("latent_mean_C", torch.zeros(config.latent_channels))
        self.register_buffer("latent_spread_CC", torch.eye(config.latent_channels))

    def distribution(self, frames_BCTHW: Tensor, cache: Cache | None = None) -> Encoded:
        """Encode pixels in [-1, 1] to the distribution of raw latents.

        With a `cache` that has seen earlier frames, T must be a multiple of 4; else 1 + 4k.
        """
        started = bool(cache)
        check_frames(frames_BCTHW, self.config, started=started)
        if not started:
            first = frames_BCTHW[:, :, :1].expand(-1, -1, self.config.time_factor - 1, -1, -1)
            frames_BCTHW = torch.cat([first, frames_BCTHW], dim=2)
        x = self.stem(fold(frames_BCTHW, self.config.time_factor, self.config.patch))
        for block in self.encoder_fine:
            x = block(x, cache)
        x = self.shrink(fold(x, 1, 2))
        for block in self.encoder_coarse:
            x = block(x, cache)
        mean, log_variance = self.to_latent(x).float().chunk(2, dim=1)
        return Encoded(mean, log_variance.clamp(-12, 4))

    def pixels(self, raw_BCTHW: Tensor, cache: Cache | None = None) -> Tensor:
        """Decode raw latents to pixels in about [-1, 1]."""
        started = bool(cache)
        x = self.from_latent(raw_BCTHW, cache)
        for block in self.decoder_coarse:
            x = block(x, cache)
        x = unfold(self.grow(x), 1, 2)
        for block in self.decoder_fine:
            x = block(x, cache)
        frames = unfold(self.head(x).float(), self.config.time_factor, self.config.patch)
        return frames if started else frames[:, :, self.config.time_factor - 1 :]

    def encode(self, frames_BCTHW: Tensor, cache: Cache | None = None) -> Tensor:
        """Encode pixels in [-1, 1] to latents of zero mean, unit variance on average, and little correlation.

        Without the last, the colour of the background alone was most of the variance of all channels, and
        noise hid shape and motion long before it.
        """
        centred_BCTHW = self.distribution(frames_BCTHW, cache).mean_BCTHW - per_channel(self.latent_mean_C)
        return mixed_channels(torch.linalg.inv(self.latent_spread_CC), centred_BCTHW)

    def decode(self, latent_BCTHW: Tensor, cache: Cache | None = None) -> Tensor:
        """Decode normalised latents to pixels in [-1, 1]."""
        raw_BCTHW = mixed_channels(self.latent_spread_CC, latent_BCTHW) + per_channel(self.latent_mean_C)
        return self.pixels(raw_BCTHW, cache).clamp(-1, 1)

    def latent_shape(self, num_frames: int, height: int, width: int) -> tuple[int, int, int, int]:
        """Return (C, T, H, W) of the latents of a clip."""
        factor = 2 * self.config.patch
        frames = 1 + (num_frames - 1) // self.config.time_factor
        return self.config.latent_channels, frames, height // factor, width // factor


def per_channel(value_C: Tensor) -> Tensor:
    return value_C[:, None, None, None]


def mixed_channels(matrix_CC: Tensor, x_BCTHW: Tensor) -> Tensor:
    """Multiply the channels of each position by a matrix, in full precision."""
    with torch.autocast(x_BCTHW.device.type, enabled=False):
        return torch.einsum("kc,bcthw->bkthw", matrix_CC, x_BCTHW.float())


def check_frames(frames_BCTHW: Tensor, config: VaeConfig, *, started: bool) -> None:
    """Raise ValueError for a clip that does not divide into latents."""
    *_, frames, height, width = frames_BCTHW.shape
    lead, factor = (0 if started else 1), 2 * config.patch
    if frames < 1 or (frames - lead) % config.time_factor or height % factor or width % factor:
        rule = (
            f"{'' if started else '1 + '}{config.time_factor}k frames, height and width multiples of {factor}"
        )
        raise ValueError(
            f"a clip of {frames} frames of {width}x{height} does not divide into latents: need {rule}"
        )
