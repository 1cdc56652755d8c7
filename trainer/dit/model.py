"""A diffusion transformer over spacetime patches of latents of any shape.

DiT with adaLN-Zero (Peebles and Xie 2022, arXiv 2212.09748), trained with rectified flow (Liu et al. 2022,
arXiv 2209.03003), with cross-attention to text, 3D rotary positions (Su et al. 2021, arXiv 2104.09864),
QK-norm (Dehghani et al. 2023, arXiv 2302.05442), and a sigma for every latent frame (Chen et al. 2024,
arXiv 2407.01392).

One forward takes a pack: groups of clips, each group of one latent shape. Linear layers run on the tokens of
the whole pack; attention runs once per group, which on a CPU is faster than one masked call.

Legend: B clips of a group, C latent channels, T latent frames, H and W latent height and width, L text
tokens, N tokens of the pack, R latent frames of the pack (rows of the modulation), D model width, E head
width, M keys, F position features.
"""

import math
from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainer.config import DitConfig


class Group(NamedTuple):
    """Clips of one latent shape, with their text."""

    latent_BCTHW: Tensor
    sigma_BT: Tensor
    """Noise level of each latent frame, from 0 (clean) to 1 (noise)."""
    text_BLD: Tensor
    """Text states, zero-padded to L."""
    text_length_B: Tensor


class Segment(NamedTuple):
    """A group's position in a pack, and its position embeddings and text mask."""

    tokens: slice
    rows: slice
    words: slice
    clips: int
    grid: tuple[int, int, int]
    """Tokens in time, height and width."""
    pos_NF: Tensor | None
    """Absolute position features of one clip's tokens."""
    rotary_NE: Tensor
    """Rotary embedding of one clip's tokens: complex, half a head wide."""
    text_rotary_LE: Tensor
    text_bias_B11L: Tensor
    """0 for words, minus infinity for padding."""


class AttentionSpan(NamedTuple):
    """Tokens of a pack that self-attention runs on, clip by clip."""

    tokens: slice
    clips: int
    rotary_NE: Tensor
    bias_B11N: Tensor | None


def attention(q_BHNE: Tensor, k_BHME: Tensor, v_BHME: Tensor, bias_B11M: Tensor | None = None) -> Tensor:
    """Return softmax attention. On a CPU, matmul and softmax are faster than SDPA (measured)."""
    bias = None if bias_B11M is None else bias_B11M.to(v_BHME.dtype)
    if q_BHNE.device.type != "cpu":
        return F.scaled_dot_product_attention(q_BHNE, k_BHME, v_BHME, attn_mask=bias)
    scores = (q_BHNE * q_BHNE.shape[-1] ** -0.5) @ k_BHME.transpose(-1, -2)
    return (scores if bias is None else scores + bias).softmax(-1) @ v_BHME


