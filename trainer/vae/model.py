"""A causal video VAE: 1 + k * time_factor frames to 1 + k latent frames, height and width / space_factor.

Space and time move into channels before the first convolution, as in LTX-Video (Hacohen et al. 2024,
arXiv 2501.00103), so that every convolution runs at the latent frame rate and 1/patch of the frame. Causal
padding as in MAGVIT-v2 (Yu et al. 2023, arXiv 2310.05737).

Legend: B clips, C channels, T frames or latent frames, H height, W width; t, s factors in time and space.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainer.config import VaeConfig

Cache = dict[nn.Module, Tensor]
"""Last inputs of each convolution, so that a video streamed in chunks equals one pass."""


class RepeatCache(Cache):
    """A cache in the middle of a video that repeated the first latent frame's frames for ever before.

    What each convolution saw is then its own first input.
    """

    def __bool__(self) -> bool:
        return True


class CausalConv3d(nn.Module):
    """A 3D convolution, causal in time: zero-padded before the first frame.

    The weight is stored as a matrix, for Muon.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel: tuple[int, int, int]) -> None:
        super().__init__()
        self.kernel, self.history = kernel, kernel[0] - 1
        fan_in = in_channels * math.prod(kernel)
        self.weight = nn.Parameter(torch.randn(out_channels, fan_in) / fan_in**0.5)
        self.bias = nn.Parameter(torch.zeros(out_channels))

    def forward(self, x: Tensor, cache: Cache | None = None) -> Tensor:
        if self.history:
            x = self._with_past(x, cache)
        weight = self.weight.unflatten(1, (*self.kernel, -1)).movedim(-1, 1)  # channels last in memory
        padding = (0, self.kernel[1] // 2, self.kernel[2] // 2)
        return F.conv3d(
            x.contiguous(memory_format=torch.channels_last_3d), weight, self.bias, padding=padding
        )

    def _with_past(self, x: Tensor, cache: Cache | None) -> Tensor:
        """Put the inputs before `x` in front of it, and keep a copy of the last ones."""
        x_BTHWC = x.movedim(1, -1)
        past = None if cache is None else cache.get(self)
        if past is None:
            first = x_BTHWC[:, :1].expand(-1, self.history, -1, -1, -1)
            past = first if isinstance(cache, RepeatCache) else torch.zeros_like(first)
        x_BTHWC = torch.cat([past, x_BTHWC], dim=1)
        if cache is not None:
            cache[self] = x_BTHWC[:, -self.history :].clone()  # a view keeps the whole chunk alive
        return x_BTHWC.movedim(-1, 1)


class ChannelNorm(nn.LayerNorm):
    """Layer normalization over the channels of each position, so that no statistic crosses time."""

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input.movedim(1, -1)).movedim(-1, 1)


class ResBlock(nn.Module):
    """A spatial and a temporal convolution with a residual connection."""

    def __init__(self, width: int, time_kernel: int = 3) -> None:
        super().__init__()
        self.norms = nn.ModuleList([ChannelNorm(width), ChannelNorm(width)])
        self.spatial_conv = CausalConv3d(width, width, (1, 3, 3))
        self.temporal_conv = CausalConv3d(width, width, (time_kernel, 1, 1))
        nn.init.zeros_(self.temporal_conv.weight)

    def forward(self, x: Tensor, cache: Cache | None = None) -> Tensor:
        h = self.spatial_conv(F.silu(self.norms[0](x)))
        return x + self.temporal_conv(F.silu(self.norms[1](h)), cache)


