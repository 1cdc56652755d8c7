"""One process of `kinora encode`: reads samples, and encodes latents and text states in float32.

Legend: B clips, C channels, T frames or latent frames, H height, W width.
"""

import tarfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import cached_property

import cv2
import numpy as np
import torch
from torch import Tensor

from manifests.digest import digest_bytes
from manifests.shards import ShardIndex
from trainer.checkpoints import load_vae
from trainer.config import EncodeConfig
from trainer.data.decode import RawSample, decode_sample, read_sample, read_texts
from trainer.data.encode_tasks import (
    EncodeLatents,
    EncodeTexts,
    ReadTexts,
    Report,
    SampleTexts,
    Task,
    Wanted,
)
from trainer.data.encoded_keys import CAPTIONS, LATENTS, TEXTS, latent_name, latent_space, text_key
from trainer.data.tensor_store import PartWriter, TensorStore, compact
from trainer.model_files import latents_digest
from trainer.pixels import to_pixels
from trainer.text import TextEncoder
from trainer.vae.boundaries import encode_with_suffixes
from trainer.vae.model import VideoVae

_MB = 1_000_000
_TEXTS_AT_ONCE = 1024
_BAD_SAMPLE = (ValueError, tarfile.TarError, cv2.error)
"""Errors of one sample, which leave the others alone."""


class Worker:
    """Holds the networks, each loaded when it is first needed."""

    def __init__(self, config: EncodeConfig, device: str) -> None:
        self._config, self._device = config, device
        self._index = ShardIndex.load(config.shards)

    def run(self, task: Task) -> Report:
        """Run one task. Raises OSError where the shards or the store fail."""
        if isinstance(task, ReadTexts):
            return self._read_texts(task.rows)
        if isinstance(task, EncodeTexts):
            return self._encode_texts(task)
        return self._encode_latents(task)

    @cached_property
    def _vae(self) -> tuple[VideoVae, str]:
        vae, about = load_vae(self._config.vae)
        return vae.to(self._device), latents_digest(about)

    @cached_property
    def _text(self) -> TextEncoder:
        return TextEncoder(self._config.text_encoder, device=self._device)

    def _read_texts(self, rows: Sequence[int]) -> Report:
        samples, failed = [], {}
        for row in rows:
            ref = self._index.sample(row)
            try:
                if ref.sidecar and ref.media_digest:
                    short, dense = read_texts(self._index, ref)
                    texts = {"short": short, "dense": dense}
                    samples.append(SampleTexts(row=row, media_digest=ref.media_digest, texts=texts))
                else:
                    samples.append(_texts_of(row, read_sample(self._index, ref)))
            except _BAD_SAMPLE as error:
                failed[row] = str(error)
        return Report(samples=tuple(samples), failed=failed)

    def _encode_texts(self, task: EncodeTexts) -> Report:
        writer, texts = self._writer(TEXTS, task.space), task.texts
        truncated = 0
        for start in range(0, len(texts), _TEXTS_AT_ONCE):
            chunk = texts[start : start + _TEXTS_AT_ONCE]
            for text, states in zip(chunk, self._text.encode(chunk), strict=True):
                truncated += states.truncated
                writer.add({text_key(text): states.state_LD})
        writer.flush()
        return Report(texts=len(texts), truncated=truncated, written_bytes=writer.written_bytes)

    def _encode_latents(self, task: EncodeLatents) -> Report:
        vae, digest = self._vae
        writer = self._writer(LATENTS, latent_space(digest, self._index.fps))
        done, samples, failed = [], [], {}
        for batch in self._batches(task.wanted, samples, failed):
            for (wanted, _), latents in zip(batch, self._latents(vae, batch), strict=True):
                try:
                    writer.add({name: compact(latent) for name, latent in latents.items()})
                    done.append(wanted.row)
                except ValueError as error:
                    failed[wanted.row] = f"the VAE {self._config.vae} {error}; check its weights"
        writer.flush()
        return Report(
            samples=tuple(samples), rows=tuple(done), written_bytes=writer.written_bytes, failed=failed
        )

    def _batches(
        self, wanted: Sequence[Wanted], samples: list[SampleTexts], failed: dict[int, str]
    ) -> Iterator[list[tuple[Wanted, dict[int, np.ndarray]]]]:
        """Yield samples with their frames_THWC by start, in batches of bounded memory.

        Adds the texts that are wanted to `samples`, and what cannot be read to `failed`.
        """
        batch: list[tuple[Wanted, dict[int, np.ndarray]]] = []
        for each in wanted:
            try:
                sample = read_sample(self._index, self._index.sample(each.row))
                if each.texts:
                    samples.append(_texts_of(each.row, sample))
                frames = self._frames(each, sample)
            except _BAD_SAMPLE as error:
                failed[each.row] = str(error)
                continue
            batch.append((each, frames))
            pixel_bytes = 4 * sum(next(iter(own.values())).nbytes for _, own in batch)
            if len(batch) == self._config.batch_size or pixel_bytes >= self._config.batch_mb * _MB:
                yield batch
                batch = []
        if batch:
            yield batch

    def _frames(self, wanted: Wanted, sample: RawSample) -> dict[int, np.ndarray]:
        """Return frames_THWC of each start of a sample."""
        bucket = self._index.sample(wanted.row).bucket
        starts = dict.fromkeys(start for start, _ in wanted.variants)
        return {start: decode_sample(sample, bucket, self._index.fps, start=start) for start in starts}

    def _latents(
        self, vae: VideoVae, batch: Sequence[tuple[Wanted, dict[int, np.ndarray]]]
    ) -> list[dict[str, np.ndarray]]:
        """Return the latents of each sample of a batch by name; samples that want the same share a pass."""
        latents: list[dict[str, np.ndarray]] = [{} for _ in batch]
        passes: defaultdict[tuple[int, tuple[int, ...]], list[int]] = defaultdict(list)
        for place, (wanted, frames) in enumerate(batch):
            for start in frames:
                passes[start, tuple(suffix for at, suffix in wanted.variants if at == start)].append(place)
        for (start, suffixes), places in passes.items():
            frames_BTHWC = torch.from_numpy(np.stack([batch[place][1][start] for place in places]))
            pixels_BCTHW = to_pixels(frames_BTHWC.to(self._device))
            encoded = encode_float32(vae, pixels_BCTHW, suffixes, self._config.batch_mb * _MB)
            for suffix, latent_BCTHW in encoded.items():
                for place, latent_CTHW in zip(places, latent_BCTHW.cpu().numpy(), strict=True):
                    latents[place][latent_name(batch[place][0].key, start, suffix)] = latent_CTHW
        return latents

    def _writer(self, folder: str, space: str) -> PartWriter:
        store = TensorStore(self._index.out_uri, folder)
        return PartWriter(store, space, max_bytes=self._config.part_mb * _MB, max_s=self._config.part_s)


def _texts_of(row: int, sample: RawSample) -> SampleTexts:
    texts = {caption: getattr(sample, caption) for caption in CAPTIONS}
    return SampleTexts(row=row, media_digest=digest_bytes(sample.media), texts=texts)


@torch.inference_mode()
def encode_float32(
    vae: VideoVae, pixels_BCTHW: Tensor, suffixes: Sequence[int], max_bytes: int
) -> dict[int, Tensor]:
    """Encode without bfloat16 or TF32, in which a latent depends on the other clips of its batch.

    Args:
        suffixes: as in `encode_with_suffixes`.
    """
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        return encode_with_suffixes(vae, pixels_BCTHW, suffixes, max_bytes)