def rotary_embedding(grid: tuple[int, ...], config: DitConfig, device: torch.device | None = None) -> Tensor:
    """Return rotary_NE: per position and pair of channels, a unit complex number. Axes share the pairs."""
    pairs, axes = config.width // config.heads // 2, len(grid)
    pairs_per_axis = [pairs // axes + (1 if axis < pairs % axes else 0) for axis in range(axes)]
    positions = torch.meshgrid(*(torch.arange(size, device=device).float() for size in grid), indexing="ij")
    angles = [
        config.rope_max_angle
        * position.reshape(-1, 1)
        * config.rope_base ** -(torch.arange(count, device=device) / count)
        for position, count in zip(positions, pairs_per_axis, strict=True)
    ]
    angle_NE = torch.cat(angles, dim=1)
    return torch.polar(torch.ones_like(angle_NE), angle_NE)


def apply_rotary(x_BNHE: Tensor, rotary_NE: Tensor) -> Tensor:
    """Rotate each pair of channels by the angle of its position."""
    pairs = torch.view_as_complex(x_BNHE.float().unflatten(-1, (-1, 2)))
    return torch.view_as_real(pairs * rotary_NE[:, None]).flatten(-2)


class SelfAttention(nn.Module):
    """Self-attention within each clip, with QK-norm and rotary positions."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm_q = nn.LayerNorm(width // heads, bias=False)
        self.norm_k = nn.LayerNorm(width // heads, bias=False)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width, bias=False)

    def forward(self, x_ND: Tensor, spans: list[AttentionSpan]) -> Tensor:
        qkv_NHE = self.qkv(x_ND).unflatten(-1, (3 * self.heads, -1))
        outs = []
        for tokens, clips, rotary, bias in spans:
            q, k, v = qkv_NHE[tokens].unflatten(0, (clips, -1)).chunk(3, dim=2)
            q = apply_rotary(self.norm_q(q.float()), rotary).to(v.dtype)
            k = apply_rotary(self.norm_k(k.float()), rotary).to(v.dtype)
            out = attention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), bias)
            outs.append(out.transpose(1, 2).flatten(2).flatten(0, 1))
        return self.out(concat(outs))


class CrossAttention(nn.Module):
    """Cross-attention from the tokens of each clip to its text, with QK-norm."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm_q = nn.LayerNorm(width // heads, bias=False)
        self.norm_k = nn.LayerNorm(width // heads, bias=False)
        self.q = nn.Linear(width, width)
        self.kv = nn.Linear(width, 2 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)

    def forward(self, x_ND: Tensor, text_ND: Tensor, segments: list[Segment]) -> Tensor:
        q_NHE = self.q(x_ND).unflatten(-1, (self.heads, -1))
        kv_NHE = self.kv(text_ND).unflatten(-1, (2 * self.heads, -1))
        outs = []
        for segment in segments:
            q = self.norm_q(q_NHE[segment.tokens].unflatten(0, (segment.clips, -1)))
            k, v = kv_NHE[segment.words].unflatten(0, (segment.clips, -1)).chunk(2, dim=2)
            q, k = q.to(v.dtype).transpose(1, 2), self.norm_k(k).to(v.dtype).transpose(1, 2)
            out = attention(q, k, v.transpose(1, 2), segment.text_bias_B11L)
            outs.append(out.transpose(1, 2).flatten(2).flatten(0, 1))
        return self.out(concat(outs))


def mlp(width: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))


class DitBlock(nn.Module):
    """Self-attention, cross-attention and MLP; adaLN-Zero modulates the first and the last."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm_cross = nn.LayerNorm(width)
        self.self_attn = SelfAttention(width, heads)
        self.cross_attn = CrossAttention(width, heads)
        self.mlp = mlp(width)
        self.modulation = nn.Linear(width, 6 * width)
        nn.init.zeros_(self.modulation.weight)
        nn.init.zeros_(self.modulation.bias)
        nn.init.zeros_(self.cross_attn.out.weight)

    def forward(self, x_ND: Tensor, cond_RD: Tensor, text_ND: Tensor, segments: list[Segment]) -> Tensor:
        shift_a, scale_a, gate_a, shift_m, scale_m, gate_m = self.modulation(cond_RD).chunk(6, dim=-1)
        spans = [AttentionSpan(s.tokens, s.clips, s.rotary_NE, None) for s in segments]
        attended = self.self_attn(modulate(x_ND, shift_a, scale_a, segments), spans)
        x_ND = x_ND + gate(attended, gate_a, segments)
        x_ND = x_ND + self.cross_attn(self.norm_cross(x_ND), text_ND, segments)
        return x_ND + gate(self.mlp(modulate(x_ND, shift_m, scale_m, segments)), gate_m, segments)


def modulate(x_ND: Tensor, shift_RD: Tensor, scale_RD: Tensor, segments: list[Segment]) -> Tensor:
    """Normalize each token, then scale and shift it by the modulation of its latent frame."""
    x_ND = F.layer_norm(x_ND, x_ND.shape[-1:])
    outs = [
        torch.addcmul(shift_RD[s.rows, None], by_frame(x_ND, s), 1 + scale_RD[s.rows, None]).flatten(0, 1)
        for s in segments
    ]
    return concat(outs)


def gate(x_ND: Tensor, gate_RD: Tensor, segments: list[Segment]) -> Tensor:
    """Multiply each token by the gate of its latent frame."""
    return concat([(by_frame(x_ND, s) * gate_RD[s.rows, None]).flatten(0, 1) for s in segments])


def by_frame(x_ND: Tensor, segment: Segment) -> Tensor:
    """View a group's tokens as (latent frames of the group, tokens of a frame, D)."""
    return x_ND[segment.tokens].unflatten(0, (segment.clips * segment.grid[0], -1))


def concat(tensors: list[Tensor]) -> Tensor:
    return tensors[0] if len(tensors) == 1 else torch.cat(tensors)


class TextRefiner(nn.Module):
    """Transformer layers with rotary positions over the frozen text states."""

    def __init__(self, text_width: int, width: int, heads: int, depth: int) -> None:
        super().__init__()
        self.proj_in = nn.Linear(text_width, width)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2 * depth + 1))
        self.self_attns = nn.ModuleList(SelfAttention(width, heads) for _ in range(depth))
        self.mlps = nn.ModuleList(mlp(width) for _ in range(depth))

    def forward(self, text_ND: Tensor, segments: list[Segment]) -> Tensor:
        spans = [AttentionSpan(s.words, s.clips, s.text_rotary_LE, s.text_bias_B11L) for s in segments]
        x = self.proj_in(text_ND)
        for layer, (self_attn, mlp_layer) in enumerate(zip(self.self_attns, self.mlps, strict=True)):
            x = x + self_attn(self.norms[2 * layer](x), spans)
            x = x + mlp_layer(self.norms[2 * layer + 1](x))
        return self.norms[-1](x)


