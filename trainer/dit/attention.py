"""Self-attention with rotary positions (Su et al. 2021, arXiv 2104.09864) and QK-norm.

Legend: B clips, H heads, N tokens, M keys, E head width, D model width.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainer.config import DitConfig


class AttentionSpan(NamedTuple):
    """Tokens of a pack, the next ones in sequence, that self-attention runs on, clip by clip."""

    tokens: int
    """Tokens of all clips."""
    clips: int
    rotary_NE: Tensor
    bias_B11N: Tensor | None


def attention(q_BHNE: Tensor, k_BHME: Tensor, v_BHME: Tensor, bias_B11M: Tensor | None = None) -> Tensor:
    """Return softmax attention. In bfloat16 on a CPU, matmul and softmax are faster than SDPA (measured)."""
    bias = None if bias_B11M is None else bias_B11M.to(v_BHME.dtype)
    if q_BHNE.device.type != "cpu" or q_BHNE.dtype == torch.float32:
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


def apply_rotary(x_BHNE: Tensor, rotary_NE: Tensor) -> Tensor:
    """Rotate each pair of channels by the angle of its position."""
    pairs = torch.view_as_complex(x_BHNE.float().unflatten(-1, (-1, 2)))
    return torch.view_as_real(pairs * rotary_NE).flatten(-2)


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
        qkv_N3HE = self.qkv(x_ND).unflatten(-1, (3, self.heads, -1))
        outs = []
        parts = split(qkv_N3HE, [span.tokens for span in spans])
        for part_N3HE, (_, clips, rotary, bias) in zip(parts, spans, strict=True):
            # one copy for all three: what follows then reads contiguous memory
            q, k, v = part_N3HE.unflatten(0, (clips, -1)).permute(2, 0, 3, 1, 4).contiguous().unbind()
            q = apply_rotary(self.norm_q(q.float()), rotary).to(v.dtype)
            k = apply_rotary(self.norm_k(k.float()), rotary).to(v.dtype)
            outs.append(attention(q, k, v, bias).transpose(1, 2).flatten(2).flatten(0, 1))
        return self.out(concat(outs))


def mlp(width: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))


def split(x: Tensor, sizes: list[int]) -> Sequence[Tensor]:
    """Split a tensor along its first axis. The gradient is one concatenation; that of slices is a sum of
    zero-padded tensors."""
    return [x] if len(sizes) == 1 else x.split(sizes)


def concat(tensors: list[Tensor]) -> Tensor:
    return tensors[0] if len(tensors) == 1 else torch.cat(tensors)
