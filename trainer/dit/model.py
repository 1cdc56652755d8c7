"""A diffusion transformer over spacetime patches of latents of any shape.

After DiT (Peebles and Xie 2022, arXiv 2212.09748) with rectified flow (Liu et al. 2022, arXiv 2209.03003),
cross-attention to text, 3D rotary positions (Su et al. 2021, arXiv 2104.09864), normalised queries and keys
(Dehghani et al. 2023, arXiv 2302.05442), and a noise level of its own for every latent frame
(Chen et al. 2024, arXiv 2407.01392).

One forward takes a pack: groups of clips, each group of one latent shape. Linear layers see the tokens of
the whole pack at once; attention runs once a group, which on a CPU beats one masked call by far.

Legend: B clips of a group, C latent channels, T latent frames, H and W latent height and width, L text
positions, N tokens of the pack, R latent frames of the pack (rows of the modulation), D width, E head width.
"""

import math
from itertools import combinations
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainer.config import DitConfig


class Group(NamedTuple):
    """Clips of one latent shape, with their text."""

    latent_BCTHW: Tensor
    level_BT: Tensor
    """Noise level of each latent frame, from 0 (given) to 1 (to be invented)."""
    text_BLD: Tensor
    """Text states, zero where a text is shorter than L."""
    text_length_B: Tensor


class Segment(NamedTuple):
    """Where a group lies in a pack, and what its attention needs."""

    tokens: slice
    rows: slice
    words: slice
    clips: int
    grid: tuple[int, int, int]
    """Tokens in time, height and width."""
    place_NF: Tensor
    """Where each token of one clip is: `place_waves`."""
    turn_NE: Tensor
    """Rotary turn of each position, as complex numbers: half a head wide."""
    text_turn_LE: Tensor
    text_bias_B11L: Tensor


def attention(q_BHNE: Tensor, k_BHME: Tensor, v_BHME: Tensor, bias_B11M: Tensor | None = None) -> Tensor:
    """Softmax attention. On a CPU the plain form is the faster one (measured); elsewhere torch's own.

    The bias is 0 for words that count and minus infinity for those behind a text's end.
    """
    bias = None if bias_B11M is None else bias_B11M.to(v_BHME.dtype)
    if q_BHNE.device.type != "cpu":
        return F.scaled_dot_product_attention(q_BHNE, k_BHME, v_BHME, attn_mask=bias)
    scores = (q_BHNE * q_BHNE.shape[-1] ** -0.5) @ k_BHME.transpose(-1, -2)
    return (scores if bias is None else scores + bias).softmax(-1) @ v_BHME


FASTEST_TURN = 2.5
"""Radians. Motion was right on 0.51 of the videos after 1,000 steps with it, with 1.0 on 0.25."""


def rotate(x_BNHE: Tensor, turn_NE: Tensor) -> Tensor:
    """Turn each pair of values by the angle of its position."""
    pairs = torch.view_as_complex(x_BNHE.float().unflatten(-1, (-1, 2)))
    return torch.view_as_real(pairs * turn_NE[:, None]).flatten(-2)


