"""Random crops of decoded clips, for the video VAE.

Legend: B clips, T frames, H height, W width, C channels (RGB).
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from trainer.config import CropConfig
from trainer.data.decode import decode_sample
from trainer.data.shards import ShardData
from trainer.data.windows import draw_start
from trainer.rng import generator

MAX_CACHED_LENGTH = 3
"""Longest window that is decoded whole, in lengths of its bucket: a longer one takes too long to read."""


class PixelBatch(NamedTuple):
    """One micro-batch: clips in groups of equal shape. Lightning cannot move a frozen dataclass."""

    step: int
    frames_BTHWC: list[Tensor]
    """Each group's pixels, uint8."""
    noise_seeds: list[list[int]]
    """For each clip, the seed of its latents' noise."""
    num_values: int
    """Pixel values of the whole global batch."""


class PixelData(ShardData):
    """Clips as pixels."""

    def __init__(self, *, crop: CropConfig, **shared: Any) -> None:
        super().__init__(**shared)
        self.crop = crop
        self._decoded: dict[int, np.ndarray] = {}
        self._decoded_bytes = 0

    def setup(self, stage: str) -> None:
        super().setup(stage)
        sides = (np.array(self.index.column(name), np.int64) for name in ("window_frames", "height", "width"))
        self._windows_bytes = int(3 * np.prod(list(sides), axis=0).sum())

    def frames(self, row: int, start: int = 0) -> np.ndarray:
        """Return frames_THWC of a sample in its bucket's shape, from frame `start` of its window.

        Cached up to `crop.cache_mb`: samples that have one start; if all samples fit, also whole windows of
        at most `MAX_CACHED_LENGTH` times the bucket's frames.
        """
        ref = self.index.sample(row)
        num_frames, limit = ref.bucket.num_frames, self.crop.cache_mb * 1_000_000
        is_cached = self._windows_bytes <= limit and ref.window_frames <= MAX_CACHED_LENGTH * num_frames
        if ref.window_frames > num_frames and not is_cached:
            return decode_sample(self.read_sample(row), ref.bucket, self.index.fps, start=start)
        window_THWC = self._decoded.get(row)
        if window_THWC is None:
            sample = self.read_sample(row)
            window_THWC = decode_sample(sample, ref.bucket, self.index.fps, num_frames=ref.window_frames)
            if self._decoded_bytes + window_THWC.nbytes <= limit:
                self._decoded[row] = window_THWC
                self._decoded_bytes += window_THWC.nbytes
        return window_THWC[start : start + num_frames]

    @property
    def identity(self) -> dict[str, Any]:
        crop = {"crop.side_px": self.crop.side_px, "crop.lengths": list(self.crop.lengths)}
        return {**super().identity, **crop}

    def read_rows(self, step: int, rows: Sequence[int]) -> PixelBatch:
        length = int(generator(self.seed, step, "length").choice(self.crop.lengths))
        groups: defaultdict[tuple[int, ...], list[np.ndarray]] = defaultdict(list)
        seeds: defaultdict[tuple[int, ...], list[int]] = defaultdict(list)
        for row in rows:
            ref = self.index.sample(row)
            start = draw_start(self.seed, step, ref.key, ref.window_frames, ref.bucket.num_frames)
            rng = generator(self.seed, step, ref.key, "crop")
            crop = self._crop(self.frames(row, start), length, rng)
            groups[crop.shape].append(crop)
            seeds[crop.shape].append(int(rng.integers(2**62)))
        return PixelBatch(
            step=step,
            frames_BTHWC=[torch.from_numpy(np.stack(crops)) for crops in groups.values()],
            noise_seeds=list(seeds.values()),
            num_values=sum(self._num_values(row, length) for row in self.rows_of_step(step)),
        )

    def validation_batches(self, rows: Sequence[int]) -> list[list[int]]:
        by_shape: defaultdict[str, list[int]] = defaultdict(list)
        for row in rows:
            by_shape[self.index.buckets[row].name].append(row)
        return [same[i : i + 8] for same in by_shape.values() for i in range(0, len(same), 8)]

    def read_validation(self, batch: list[int]) -> PixelBatch:
        """Read whole clips, not cropped."""
        frames_BTHWC = torch.from_numpy(np.stack([self.frames(row) for row in batch]))
        return PixelBatch(0, [frames_BTHWC], [[0] * len(batch)], frames_BTHWC.numel())

    def _crop(self, frames_THWC: np.ndarray, length: int, rng: np.random.Generator) -> np.ndarray:
        frames, height, width = frames_THWC.shape[:3]
        length = longest_fitting(length, frames, self.crop.lengths)
        sizes = length, min(self.crop.side_px, height), min(self.crop.side_px, width)
        starts = [
            rng.integers(whole - size + 1) for whole, size in zip((frames, height, width), sizes, strict=True)
        ]
        t, y, x = (slice(start, start + size) for start, size in zip(starts, sizes, strict=True))
        return frames_THWC[t, y, x]

    def _num_values(self, row: int, length: int) -> int:
        """Count the pixel values of a clip's crop from its bucket, without reading it."""
        bucket = self.index.buckets[row]
        side = self.crop.side_px
        frames = longest_fitting(length, bucket.num_frames, self.crop.lengths)
        return frames * min(side, bucket.height) * min(side, bucket.width) * 3


def longest_fitting(length: int, frames: int, lengths: Sequence[int]) -> int:
    """Return the longest of `lengths` up to `length` and the clip's `frames`, else 1."""
    return max([allowed for allowed in lengths if allowed <= min(length, frames)], default=1)
