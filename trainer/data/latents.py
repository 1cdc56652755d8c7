"""Encoded clips with their noise, for the diffusion transformer.

Noise, sigma, start within the window and the choice of text depend on (seed, optimizer step, key) alone.
Clean frames at the end of a clip are latents of `encode_given`: they tell nothing of the frames before.

Legend: B clips, C channels, T latent frames, H height, W width, L text tokens, D text width.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

import numpy as np
import torch
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor

from manifests.ranges import NonNegativeInt, check_values
from trainer.config import DitConfig, FlowConfig, Size, TextChoice, dit_config
from trainer.data.encoded_keys import ABOUT, FOLDER
from trainer.data.latent_cache import EncodedSet
from trainer.data.shards import ShardData
from trainer.data.windows import draw_encoded_start
from trainer.dit.model import Group
from trainer.dit.text import pad_text
from trainer.flow import draw_sigmas, interpolate
from trainer.masks import clean_suffix
from trainer.rng import generator

VALIDATION_SIGMAS = (0.1, 0.3, 0.5, 0.7, 0.9)
VALIDATION_BATCH = 32


class NoisyGroup(NamedTuple):
    """Clips of one latent shape with their noise and text."""

    data_BCTHW: Tensor
    noise_BCTHW: Tensor
    sigma_BT: Tensor
    text_BLD: Tensor
    text_length_B: Tensor

    def model_input(self) -> Group:
        """Return the input of the transformer."""
        noisy_BCTHW = interpolate(self.data_BCTHW, self.noise_BCTHW, self.sigma_BT)
        return Group(noisy_BCTHW, self.sigma_BT, self.text_BLD, self.text_length_B)


class LatentBatch(NamedTuple):
    """One micro-batch. A tuple, since Lightning cannot move a frozen dataclass to a device."""

    step: int
    groups: list[NoisyGroup]
    num_tokens: int
    """Target tokens of the whole global batch."""


class _NoisyClip(NamedTuple):
    """One clip of one step."""

    latent_CTHW: np.ndarray
    noise_CTHW: np.ndarray
    sigma_T: np.ndarray
    state_LD: np.ndarray


class LatentData(ShardData):
    """Clips as latents and text states."""

    def __init__(
        self,
        *,
        flow: FlowConfig,
        text: TextChoice,
        dit: Size | DitConfig,
        first_frame_steps: NonNegativeInt = 0,
        **shared: Any,
    ) -> None:
        """Args:
        dit: size or shape of the transformer, by whose patches tokens are counted.
        first_frame_steps: first steps that train on the first latent frame of each clip alone, which is its
            first frame as a still: what things look like is learned from a fraction of the tokens.
        """
        super().__init__(**shared)
        check_values(LatentData.__init__, {"first_frame_steps": first_frame_steps}, "data")
        self.flow, self.text, self.dit = flow, text, dit_config(dit)
        self.first_frame_steps = first_frame_steps

    def setup(self, stage: str) -> None:
        super().setup(stage)
        self.empty_LD = self.encoded.empty_text()
        if missing := self.encoded.missing:
            rank_zero_warn(
                f"{self.shards}: {len(missing)} of {self.index.num_samples} clips could not be encoded and "
                f"are left out, such as {self.index.sample(missing[0]).key}; see {FOLDER}/{ABOUT}"
            )
        if self.encoded.about.leaks and self.flow.clean_prob:
            rank_zero_warn(
                f"{self.shards}: was encoded by an older version: latents of last frames tell of the frames "
                "before them, which are not there when a video is extended backward; delete encoded/ and run "
                "`kinora encode` again to encode them apart"
            )

    def missing_rows(self) -> Sequence[int]:
        self.encoded = EncodedSet.load(self.index)
        return self.encoded.missing

    def data_digest(self) -> str:
        return self.encoded.digest

    @property
    def identity(self) -> dict[str, Any]:
        own = {"flow": asdict(self.flow), "text": asdict(self.text)}
        return {**super().identity, **own, "first_frame_steps": self.first_frame_steps}

    def read_rows(self, step: int, rows: Sequence[int]) -> LatentBatch:
        groups: defaultdict[tuple[int, ...], list[_NoisyClip]] = defaultdict(list)
        caption = self._caption_of(step)
        for row in rows:
            clip = self._noisy_clip(step, row, caption)
            groups[clip.latent_CTHW.shape].append(clip)
        num_tokens = sum(self._target_tokens(step, row) for row in self.rows_of_step(step))
        return LatentBatch(step, [_group(groups[key]) for key in sorted(groups)], num_tokens)

    def _caption_of(self, step: int) -> str:
        """Choose one length of caption for the whole step, to avoid padding."""
        return "dense" if generator(self.seed, step, "caption").random() < self.text.dense_prob else "short"

    def _noisy_clip(self, step: int, row: int, caption: str) -> _NoisyClip:
        key = self.index.sample(row).key
        start = draw_encoded_start(self.seed, step, key, self.encoded.starts(row))
        latent_CTHW = self.encoded.latent(row, start)
        if step < self.first_frame_steps:
            latent_CTHW = latent_CTHW[:, :1]
        rng = generator(self.seed, step, key, "noise")
        noise_CTHW = rng.standard_normal(latent_CTHW.shape, np.float32)
        sigma_T = self._sigmas(step, key, latent_CTHW.shape)
        suffix = clean_suffix(sigma_T == 0)
        if suffix in self.encoded.suffixes(row):
            latent_CTHW[:, -suffix:] = self.encoded.latent(row, start, suffix)
        if self.flow.given_noise:
            share = self.flow.given_noise * generator(self.seed, step, key, "given").random()
            given = sigma_T == 0
            latent_CTHW[:, given] += share * (noise_CTHW[:, given] - latent_CTHW[:, given])
        dropped = generator(self.seed, step, key, "text").random() < self.text.drop_prob
        state_LD = self.empty_LD if dropped else self.encoded.text(row, caption)
        return _NoisyClip(latent_CTHW, noise_CTHW, sigma_T, state_LD)

    def _sigmas(self, step: int, key: str, shape: tuple[int, ...]) -> np.ndarray:
        rng = generator(self.seed, step, key, "level")
        return draw_sigmas(rng, shape[1], self.dit.num_tokens(shape), self.flow)

    def _target_tokens(self, step: int, row: int) -> int:
        """Count a clip's target tokens from its bucket, without reading it."""
        ref = self.index.sample(row)
        bucket = ref.bucket
        shape = self.encoded.vae_config.latent_shape(bucket.num_frames, bucket.height, bucket.width)
        if step < self.first_frame_steps:
            shape = shape[0], 1, *shape[2:]
        sigma_T = self._sigmas(step, ref.key, shape)
        return int((sigma_T > 0).sum()) * self.dit.num_tokens(shape) // shape[1]

    def validation_batches(self, rows: Sequence[int]) -> list[tuple[float, list[int]]]:
        """Return each of `VALIDATION_SIGMAS` with every clip, in batches of one shape."""
        by_shape: defaultdict[str, list[int]] = defaultdict(list)
        for row in rows:
            by_shape[self.index.buckets[row].name].append(row)
        batches = [
            same[start : start + VALIDATION_BATCH]
            for same in by_shape.values()
            for start in range(0, len(same), VALIDATION_BATCH)
        ]
        return [(sigma, batch) for sigma in VALIDATION_SIGMAS for batch in batches]

    def read_validation(self, batch: tuple[float, list[int]]) -> LatentBatch:
        sigma, rows = batch
        clips = []
        for row in rows:
            latent_CTHW = self.encoded.latent(row)
            rng = generator("validation", self.index.sample(row).key, sigma)
            noise_CTHW = rng.standard_normal(latent_CTHW.shape, np.float32)
            sigma_T = np.full(latent_CTHW.shape[1], sigma, np.float32)
            clips.append(_NoisyClip(latent_CTHW, noise_CTHW, sigma_T, self.encoded.text(row, "short")))
        return LatentBatch(0, [_group(clips)], 0)


def _group(clips: list[_NoisyClip]) -> NoisyGroup:
    text_BLD, text_length_B = pad_text([clip.state_LD for clip in clips])
    return NoisyGroup(
        torch.from_numpy(np.stack([clip.latent_CTHW for clip in clips])),
        torch.from_numpy(np.stack([clip.noise_CTHW for clip in clips])),
        torch.from_numpy(np.stack([clip.sigma_T for clip in clips])),
        text_BLD,
        text_length_B,
    )