def axis_turns(grid: tuple[int, ...], head_width: int, device: torch.device, base: float = 100.0) -> Tensor:
    """Return the rotary turn (complex) of every position of a grid; each axis has its share of the pairs.

    The fastest pair of an axis turns by `FASTEST_TURN` from one token to the next: tokens are few and large,
    and with the usual 1 radian a token hardly tells itself from its neighbours.
    """
    pairs, axes = head_width // 2, len(grid)
    shares = [pairs // axes + (1 if axis < pairs % axes else 0) for axis in range(axes)]
    places = torch.meshgrid(*(torch.arange(size, device=device).float() for size in grid), indexing="ij")
    angles = [
        FASTEST_TURN * place.reshape(-1, 1) * base ** -(torch.arange(share, device=device) / share)
        for place, share in zip(places, shares, strict=True)
    ]
    angle = torch.cat(angles, dim=1)
    return torch.polar(torch.ones_like(angle), angle)


class SelfAttention(nn.Module):
    """Attention among the tokens of each clip, with normalised, rotated queries and keys."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm_q = nn.LayerNorm(width // heads, bias=False)
        self.norm_k = nn.LayerNorm(width // heads, bias=False)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width, bias=False)

    def forward(self, x_ND: Tensor, parts: list[tuple[slice, int, Tensor, Tensor | None]]) -> Tensor:
        """Each part is (tokens, clips, rotary turns, bias of its scores)."""
        qkv_NHE = self.qkv(x_ND).unflatten(-1, (3 * self.heads, -1))
        outs = []
        for tokens, clips, turn, bias in parts:
            q, k, v = qkv_NHE[tokens].unflatten(0, (clips, -1)).chunk(3, dim=2)
            q = rotate(self.norm_q(q.float()), turn).to(v.dtype)
            k = rotate(self.norm_k(k.float()), turn).to(v.dtype)
            out = attention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), bias)
            outs.append(out.transpose(1, 2).flatten(2).flatten(0, 1))
        return self.out(joined(outs))


class CrossAttention(nn.Module):
    """Attention from tokens to the words of their clip."""

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
        return self.out(joined(outs))


def feed_forward(width: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))


class Block(nn.Module):
    """Self-attention, cross-attention and a feed-forward network, steered by level and text."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm_words = nn.LayerNorm(width)
        self.attend = SelfAttention(width, heads)
        self.read = CrossAttention(width, heads)
        self.think = feed_forward(width)
        self.modulation = nn.Linear(width, 6 * width)
        nn.init.zeros_(self.modulation.weight)
        nn.init.zeros_(self.modulation.bias)
        nn.init.zeros_(self.read.out.weight)

    def forward(self, x_ND: Tensor, state_RD: Tensor, text_ND: Tensor, segments: list[Segment]) -> Tensor:
        shift_a, scale_a, gate_a, shift_f, scale_f, gate_f = self.modulation(state_RD).chunk(6, dim=-1)
        parts = [(s.tokens, s.clips, s.turn_NE, None) for s in segments]
        attended = self.attend(modulated(x_ND, shift_a, scale_a, segments), parts)
        x_ND = x_ND + gated(attended, gate_a, segments)
        x_ND = x_ND + self.read(self.norm_words(x_ND), text_ND, segments)
        return x_ND + gated(self.think(modulated(x_ND, shift_f, scale_f, segments)), gate_f, segments)


def modulated(x_ND: Tensor, shift_RD: Tensor, scale_RD: Tensor, segments: list[Segment]) -> Tensor:
    """Normalise, then scale and shift every token by what its latent frame says."""
    x_ND = F.layer_norm(x_ND, x_ND.shape[-1:])
    outs = [
        torch.addcmul(shift_RD[s.rows, None], by_frame(x_ND, s), 1 + scale_RD[s.rows, None]).flatten(0, 1)
        for s in segments
    ]
    return joined(outs)


def gated(x_ND: Tensor, gate_RD: Tensor, segments: list[Segment]) -> Tensor:
    return joined([(by_frame(x_ND, s) * gate_RD[s.rows, None]).flatten(0, 1) for s in segments])


def by_frame(x_ND: Tensor, segment: Segment) -> Tensor:
    """View a group's tokens as (latent frames of the group, tokens of a frame, D)."""
    return x_ND[segment.tokens].unflatten(0, (segment.clips * segment.grid[0], -1))


def joined(parts: list[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts)


class Refiner(nn.Module):
    """Two transformer layers with positions over frozen text states.

    They bind each word to its object: a sentence encoder alone hardly tells two swapped objects apart.
    """

    def __init__(self, text_width: int, width: int, heads: int, depth: int) -> None:
        super().__init__()
        self.project = nn.Linear(text_width, width)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2 * depth + 1))
        self.attends = nn.ModuleList(SelfAttention(width, heads) for _ in range(depth))
        self.thinks = nn.ModuleList(feed_forward(width) for _ in range(depth))

    def forward(self, text_ND: Tensor, segments: list[Segment]) -> Tensor:
        parts = [(s.words, s.clips, s.text_turn_LE, s.text_bias_B11L) for s in segments]
        x = self.project(text_ND)
        for layer, (attend, think) in enumerate(zip(self.attends, self.thinks, strict=True)):
            x = x + attend(self.norms[2 * layer](x), parts)
            x = x + think(self.norms[2 * layer + 1](x))
        return self.norms[-1](x)


