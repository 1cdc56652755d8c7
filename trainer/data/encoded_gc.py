"""Find and drop what is encoded below a shard set but no longer referred to by its index."""

import io
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import compress

import pyarrow as pa
import pyarrow.parquet as pq

from manifests.arrow import pc
from manifests.shards import ShardIndex
from manifests.storage import open_storage
from trainer.data.encoded_keys import (
    ABOUT,
    CAPTIONS,
    FOLDER,
    LATENTS,
    SAMPLES,
    TEXTS,
    bucket_shapes,
    latent_key,
    read_samples,
    sample_ids,
    samples_of,
    text_key,
)
from trainer.data.latent_cache import read_about
from trainer.data.legacy_cache import legacy_bytes, remove_legacy
from trainer.data.tensor_store import TensorStore, Unreferenced


@dataclass(frozen=True, kw_only=True, slots=True)
class UnreferencedEncodings:
    """What the index of a shard set does not refer to."""

    latents: Unreferenced
    texts: Unreferenced
    samples: int
    """Samples whose texts were recorded, and that are no longer packed."""
    legacy_bytes: int
    """Size of a set that an older version encoded from other shards."""

    @property
    def bytes(self) -> int:
        """Size of what `drop` would delete."""
        return self.latents.bytes + self.texts.bytes + self.legacy_bytes


def unreferenced(shards: str, removed: Collection[str] = ()) -> UnreferencedEncodings:
    """Return what is encoded below `shards`, a folder or an S3 prefix, and belongs to none of its samples.

    Latents and text states of the samples count as referred to, whichever VAE or text encoder made them.

    Args:
        removed: ids of clips whose samples do not count.
    """
    index = ShardIndex.load(shards)
    latents, texts = _stores(index)
    media, states = _keys(index, removed)
    return UnreferencedEncodings(
        latents=latents.unreferenced(media),
        texts=texts.unreferenced(states),
        samples=sum(dead for _, _, dead in _samples(index, removed)),
        legacy_bytes=legacy_bytes(index.out_uri) if _is_stale(index) else 0,
    )


def drop(shards: str, removed: Collection[str] = ()) -> UnreferencedEncodings:
    """Delete what `unreferenced` returns; return it. Do not call it while a training reads the shards."""
    index = ShardIndex.load(shards)
    latents, texts = _stores(index)
    media, states = _keys(index, removed)
    storage, dead_samples = open_storage(index.out_uri), 0
    dropped_latents, dropped_texts = latents.drop(media), texts.drop(states)
    for key, kept, dead in list(_samples(index, removed)):
        dead_samples += dead
        if dead and kept.num_rows:
            pq.write_table(kept, sink := pa.BufferOutputStream())
            storage.put(key, sink.getvalue())
        elif dead:
            storage.delete(key)
    stale_bytes = 0
    if _is_stale(index):
        stale_bytes = legacy_bytes(index.out_uri)
        remove_legacy(index.out_uri)
        storage.delete(f"{FOLDER}/{ABOUT}")
    return UnreferencedEncodings(
        latents=dropped_latents, texts=dropped_texts, samples=dead_samples, legacy_bytes=stale_bytes
    )


def _stores(index: ShardIndex) -> tuple[TensorStore, TensorStore]:
    return TensorStore(index.out_uri, LATENTS), TensorStore(index.out_uri, TEXTS)


def _keys(index: ShardIndex, removed: Collection[str]) -> tuple[set[str], set[str]]:
    """Return the keys of the media and of the texts that an index refers to, but for `removed` clips."""
    samples = samples_of(index, read_samples(open_storage(index.out_uri)))
    stays = _stays(index, removed)
    media = zip(samples["media_digest"].to_pylist(), bucket_shapes(index), strict=True)
    media = compress(media, stays)
    states = {key for name in CAPTIONS for key in samples[name].filter(pa.array(stays)).to_pylist() if key}
    return {latent_key(*medium) for medium in media}, states | {text_key("")}


def _stays(index: ShardIndex, removed: Collection[str]) -> list[bool]:
    """Return for each sample of an index whether its clip was not removed."""
    return [clip_id not in removed for clip_id in index.column("clip_id")]


def _samples(index: ShardIndex, removed: Collection[str]) -> Iterator[tuple[str, pa.Table, int]]:
    """Yield each file of `samples/`, its rows that the index refers to, and how many others it has."""
    names = {name for name, stays in zip(sample_ids(index), _stays(index, removed), strict=True) if stays}
    storage, ids = open_storage(index.out_uri), pa.array(sorted(names), pa.string())
    for info in list(storage.list(SAMPLES)):
        table = pq.read_table(io.BytesIO(storage.read(info.key)))
        kept = table.filter(pc.is_in(table["sample"], value_set=ids))
        yield info.key, kept, table.num_rows - kept.num_rows


def _is_stale(index: ShardIndex) -> bool:
    """Return whether an older version encoded other shards here."""
    about = read_about(index)
    return about is not None and about.legacy and about.origin.index != index.digest
