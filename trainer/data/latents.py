"""Encoded clips with their noise, for the diffusion transformer.

Everything that is drawn for a clip comes from (seed, optimizer step, clip id).
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from trainer.config import FlowConfig, TextChoice
from trainer.data.batch_plan import generator
from trainer.data.latent_cache import EncodedSet
from trainer.data.shards import ShardData
from trainer.digest import text_digest
from trainer.dit.model import Group
from trainer.flow import draw_levels, mixed

VALIDATION_LEVELS = (0.1, 0.3, 0.5, 0.7, 0.9)
VALIDATION_BATCH = 32


class NoisyGroup(NamedTuple):
    """Clips of one latent shape with their noise and text."""

    data_BCTHW: Tensor
    noise_BCTHW: Tensor
    level_BT: Tensor
    text_BLD: Tensor
    text_length_B: Tensor

    def given(self) -> Group:
        """What the transformer sees of it."""
        noisy_BCTHW = mixed(self.data_BCTHW, self.noise_BCTHW, self.level_BT)
        return Group(noisy_BCTHW, self.level_BT, self.text_BLD, self.text_length_B)


class LatentBatch(NamedTuple):
    """One part of a step. (Lightning cannot move a frozen dataclass.)"""

    step: int
    groups: list[NoisyGroup]
    num_tokens: int
    """Tokens to be invented in the whole global batch."""


class _Draw(NamedTuple):
    """One clip as it is trained on in one step."""

    latent_CTHW: np.ndarray
    noise_CTHW: np.ndarray
    level_T: np.ndarray
    state_LD: np.ndarray


class LatentData(ShardData):
    """Clips as latents and text states."""

    def __init__(self, *, flow: FlowConfig, text: TextChoice, **shared: Any) -> None:
        super().__init__(**shared)
        self.flow, self.text = flow, text

    def setup(self, stage: str) -> None:
        super().setup(stage)
        self.encoded = EncodedSet.load(self.index)
        self.empty_LD = self.encoded.empty_text()

    def data_digest(self) -> str:
        origin = EncodedSet.load(self.index).origin
        return text_digest(origin.index, origin.vae, origin.text)

    def read(self, step: int, part: int) -> LatentBatch:
        rows = self.rows_of_step(step)
        groups: defaultdict[tuple[int, ...], list[_Draw]] = defaultdict(list)
        kind = self._caption_of(step)
        for row in self.my_share(rows, part):
            draw = self._draw(step, row, kind)
            groups[draw.latent_CTHW.shape].append(draw)
        num_tokens = sum(self._invented(step, row) for row in rows)
        return LatentBatch(step, [_group(groups[key]) for key in sorted(groups)], num_tokens)

    def _caption_of(self, step: int) -> str:
        """One kind of caption for a whole step: short texts beside long ones would be mostly padding."""
        return "dense" if generator(self.seed, step, "caption").random() < self.text.dense_share else "short"

    def _draw(self, step: int, row: int, kind: str) -> _Draw:
        clip_id = self.index.sample(row).clip_id
        latent_CTHW = self.encoded.latent(row)
        rng = generator(self.seed, step, clip_id, "noise")
        noise_CTHW = rng.standard_normal(latent_CTHW.shape, np.float32)
        dropped = generator(self.seed, step, clip_id, "text").random() < self.text.dropped_share
        state_LD = self.empty_LD if dropped else self.encoded.text(row, kind)
        return _Draw(latent_CTHW, noise_CTHW, self._levels(step, clip_id, latent_CTHW.shape), state_LD)

    def _levels(self, step: int, clip_id: str, shape: tuple[int, ...]) -> np.ndarray:
        rng = generator(self.seed, step, clip_id, "level")
        return draw_levels(rng, shape[1], tokens_in(shape), self.flow)

    def _invented(self, step: int, row: int) -> int:
        """Tokens of a clip that are to be invented, known without reading it."""
        ref = self.index.sample(row)
        shape = self.latent_shape(ref.bucket.num_frames, ref.bucket.height, ref.bucket.width)
        level_T = self._levels(step, ref.clip_id, shape)
        return int((level_T > 0).sum()) * tokens_in(shape) // shape[1]

    def latent_shape(self, num_frames: int, height: int, width: int) -> tuple[int, int, int, int]:
        """Return (C, T, H, W) of a bucket's latents, by the compression network's factors of 4 and 8."""
        return 0, 1 + (num_frames - 1) // 4, height // 8, width // 8

    def validation_batches(self, rows: Sequence[int]) -> list[tuple[float, list[int]]]:
        """Every clip at every level of `VALIDATION_LEVELS`, clips of one shape together."""
        by_shape: defaultdict[str, list[int]] = defaultdict(list)
        for row in rows:
            by_shape[self.index.sample(row).bucket.name].append(row)
        chunks = [
            same[start : start + VALIDATION_BATCH]
            for same in by_shape.values()
            for start in range(0, len(same), VALIDATION_BATCH)
        ]
        return [(level, chunk) for level in VALIDATION_LEVELS for chunk in chunks]

    def read_validation(self, batch: tuple[float, list[int]]) -> LatentBatch:
        level, rows = batch
        draws = []
        for row in rows:
            latent_CTHW = self.encoded.latent(row)
            rng = generator("validation", self.index.sample(row).clip_id, level)
            noise_CTHW = rng.standard_normal(latent_CTHW.shape, np.float32)
            level_T = np.full(latent_CTHW.shape[1], level, np.float32)
            draws.append(_Draw(latent_CTHW, noise_CTHW, level_T, self.encoded.text(row, "short")))
        return LatentBatch(0, [_group(draws)], 0)


def tokens_in(shape: tuple[int, ...]) -> int:
    """Tokens of a latent of shape (C, T, H, W): patches of 2 x 2, as every size of the model has."""
    return shape[1] * (shape[2] // 2) * (shape[3] // 2)


def _group(draws: list[_Draw]) -> NoisyGroup:
    text_BLD, text_length_B = padded([draw.state_LD for draw in draws])
    return NoisyGroup(
        torch.from_numpy(np.stack([draw.latent_CTHW for draw in draws])),
        torch.from_numpy(np.stack([draw.noise_CTHW for draw in draws])),
        torch.from_numpy(np.stack([draw.level_T for draw in draws])),
        text_BLD,
        text_length_B,
    )


def padded(states: Sequence[np.ndarray]) -> tuple[Tensor, Tensor]:
    """Stack state_LD of different lengths: text_BLD, zero behind each text's end, and text_length_B."""
    lengths = [len(state) for state in states]
    text_BLD = torch.zeros(len(states), max(lengths), states[0].shape[1])
    for row, state in enumerate(states):
        text_BLD[row, : len(state)] = torch.from_numpy(np.asarray(state, np.float32))
    return text_BLD, torch.tensor(lengths)