class Dit(nn.Module):
    """Predicts the velocity from data to noise for every latent value of a pack."""

    edges = ("enter", "leave", "level", "project", "modulation", "final_modulation")
    """Layers that Muon leaves to AdamW: what enters and leaves, and what steers."""

    def __init__(self, config: DitConfig) -> None:
        super().__init__()
        self.config = config
        width, token = config.width, config.latent_channels * config.patch**2
        self.enter = nn.Linear(token, width)
        self.place = nn.Linear(PLACE_WAVES, width)
        self.level = nn.Sequential(nn.Linear(LEVEL_WAVES, width), nn.SiLU(), nn.Linear(width, width))
        self.refiner = Refiner(config.text_width, width, config.heads, config.refiner_depth)
        self.summary = nn.Linear(width, width)
        self.blocks = nn.ModuleList(Block(width, config.heads) for _ in range(config.depth))
        self.final_modulation = nn.Linear(width, 2 * width)
        self.leave = nn.Linear(width, token)
        for layer in (self.final_modulation, self.leave):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, pack: list[Group]) -> list[Tensor]:
        """Return velocity_BCTHW (float32) for each group."""
        segments = segments_of(pack, self.config)
        text_ND = self.refiner(joined([group.text_BLD.flatten(0, 1) for group in pack]), segments)
        x_ND = self.enter(joined([tokens_of(group.latent_BCTHW, self.config.patch) for group in pack]))
        x_ND = x_ND + joined([self.place(s.place_NF).repeat(s.clips, 1) for s in segments])
        state_RD = F.silu(self._state(pack, text_ND, segments))
        for block in self.blocks:
            x_ND = block(x_ND, state_RD, text_ND, segments)
        shift_RD, scale_RD = self.final_modulation(state_RD).chunk(2, dim=-1)
        out_ND = self.leave(modulated(x_ND, shift_RD, scale_RD, segments)).float()
        return [
            preconditioned(latents_of(out_ND[segment.tokens], segment, self.config.patch), group)
            for group, segment in zip(pack, segments, strict=True)
        ]

    def _state(self, pack: list[Group], text_ND: Tensor, segments: list[Segment]) -> Tensor:
        """What steers each latent frame: its noise level, and the mean of its clip's text."""
        rows = []
        for group, segment in zip(pack, segments, strict=True):
            words_BLD = text_ND[segment.words].unflatten(0, (segment.clips, -1))
            weight_B1L = segment.text_bias_B11L[:, 0].exp() / group.text_length_B[:, None, None]
            mean_BD = (weight_B1L.to(words_BLD.dtype) @ words_BLD)[:, 0]
            level_BTD = self.level(level_waves(group.level_BT))
            rows.append((level_BTD + self.summary(mean_BD)[:, None]).flatten(0, 1))
        return joined(rows)


def preconditioned(out_BCTHW: Tensor, group: Group) -> Tensor:
    """Turn what the network says to a velocity: its best linear guess, plus what is left at unit variance.

    So the network names the data where there is much noise, and the noise where there is little: it need
    not carry noise through itself (Karras et al. 2022, arXiv 2206.00364, for this interpolation).
    """
    level = group.level_BT[:, None, :, None, None]
    power = level.square() + (1 - level).square()
    return (2 * level - 1) / power * group.latent_BCTHW + out_BCTHW * power.rsqrt()


