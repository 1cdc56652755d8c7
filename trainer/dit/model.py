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
from bisect import bisect
from collections.abc import Sequence
from itertools import combinations, pairwise
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainer.config import DitConfig
from trainer.dit.attention import (
    AttentionSpan,
    SelfAttention,
    attention,
    concat,
    mlp,
    rotary_embedding,
    split,
)
from trainer.dit.text import EncodedText, KeysValues, TextRefiner, TextSegment, pool_text, text_segments


class Group(NamedTuple):
    """Clips of one latent shape, with their text."""

    latent_BCTHW: Tensor
    sigma_BT: Tensor
    """Noise level of each latent frame, from 0 (clean) to 1 (noise)."""
    text_BLD: Tensor | None = None
    """Text states, zero-padded to L: of each clip a text for each span, in their order."""
    text_length_B: Tensor | None = None
    spans: tuple[int, ...] = (0,)
    """First latent frame of each span of time that has a text of its own."""


class Segment(NamedTuple):
    """A group's position in a pack, and its position embeddings."""

    tokens: int
    """Tokens of all its clips."""
    rows: int
    """Latent frames of all its clips."""
    clips: int
    grid: tuple[int, int, int]
    """Tokens in time, height and width."""
    pos_NF: Tensor | None
    """Absolute position features of one clip's tokens."""
    rotary_NE: Tensor
    """Rotary embedding of one clip's tokens: complex, half a head wide."""
    spans: tuple[int, ...]


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

    def keys_values(self, text_ND: Tensor, texts: list[TextSegment]) -> list[KeysValues]:
        """Return what `forward` reads of each group's texts."""
        kv_NHE = self.kv(text_ND).unflatten(-1, (2 * self.heads, -1))
        result = []
        parts = split(kv_NHE, [text.words for text in texts])
        for part_NHE, text in zip(parts, texts, strict=True):
            k, v = part_NHE.unflatten(0, (text.texts, -1)).chunk(2, dim=2)
            k = self.norm_k(k).to(v.dtype)
            result.append(KeysValues(k.transpose(1, 2), v.transpose(1, 2), text.bias_B11L))
        return result

    def forward(self, x_ND: Tensor, keys_values: list[KeysValues], segments: list[Segment]) -> Tensor:
        q_NHE = self.q(x_ND).unflatten(-1, (self.heads, -1))
        outs = []
        parts = split(q_NHE, [segment.tokens for segment in segments])
        for part_NHE, segment, text in zip(parts, segments, keys_values, strict=True):
            q = self.norm_q(part_NHE.unflatten(0, (segment.clips, -1)))
            q = q.to(text.v_BHLE.dtype).transpose(1, 2)
            outs.append(attend_spans(q, text, segment).transpose(1, 2).flatten(2).flatten(0, 1))
        return self.out(concat(outs))


def attend_spans(q_BHNE: Tensor, text: KeysValues, segment: Segment) -> Tensor:
    """Return the attention of the tokens of each span to the text of that span alone."""
    if len(segment.spans) == 1:
        return attention(q_BHNE, *text)
    frame_tokens = math.prod(segment.grid[1:])
    starts = [start * frame_tokens for start in (*segment.spans, segment.grid[0])]
    by_span = [value.unflatten(0, (segment.clips, -1)).unbind(1) for value in text]
    return torch.cat(
        [
            attention(q_BHNE[:, :, start:stop], *span)
            for (start, stop), span in zip(pairwise(starts), zip(*by_span, strict=True), strict=True)
        ],
        dim=2,
    )


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

    def forward(
        self, x_ND: Tensor, cond_RD: Tensor, keys_values: list[KeysValues], segments: list[Segment]
    ) -> Tensor:
        shift_a, scale_a, gate_a, shift_m, scale_m, gate_m = self.modulation(cond_RD).chunk(6, dim=-1)
        spans = [AttentionSpan(s.tokens, s.clips, s.rotary_NE, None) for s in segments]
        runs = frame_runs(segments)
        attended_ND = self.self_attn(modulate(x_ND, shift_a, scale_a, runs), spans)
        x_ND = add_gated(x_ND, attended_ND, gate_a, runs)
        x_ND = x_ND + self.cross_attn(self.norm_cross(x_ND), keys_values, segments)
        return add_gated(x_ND, self.mlp(modulate(x_ND, shift_m, scale_m, runs)), gate_m, runs)


class FrameRun(NamedTuple):
    """Latent frames of a pack, the next ones in sequence, that have equally many tokens."""

    rows: int
    frame_tokens: int


def frame_runs(segments: list[Segment]) -> list[FrameRun]:
    """Join the neighbouring groups of a pack whose frames have equally many tokens."""
    runs: list[FrameRun] = []
    for segment in segments:
        rows, frame_tokens = segment.rows, segment.tokens // segment.rows
        if runs and runs[-1].frame_tokens == frame_tokens:
            rows += runs.pop().rows
        runs.append(FrameRun(rows, frame_tokens))
    return runs


def by_frame(x_ND: Tensor, runs: list[FrameRun]) -> list[Tensor]:
    """View the tokens of each run as (latent frames, tokens of a frame, D)."""
    parts = split(x_ND, [run.rows * run.frame_tokens for run in runs])
    return [part.unflatten(0, (run.rows, -1)) for part, run in zip(parts, runs, strict=True)]


