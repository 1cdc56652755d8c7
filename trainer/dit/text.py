"""The texts of a pack: their layout, the trained layers over their states, and what the blocks read of them.

Legend: B texts, H heads, L text tokens, N text tokens of the pack, D text or model width, E head width.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from trainer.config import DitConfig
from trainer.dit.attention import AttentionSpan, SelfAttention, mlp, rotary_embedding


class TextSegment(NamedTuple):
    """The position of a group's texts among those of a pack."""

    words: int
    """Tokens of all its texts, padding included."""
    texts: int
    rotary_LE: Tensor
    bias_B11L: Tensor
    """0 for words, minus infinity for padding."""
    length_B: Tensor


class KeysValues(NamedTuple):
    """What a block's cross-attention reads of a group's texts."""

    k_BHLE: Tensor
    v_BHLE: Tensor
    bias_B11L: Tensor


class EncodedText(NamedTuple):
    """What the transformer reads of a group's texts. It depends on neither latents nor sigma."""

    pooled_BD: Tensor
    """Part of the input of adaLN."""
    keys_values: list[KeysValues]
    """Those of each block."""


class TextRefiner(nn.Module):
    """Transformer layers with rotary positions over the frozen text states."""

    def __init__(self, text_width: int, width: int, heads: int, depth: int) -> None:
        super().__init__()
        self.proj_in = nn.Linear(text_width, width)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2 * depth + 1))
        self.self_attns = nn.ModuleList(SelfAttention(width, heads) for _ in range(depth))
        self.mlps = nn.ModuleList(mlp(width) for _ in range(depth))

    def forward(self, text_ND: Tensor, texts: list[TextSegment]) -> Tensor:
        spans = [AttentionSpan(t.words, t.texts, t.rotary_LE, t.bias_B11L) for t in texts]
        x = self.proj_in(text_ND)
        for layer, (self_attn, mlp_layer) in enumerate(zip(self.self_attns, self.mlps, strict=True)):
            x = x + self_attn(self.norms[2 * layer](x), spans)
            x = x + mlp_layer(self.norms[2 * layer + 1](x))
        return self.norms[-1](x)


def text_segments(texts: Sequence[tuple[Tensor, Tensor]], config: DitConfig) -> list[TextSegment]:
    """Lay out the texts of the groups of a pack in sequence: (text_BLD, text_length_B) of each."""
    segments = []
    for text_BLD, text_length_B in texts:
        count, length = text_BLD.shape[:2]
        device = text_BLD.device
        padding_BL = torch.arange(length, device=device) >= text_length_B[:, None]
        bias_B11L = torch.zeros(count, 1, 1, length, device=device).masked_fill(
            padding_BL[:, None, None], -torch.inf
        )
        rotary_LE = rotary_embedding((length,), config, device)
        segments.append(TextSegment(count * length, count, rotary_LE, bias_B11L, text_length_B))
    return segments


def pool_text(words_ND: Tensor, text: TextSegment) -> Tensor:
    """Return the mean of each text's states (B, D), from the states of the segment."""
    words_BLD = words_ND.unflatten(0, (text.texts, -1))
    weight_B1L = text.bias_B11L[:, 0].exp() / text.length_B[:, None, None]
    return (weight_B1L.to(words_BLD.dtype) @ words_BLD)[:, 0]


def pad_text(states: Sequence[np.ndarray]) -> tuple[Tensor, Tensor]:
    """Stack state_LD of different lengths: text_BLD, zero-padded, and text_length_B."""
    lengths = [len(state) for state in states]
    text_BLD = torch.zeros(len(states), max(lengths), states[0].shape[1])
    for row, state in enumerate(states):
        text_BLD[row, : len(state)] = torch.from_numpy(np.asarray(state, np.float32))
    return text_BLD, torch.tensor(lengths)
