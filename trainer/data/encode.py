"""Encode every packed clip once: latents by the VAE, text states by the frozen text encoder."""

import shutil
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from manifests.shards import ShardIndex
from trainer.checkpoints import load_vae
from trainer.config import EncodeConfig
from trainer.data.decode import RawSample, decode_sample, read_sample
from trainer.data.latent_cache import ABOUT, FOLDER, PART_ROWS, EncodedSet, Origin, write_about, write_part
from trainer.pixels import to_pixels
from trainer.precision import best_device
from trainer.text import TextEncoder
from trainer.vae.model import VideoVae


def encode(config: EncodeConfig, progress: Callable[[str], None] = print) -> dict[str, Any]:
    """Encode all clips of `config.shards` and return the counts; keep a set that is complete and current."""
    if config.shards.startswith("s3://"):
        raise ValueError(
            f"{config.shards}: what is encoded lies beside the shards in a folder; copy them to a disk first"
        )
    index = ShardIndex.load(config.shards)
    vae, about = load_vae(config.vae)
    device = best_device()
    text = TextEncoder(config.text_encoder, device=str(device))
    origin = Origin(index=index.digest, vae=about["digest"], text=text.digest)
    folder = Path(config.shards) / FOLDER
    if (folder / ABOUT).is_file():
        if _stored_origin(index) == origin:
            return {"clips": index.num_samples, "encoded": 0, **_counts(folder)}
        shutil.rmtree(folder)
    folder.mkdir(exist_ok=True)
    vae.to(device)
    for part, first in enumerate(range(0, index.num_samples, PART_ROWS)):
        rows = range(first, min(first + PART_ROWS, index.num_samples))
        write_part(folder, part, dict(_part(index, rows, vae, text, config)))
        progress(f"encoded {rows[-1] + 1} of {index.num_samples} clips")
    write_about(folder, origin, vae.config, text.states([""])[0])
    return {"clips": index.num_samples, "encoded": index.num_samples, **_counts(folder)}


def _stored_origin(index: ShardIndex) -> Origin | None:
    """Return what the stored set was made from, or None when that was other shards."""
    try:
        return EncodedSet.load(index).origin
    except ValueError:
        return None


def _counts(folder: Path) -> dict[str, Any]:
    return {"folder": str(folder), "bytes": sum(file.stat().st_size for file in folder.iterdir())}


def _part(
    index: ShardIndex, rows: range, vae: VideoVae, text: TextEncoder, config: EncodeConfig
) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the named tensors of a part's rows; clips of one shape share a batch."""
    samples = {row: read_sample(index, index.sample(row)) for row in rows}
    yield from _text_states(samples, text)
    by_shape: defaultdict[str, list[int]] = defaultdict(list)
    for row in rows:
        by_shape[index.sample(row).bucket.name].append(row)
    for same in by_shape.values():
        for start in range(0, len(same), config.batch_size):
            batch = same[start : start + config.batch_size]
            frames = [decode_sample(samples[row], index.sample(row).bucket, index.fps) for row in batch]
            pixels_BCTHW = to_pixels(torch.from_numpy(np.stack(frames)).to(best_device()))
            latent_BCTHW = _encode_float32(vae, pixels_BCTHW).half().cpu().numpy()
            yield from ((f"{row}.latent", latent) for row, latent in zip(batch, latent_BCTHW, strict=True))


@torch.inference_mode()
def _encode_float32(vae: VideoVae, pixels_BCTHW: Tensor) -> Tensor:
    """Encode without bfloat16 or TF32, in which a latent depends on the other clips of its batch."""
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        return vae.encode(pixels_BCTHW)


def _text_states(samples: dict[int, RawSample], text: TextEncoder) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the states of both captions of every row; equal texts are encoded once."""
    for caption in ("short", "dense"):
        texts = {row: getattr(sample, caption) for row, sample in samples.items()}
        distinct = list(dict.fromkeys(texts.values()))
        states = dict(zip(distinct, text.states(distinct), strict=True))
        yield from ((f"{row}.{caption}", states[words]) for row, words in texts.items())