def of_frame(x_RD: Tensor, runs: list[FrameRun]) -> list[Tensor]:
    """View the values of each run's latent frames as (latent frames, 1, D)."""
    return [part[:, None] for part in split(x_RD, [run.rows for run in runs])]


def modulate(x_ND: Tensor, shift_RD: Tensor, scale_RD: Tensor, runs: list[FrameRun]) -> Tensor:
    """Normalize each token, then scale and shift it by the modulation of its latent frame."""
    x_ND = F.layer_norm(x_ND, x_ND.shape[-1:])
    parts = zip(of_frame(shift_RD, runs), by_frame(x_ND, runs), of_frame(1 + scale_RD, runs), strict=True)
    return concat([torch.addcmul(*part).flatten(0, 1) for part in parts])


def add_gated(x_ND: Tensor, y_ND: Tensor, gate_RD: Tensor, runs: list[FrameRun]) -> Tensor:
    """Add `y_ND`, each token times the gate of its latent frame."""
    parts = zip(by_frame(x_ND, runs), by_frame(y_ND, runs), of_frame(gate_RD, runs), strict=True)
    return concat([torch.addcmul(*part).flatten(0, 1) for part in parts])


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

    def forward(self, pack: list[Group], texts: list[EncodedText] | None = None) -> list[Tensor]:
        """Return velocity_BCTHW (float32) for each group.

        Args:
            texts: what `encode_text` returned for each group; by default, that of its text states.
        """
        segments = pack_segments(pack, self.config)
        texts = self.encode_text([text_of(group) for group in pack]) if texts is None else texts
        x_ND = self.patch_embed(concat([patchify(group.latent_BCTHW, self.config.patch) for group in pack]))
        if self.pos_embed is not None:
            x_ND = x_ND + concat([self.pos_embed(s.pos_NF).repeat(s.clips, 1) for s in segments])
        cond_RD = F.silu(self._conditioning(pack, texts))
        for number, block in enumerate(self.blocks):
            x_ND = block(x_ND, cond_RD, [text.keys_values[number] for text in texts], segments)
        shift_RD, scale_RD = self.final_modulation(cond_RD).chunk(2, dim=-1)
        out_ND = self.proj_out(modulate(x_ND, shift_RD, scale_RD, frame_runs(segments))).float()
        parts = split(out_ND, [segment.tokens for segment in segments])
        return [
            to_velocity(unpatchify(part_ND, segment, self.config.patch), group)
            for part_ND, group, segment in zip(parts, pack, segments, strict=True)
        ]

    def encode_text(self, padded: Sequence[tuple[Tensor, Tensor]]) -> list[EncodedText]:
        """Return what the blocks read of texts, the same at every step of a sampler.

        Args:
            padded: text_BLD and text_length_B of each group of texts.
        """
        texts = text_segments(padded, self.config)
        text_ND = self.refiner(concat([text_BLD.flatten(0, 1) for text_BLD, _ in padded]), texts)
        parts = split(text_ND, [text.words for text in texts])
        pooled = [
            self.pooled_text_proj(pool_text(part, text)) for part, text in zip(parts, texts, strict=True)
        ]
        blocks = [cast(DitBlock, block).cross_attn.keys_values(text_ND, texts) for block in self.blocks]
        return [EncodedText(*each) for each in zip(pooled, map(list, zip(*blocks, strict=True)), strict=True)]

    def _conditioning(self, pack: list[Group], texts: list[EncodedText]) -> Tensor:
        """Return the input of adaLN for each latent frame: timestep embedding plus its pooled text."""
        rows = []
        for group, text in zip(pack, texts, strict=True):
            clips, frames = group.sigma_BT.shape
            pooled_BSD = text.pooled_BD.unflatten(0, (clips, -1))
            if len(group.spans) > 1:
                span_T = [bisect(group.spans, t) - 1 for t in range(frames)]
                pooled_BSD = pooled_BSD[:, span_T]
            timestep_BTD = self.timestep_embed(timestep_embedding(group.sigma_BT, self.config))
            rows.append((timestep_BTD + pooled_BSD).flatten(0, 1))
        return concat(rows)


def text_of(group: Group) -> tuple[Tensor, Tensor]:
    """Return the text states of a group. Raises ValueError where it has none."""
    if group.text_BLD is None or group.text_length_B is None:
        raise ValueError("a group has no text states: give `texts` of `encode_text`")
    return group.text_BLD, group.text_length_B


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
    segments = []
    for group in pack:
        clips, _, frames, height, width = group.latent_BCTHW.shape
        if height % config.patch or width % config.patch:
            raise ValueError(f"latents of {width}x{height} do not divide into patches of {config.patch}")
        device, octaves = group.latent_BCTHW.device, config.pos_embed_octaves
        grid = frames, height // config.patch, width // config.patch
        segments.append(
            Segment(
                tokens=clips * math.prod(grid),
                rows=clips * frames,
                clips=clips,
                grid=grid,
                pos_NF=position_features(grid, octaves, device) if octaves else None,
                rotary_NE=rotary_embedding(grid, config, device),
                spans=group.spans,
            )
        )
    return segments