LEVEL_WAVES = 128
OCTAVES = 4
"""Waves of a place: 4 to 32 tokens long."""
PLACE_WAVES = 3 * 2 * OCTAVES + 3 * (2 * OCTAVES) ** 2


def place_waves(grid: tuple[int, int, int], device: torch.device) -> Tensor:
    """Return sines and cosines of every position of a grid, counted from its first frame and its centre, and
    their products over each two axes.

    Rotary positions tell only how far apart two tokens are; these tell where on the picture, and when. The
    product of a wave in time and one in space is what travels, so `left` and `right` differ by one linear
    step. From waves of single axes a network must first make such products: it learned the axis of a motion,
    and after 1,600 steps its sign was still at chance (docs/adr/0007).
    """
    starts = 0.0, (grid[1] - 1) / 2, (grid[2] - 1) / 2
    axes = [torch.arange(size, device=device) - start for size, start in zip(grid, starts, strict=True)]
    waves = []
    for place in torch.meshgrid(*axes, indexing="ij"):
        angle = place.reshape(-1, 1) * math.pi / 2 ** torch.arange(1, OCTAVES + 1, device=device)
        waves.append(torch.cat([angle.sin(), angle.cos()], dim=1))
    products = [(a[:, :, None] * b[:, None]).flatten(1) for a, b in combinations(waves, 2)]
    return torch.cat([*waves, *products], dim=1)


def level_waves(level_BT: Tensor) -> Tensor:
    """Return sines and cosines of a noise level, slow to fast."""
    speed = torch.exp(torch.linspace(0, math.log(1000), LEVEL_WAVES // 2, device=level_BT.device))
    angle = level_BT[..., None] * speed
    return torch.cat([angle.sin(), angle.cos()], dim=-1)


def tokens_of(latent_BCTHW: Tensor, patch: int) -> Tensor:
    """Cut latents into patches: tokens in the order clip, time, height, width."""
    x = latent_BCTHW.unflatten(4, (-1, patch)).unflatten(3, (-1, patch))
    return x.permute(0, 2, 3, 5, 1, 4, 6).flatten(4).flatten(0, 3)


def latents_of(token_ND: Tensor, segment: Segment, patch: int) -> Tensor:
    """Undo `tokens_of` for one group."""
    x = token_ND.unflatten(0, (segment.clips, *segment.grid)).unflatten(-1, (-1, patch, patch))
    return x.permute(0, 4, 1, 2, 5, 3, 6).flatten(5).flatten(3, 4)


def segments_of(pack: list[Group], config: DitConfig) -> list[Segment]:
    """Lay the groups of a pack one after the other."""
    segments, token, row, word = [], 0, 0, 0
    for group in pack:
        clips, _, frames, height, width = group.latent_BCTHW.shape
        if height % config.patch or width % config.patch:
            raise ValueError(f"latents of {width}x{height} do not divide into patches of {config.patch}")
        length, device = group.text_BLD.shape[1], group.latent_BCTHW.device
        grid = frames, height // config.patch, width // config.patch
        tokens, rows, words = clips * math.prod(grid), clips * frames, clips * length
        behind_BL = torch.arange(length, device=device) >= group.text_length_B[:, None]
        bias_B11L = torch.zeros(clips, 1, 1, length, device=device).masked_fill(
            behind_BL[:, None, None], -torch.inf
        )
        segments.append(
            Segment(
                tokens=slice(token, token + tokens),
                rows=slice(row, row + rows),
                words=slice(word, word + words),
                clips=clips,
                grid=grid,
                place_NF=place_waves(grid, device),
                turn_NE=axis_turns(grid, config.width // config.heads, device),
                text_turn_LE=axis_turns((length,), config.width // config.heads, device),
                text_bias_B11L=bias_B11L,
            )
        )
        token, row, word = token + tokens, row + rows, word + words
    return segments
