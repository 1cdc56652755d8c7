"""Write shards: a task takes some planned shards and writes each as a plain WebDataset tar."""

import json
from functools import partial
from typing import Any

from ray.data import Dataset

from manifests.storage import Storage, is_disk_full, open_storage
from pipeline.config import PoolConfig
from pipeline.media.read import read_media
from pipeline.media.tar import TarWriter
from pipeline.runtime.tasks import task_pool_args
from pipeline.runtime.units import MAX_RETRIES, from_row


def add_pack(shards: Dataset, uri: str, out: str, pool: PoolConfig) -> Dataset:
    """In: rows of `Shard` units. Out: one row a task: `places`, where in which shard each sample lies, or why
    there is no room for them (`full`)."""
    some = partial(pack_batch, uri=uri, out=out)
    return shards.map(some, max_retries=MAX_RETRIES, **task_pool_args(pool))


def pack_batch(row: dict[str, Any], *, uri: str, out: str) -> dict[str, str]:
    """Write the shards of one row; want of room is no exception, of which Ray would make many lines."""
    try:
        return {"places": json.dumps(write_shards(row, uri=uri, out=out)), "full": ""}
    except OSError as error:
        if not is_disk_full(error):
            raise
        return {"places": "[]", "full": str(error)}


def write_shards(row: dict[str, Any], *, uri: str, out: str) -> list[dict[str, Any]]:
    """Write the shards of one row, with media from the dataset at `uri`, below `out`."""
    media, target = open_storage(uri), open_storage(out)
    return [place for shard in from_row(row) for place in _write_shard(shard, media, target)]


def _write_shard(shard: dict[str, Any], media: Storage, target: Storage) -> list[dict[str, Any]]:
    """Write one tar: for each clip its media, its short caption as `.txt` and its record as `.json`."""
    places: list[dict[str, Any]] = []
    with TarWriter(target, shard["path"]) as tar:
        for sample in shard["samples"]:
            name = sample["clip_id"]
            record = json.dumps(sample["record"], indent=1, sort_keys=True, ensure_ascii=False)
            start, _ = tar.add(f"{name}.{sample['extension']}", read_media(media, sample))
            tar.add(f"{name}.txt", sample["short"].encode())
            tar.add(f"{name}.json", record.encode())
            place = {"clip_id": name, "bucket": shard["bucket"], "shard": shard["path"]}
            places.append(place | {"offset": start, "length": tar.end - start})
    return places