class Dit(nn.Module):
    """Predict the velocity, noise - data, of every latent value of a pack."""

    adamw_layers = (
        "patch_embed",
        "proj_out",
        "timestep_embed",
        "proj_in",
        "modulation",
        "final_modulation",
    )
    """Layers that AdamW trains instead of Muon: input and output projections, and modulation."""

    def __init__(self, config: DitConfig) -> None:
        super().__init__()
        self.config = config
        width, token = config.width, config.latent_channels * config.patch**2
        self.patch_embed = nn.Linear(token, width)
        octaves = config.pos_embed_octaves
        self.pos_embed = nn.Linear(num_position_features(octaves), width) if octaves else None
        self.timestep_embed = nn.Sequential(
            nn.Linear(config.timestep_channels, width), nn.SiLU(), nn.Linear(width, width)
        )
        self.refiner = TextRefiner(config.text_width, width, config.heads, config.refiner_depth)
        self.pooled_text_proj = nn.Linear(width, width)
        self.blocks = nn.ModuleList(DitBlock(width, config.heads) for _ in range(config.depth))
        self.final_modulation = nn.Linear(width, 2 * width)
        self.proj_out = nn.Linear(width, token)
        for layer in (self.final_modulation, self.proj_out):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, pack: list[Group]) -> list[Tensor]:
        """Return velocity_BCTHW (float32) for each group."""
        segments = pack_segments(pack, self.config)
        text_ND = self.refiner(concat([group.text_BLD.flatten(0, 1) for group in pack]), segments)
        x_ND = self.patch_embed(concat([patchify(group.latent_BCTHW, self.config.patch) for group in pack]))
        if self.pos_embed is not None:
            x_ND = x_ND + concat([self.pos_embed(s.pos_NF).repeat(s.clips, 1) for s in segments])
        cond_RD = F.silu(self._conditioning(pack, text_ND, segments))
        for block in self.blocks:
            x_ND = block(x_ND, cond_RD, text_ND, segments)
        shift_RD, scale_RD = self.final_modulation(cond_RD).chunk(2, dim=-1)
        out_ND = self.proj_out(modulate(x_ND, shift_RD, scale_RD, segments)).float()
        return [
            to_velocity(unpatchify(out_ND[segment.tokens], segment, self.config.patch), group)
            for group, segment in zip(pack, segments, strict=True)
        ]

    def _conditioning(self, pack: list[Group], text_ND: Tensor, segments: list[Segment]) -> Tensor:
        """Return the input of adaLN for each latent frame: timestep embedding plus pooled text."""
        rows = []
        for group, segment in zip(pack, segments, strict=True):
            words_BLD = text_ND[segment.words].unflatten(0, (segment.clips, -1))
            weight_B1L = segment.text_bias_B11L[:, 0].exp() / group.text_length_B[:, None, None]
            pooled_BD = (weight_B1L.to(words_BLD.dtype) @ words_BLD)[:, 0]
            timestep_BTD = self.timestep_embed(timestep_embedding(group.sigma_BT, self.config))
            rows.append((timestep_BTD + self.pooled_text_proj(pooled_BD)[:, None]).flatten(0, 1))
        return concat(rows)


def to_velocity(out_BCTHW: Tensor, group: Group) -> Tensor:
    """Precondition the output: add the best linear estimate of the velocity, and scale to unit variance.

    The network then predicts the data at high sigma and the noise at low sigma (Karras et al. 2022,
    arXiv 2206.00364, for this interpolation).
    """
    sigma = group.sigma_BT[:, None, :, None, None]
    variance = sigma.square() + (1 - sigma).square()
    return (2 * sigma - 1) / variance * group.latent_BCTHW + out_BCTHW * variance.rsqrt()