def space_to_depth(x_BCTHW: Tensor, t: int, s: int) -> Tensor:
    """Move t frames and s x s pixels into channels."""
    b, c, frames, height, width = x_BCTHW.shape
    x = x_BCTHW.reshape(b, c, frames // t, t, height // s, s, width // s, s)
    x_BTHWC = x.permute(0, 2, 4, 6, 3, 5, 7, 1).reshape(b, frames // t, height // s, width // s, -1)
    return x_BTHWC.movedim(-1, 1)  # channels last in memory, as the convolutions read


def depth_to_space(x_BCTHW: Tensor, t: int, s: int) -> Tensor:
    """Invert `space_to_depth`."""
    b, c, frames, height, width = x_BCTHW.shape
    x = x_BCTHW.movedim(1, -1).reshape(b, frames, height, width, t, s, s, c // (t * s * s))
    x_BTHWC = x.permute(0, 1, 4, 2, 5, 3, 6, 7).reshape(b, frames * t, height * s, width * s, -1)
    return x_BTHWC.movedim(-1, 1)


class DiagonalGaussian(NamedTuple):
    """The posterior over raw latents."""

    mean_BCTHW: Tensor
    logvar_BCTHW: Tensor


class VideoVae(nn.Module):
    """Encoder, decoder, and the statistics that normalize latents."""

    latent_mean_C: Tensor
    latent_scale_CC: Tensor
    """Maps normalized latents to centred raw ones."""

    def __init__(self, config: VaeConfig) -> None:
        super().__init__()
        self.config = config
        fine, coarse = config.widths
        merged, kernel = 4 * config.fine_frames * fine, config.encoder_time_kernel
        self.time_patch = config.time_factor // config.fine_frames
        pixels = 3 * self.time_patch * config.patch**2
        self.conv_in = CausalConv3d(pixels, fine, (1, 3, 3))
        self.encoder_fine = nn.ModuleList(ResBlock(fine, kernel) for _ in range(config.encoder_depths[0]))
        self.downsample = CausalConv3d(merged, coarse, (1, 1, 1))
        self.encoder_coarse = nn.ModuleList(ResBlock(coarse, kernel) for _ in range(config.encoder_depths[1]))
        self.to_latent = CausalConv3d(coarse, 2 * config.latent_channels, (1, 1, 1))
        self.from_latent = CausalConv3d(config.latent_channels, coarse, (3, 3, 3))
        self.decoder_coarse = nn.ModuleList(ResBlock(coarse) for _ in range(config.decoder_depths[0]))
        self.upsample = CausalConv3d(coarse, merged, (1, 1, 1))
        self.decoder_fine = nn.ModuleList(ResBlock(fine) for _ in range(config.decoder_depths[1]))
        self.conv_out = nn.Sequential(ChannelNorm(fine), nn.SiLU(), CausalConv3d(fine, pixels, (1, 3, 3)))
        self.register_buffer("latent_mean_C", torch.zeros(config.latent_channels))
        self.register_buffer("latent_scale_CC", torch.eye(config.latent_channels))

    def encoder_parameters(self) -> Iterator[nn.Parameter]:
        """Yield the weights that latents depend on."""
        for layer in (self.conv_in, self.encoder_fine, self.downsample, self.encoder_coarse, self.to_latent):
            yield from layer.parameters()

    def posterior(self, frames_BCTHW: Tensor, cache: Cache | None = None) -> DiagonalGaussian:
        """Encode pixels in [-1, 1] to the posterior over raw latents.

        T is 1 + k * time_factor, or k * time_factor with a `cache` of earlier frames; else raises ValueError.
        """
        return self.posterior_of_patches(self.embed_patches(frames_BCTHW, cache), cache)

    def embed_patches(self, frames_BCTHW: Tensor, cache: Cache | None = None) -> Tensor:
        """Return the input of the encoder's blocks, which mixes no latent frames: the first convolution."""
        started = bool(cache)
        check_frames(frames_BCTHW, self.config, started=started)
        if not started:
            first = frames_BCTHW[:, :, :1].expand(-1, -1, self.config.time_factor - 1, -1, -1)
            frames_BCTHW = torch.cat([first, frames_BCTHW], dim=2)
            if cache is not None:
                cache[self] = first.new_empty(0)  # an encoder without temporal layers keeps nothing else
        return self.conv_in(space_to_depth(frames_BCTHW, self.time_patch, self.config.patch))

    def posterior_of_patches(self, x: Tensor, cache: Cache | None = None) -> DiagonalGaussian:
        """Return the posterior for what `embed_patches` returned."""
        for block in self.encoder_fine:
            x = block(x, cache)
        x = self.downsample(space_to_depth(x, self.config.fine_frames, 2))
        for block in self.encoder_coarse:
            x = block(x, cache)
        mean, logvar = self.to_latent(x).float().chunk(2, dim=1)
        return DiagonalGaussian(mean, logvar.clamp(-12, 4))

    def decode_raw(self, raw_BCTHW: Tensor, cache: Cache | None = None) -> Tensor:
        """Decode raw latents to pixels in about [-1, 1]."""
        started = bool(cache)
        x = self.from_latent(raw_BCTHW, cache)
        for block in self.decoder_coarse:
            x = block(x, cache)
        x = depth_to_space(self.upsample(x), self.config.fine_frames, 2)
        for block in self.decoder_fine:
            x = block(x, cache)
        frames = depth_to_space(self.conv_out(x).float(), self.time_patch, self.config.patch)
        return frames if started else frames[:, :, self.config.time_factor - 1 :]

    def encode(self, frames_BCTHW: Tensor, cache: Cache | None = None) -> Tensor:
        """Encode pixels in [-1, 1] to normalized latents: zero mean, unit variance on average."""
        return self.encode_patches(self.embed_patches(frames_BCTHW, cache), cache)

    def encode_patches(self, x: Tensor, cache: Cache | None = None) -> Tensor:
        """Return the normalized latents for what `embed_patches` returned."""
        centered_BCTHW = self.posterior_of_patches(x, cache).mean_BCTHW - per_channel(self.latent_mean_C)
        return matmul_channels(torch.linalg.inv(self.latent_scale_CC), centered_BCTHW)

    def decode(self, latent_BCTHW: Tensor, cache: Cache | None = None) -> Tensor:
        """Decode normalized latents to pixels in [-1, 1]."""
        raw_BCTHW = matmul_channels(self.latent_scale_CC, latent_BCTHW) + per_channel(self.latent_mean_C)
        return self.decode_raw(raw_BCTHW, cache).clamp(-1, 1)

    def latent_shape(self, num_frames: int, height: int, width: int) -> tuple[int, int, int, int]:
        """Return (C, T, H, W) of a clip's latents."""
        return self.config.latent_shape(num_frames, height, width)


def per_channel(value_C: Tensor) -> Tensor:
    return value_C[:, None, None, None]


def matmul_channels(matrix_CC: Tensor, x_BCTHW: Tensor) -> Tensor:
    """Multiply the channels of each position by a matrix, in float32."""
    with torch.autocast(x_BCTHW.device.type, enabled=False):
        return torch.einsum("kc,bcthw->bkthw", matrix_CC, x_BCTHW.float())


def check_frames(frames_BCTHW: Tensor, config: VaeConfig, *, started: bool) -> None:
    """Raise ValueError for a clip whose size does not divide into latents."""
    *_, frames, height, width = frames_BCTHW.shape
    lead, factor = (0 if started else 1), config.space_factor
    if frames < 1 or (frames - lead) % config.time_factor or height % factor or width % factor:
        rule = (
            f"{'' if started else '1 + '}{config.time_factor}k frames, height and width multiples of {factor}"
        )
        raise ValueError(
            f"a clip of {frames} frames of {width}x{height} does not divide into latents: need {rule}"
        )
