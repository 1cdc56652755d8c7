"""What encoded things are known by: names of latents and text states, and the texts of each sample.

A latent belongs to a medium's bytes, a bucket, a frame rate, a start and a VAE; a text's states to the text
and the text encoder. So neither another caption nor another order or size of the shards makes either anew.
"""

import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq

from manifests.arrow import combine, pc
from manifests.digest import digest_parts
from manifests.records import Bucket
from manifests.shards import ShardIndex
from manifests.storage import Storage
from trainer.config import VaeConfig
from trainer.data.windows import encoded_starts
from trainer.masks import suffix_lengths

FOLDER, ABOUT = "encoded", "encoded.json"
LATENTS, TEXTS, SAMPLES = (f"{FOLDER}/{name}" for name in ("latents", "texts", "samples"))
CAPTIONS = ("short", "dense")
"""Texts of a sample: its `.txt` member, and the dense caption of its record."""
_FRAMES_VERSION = 1
"""Increment when other frames of a medium are read for the same bucket, rate and start."""

_SAMPLES = pa.schema(
    [
        pa.field("sample", pa.string(), nullable=False),
        pa.field("media_digest", pa.string(), nullable=False),
        *(pa.field(name, pa.string(), nullable=False) for name in CAPTIONS),
    ]
)


def latent_space(vae_digest: str, fps: float) -> str:
    """Return the space of the latents of a VAE."""
    return f"{vae_digest}/{fps:g}fps/{_FRAMES_VERSION}"


def latent_key(media_digest: str | None, shape: tuple[int, int, int]) -> str:
    """Return the key of a medium's latents in a bucket.

    Args:
        shape: frames, height and width of the bucket.
    """
    return f"{media_digest}/{'x'.join(map(str, shape))}"


def bucket_shapes(index: ShardIndex) -> list[tuple[int, int, int]]:
    """Return frames, height and width of each sample's bucket."""
    return [(bucket.num_frames, bucket.height, bucket.width) for bucket in index.buckets]


def latent_name(key: str, start: int, suffix: int) -> str:
    """Return the name of a latent.

    Args:
        start: first frame within the window, at the set's frame rate.
        suffix: 0 for the whole clip; else its last latent frames, encoded as given.
    """
    return f"{key} {start}" + (f"/last{suffix}" if suffix else "")


def text_key(text: str) -> str:
    """Return the key of a text's states."""
    return digest_parts("text", text)


def starts_of(bucket: Bucket, window_frames: int, max_starts: int) -> tuple[int, ...]:
    """Return the starts that are encoded of a sample: at most `max_starts`, half a clip apart or more."""
    fitting = 1 + 2 * max(0, window_frames - bucket.num_frames) // bucket.num_frames
    return encoded_starts(window_frames, bucket.num_frames, min(max_starts, fitting))


def suffixes_of(vae: VaeConfig, bucket: Bucket) -> tuple[int, ...]:
    """Return the suffixes that are encoded as given; none where no latent depends on the frames before it."""
    if not vae.encoder_history:
        return ()
    return suffix_lengths(vae.latent_shape(bucket.num_frames, bucket.height, bucket.width)[1])


def variants_of(
    index: ShardIndex, max_starts: int, vae_config: VaeConfig
) -> list[tuple[tuple[int, int], ...]]:
    """Return (start, suffix) of every latent that is kept of each sample; suffix 0 is the whole clip."""

    @cache
    def of_bucket(bucket: Bucket, window_frames: int) -> tuple[tuple[int, int], ...]:
        suffixes = (0, *suffixes_of(vae_config, bucket))
        starts = starts_of(bucket, window_frames, max_starts)
        return tuple((start, suffix) for start in starts for suffix in suffixes)

    return [of_bucket(*row) for row in zip(index.buckets, index.column("window_frames"), strict=True)]


def sample_ids(index: ShardIndex) -> list[str]:
    """Return what the texts of each sample are known by: their digest, or the row in a set of an older
    version."""
    if names_content(index):
        return index.column("text_digest")
    return [f"{index.digest}/{row}" for row in range(index.num_samples)]


def names_content(index: ShardIndex) -> bool:
    """Return whether the index names what its samples hold; one of an older version does not."""
    return all(index.column("text_digest")) and all(index.column("media_digest"))


def write_samples(storage: Storage, rows: Sequence[dict[str, str]], name: str = "") -> None:
    """Record the media digest and the text keys of samples.

    Args:
        name: file to replace; by default a new one.
    """
    if rows:
        pq.write_table(pa.Table.from_pylist(rows, schema=_SAMPLES), sink := pa.BufferOutputStream())
        storage.put(f"{SAMPLES}/{name or uuid4().hex}.parquet", sink.getvalue())


def read_samples(storage: Storage) -> pa.Table:
    """Return what `write_samples` recorded. A damaged file counts as none: its samples are read again."""
    keys = sorted(info.key for info in storage.list(SAMPLES) if info.key.endswith(".parquet"))
    with ThreadPoolExecutor(storage.max_concurrency) as pool:
        parts = list(pool.map(storage.read, keys))
    tables = (read_parquet(part, _SAMPLES) for part in parts)
    return pa.concat_tables([_SAMPLES.empty_table(), *(table for table in tables if table is not None)])


def read_parquet(data: bytes, schema: pa.Schema) -> pa.Table | None:
    """Return a table from the bytes of a Parquet file; None if they are damaged."""
    try:
        return pq.read_table(io.BytesIO(data), schema=schema)
    except (pa.ArrowInvalid, OSError):
        return None


def samples_of(index: ShardIndex, samples: pa.Table) -> pa.Table:
    """Return `media_digest` and the text keys of each row of an index, null for what is not known yet."""
    ids = pa.array(sample_ids(index), pa.string())
    rows = samples.take(pc.index_in(ids, value_set=combine(samples["sample"])))
    media = pa.array(index.column("media_digest"), pa.string())
    media = pc.if_else(pc.equal(media, ""), combine(rows["media_digest"]), media)
    return pa.table({"sample": ids, "media_digest": media, **{name: rows[name] for name in CAPTIONS}})