def timestep_embedding(sigma_BT: Tensor, config: DitConfig) -> Tensor:
    """Return the sinusoidal embedding of sigma, at frequencies evenly spaced in their logarithm."""
    low, high = math.log(config.timestep_min_frequency), math.log(config.timestep_max_frequency)
    frequency = torch.exp(torch.linspace(low, high, config.timestep_channels // 2, device=sigma_BT.device))
    angle = sigma_BT[..., None] * frequency
    return torch.cat([angle.sin(), angle.cos()], dim=-1)


def num_position_features(octaves: int) -> int:
    """Return F of `position_features`."""
    return 3 * 2 * octaves + 3 * (2 * octaves) ** 2


def position_features(grid: tuple[int, int, int], octaves: int, device: torch.device | None = None) -> Tensor:
    """Return pos_NF: sines and cosines of each axis, and their products over each pair of axes.

    Wavelengths are 4, 8, ... tokens. Time counts from the first frame, height and width from the centre. The
    products of time and space distinguish directions of motion by one linear layer (docs/adr/0007).
    """
    origin = 0.0, (grid[1] - 1) / 2, (grid[2] - 1) / 2
    axes = [torch.arange(size, device=device) - start for size, start in zip(grid, origin, strict=True)]
    waves = []
    for position in torch.meshgrid(*axes, indexing="ij"):
        angle = position.reshape(-1, 1) * math.pi / 2 ** torch.arange(1, octaves + 1, device=device)
        waves.append(torch.cat([angle.sin(), angle.cos()], dim=1))
    products = [(a[:, :, None] * b[:, None]).flatten(1) for a, b in combinations(waves, 2)]
    return torch.cat([*waves, *products], dim=1)


def patchify(latent_BCTHW: Tensor, patch: int) -> Tensor:
    """Cut latents into patches: tokens in the order clip, time, height, width."""
    x = latent_BCTHW.unflatten(4, (-1, patch)).unflatten(3, (-1, patch))
    return x.permute(0, 2, 3, 5, 1, 4, 6).flatten(4).flatten(0, 3)


def unpatchify(token_ND: Tensor, segment: Segment, patch: int) -> Tensor:
    """Return latent_BCTHW of one group's tokens."""
    x = token_ND.unflatten(0, (segment.clips, *segment.grid)).unflatten(-1, (-1, patch, patch))
    return x.permute(0, 4, 1, 2, 5, 3, 6).flatten(5).flatten(3, 4)


def pack_segments(pack: list[Group], config: DitConfig) -> list[Segment]:
    """Lay out the groups of a pack in sequence. Raises ValueError for latents that patches do not tile."""
    segments, token, row, word = [], 0, 0, 0
    for group in pack:
        clips, _, frames, height, width = group.latent_BCTHW.shape
        if height % config.patch or width % config.patch:
            raise ValueError(f"latents of {width}x{height} do not divide into patches of {config.patch}")
        length, device = group.text_BLD.shape[1], group.latent_BCTHW.device
        grid = frames, height // config.patch, width // config.patch
        tokens, rows, words = clips * math.prod(grid), clips * frames, clips * length
        padding_BL = torch.arange(length, device=device) >= group.text_length_B[:, None]
        bias_B11L = torch.zeros(clips, 1, 1, length, device=device).masked_fill(
            padding_BL[:, None, None], -torch.inf
        )
        octaves = config.pos_embed_octaves
        segments.append(
            Segment(
                tokens=slice(token, token + tokens),
                rows=slice(row, row + rows),
                words=slice(word, word + words),
                clips=clips,
                grid=grid,
                pos_NF=position_features(grid, octaves, device) if octaves else None,
                rotary_NE=rotary_embedding(grid, config, device),
                text_rotary_LE=rotary_embedding((length,), config, device),
                text_bias_B11L=bias_B11L,
            )
        )
        token, row, word = token + tokens, row + rows, word + words
    return segments


def pad_text(states: Sequence[np.ndarray]) -> tuple[Tensor, Tensor]:
    """Stack state_LD of different lengths: text_BLD, zero-padded, and text_length_B."""
    lengths = [len(state) for state in states]
    text_BLD = torch.zeros(len(states), max(lengths), states[0].shape[1])
    for row, state in enumerate(states):
        text_BLD[row, : len(state)] = torch.from_numpy(np.asarray(state, np.float32))
    return text_BLD, torch.tensor(lengths)
