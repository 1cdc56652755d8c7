"""Write shards: a task takes some planned shards and writes each as a plain WebDataset tar."""

import json
from functools import partial
from pathlib import Path
from typing import Any

from ray.data import Dataset

from pipeline.media import read_media
from pipeline.tar import TarWriter
from pipeline.units import MAX_RETRIES, from_row


def add_pack(shards: Dataset, root: Path, out: Path) -> Dataset:
    """In: rows of `Shard` units. Out: one row a sample, saying where in which shard it lies."""
    return shards.flat_map(partial(write_shards, root=root, out=out), max_retries=MAX_RETRIES)


def write_shards(row: dict[str, Any], *, root: Path, out: Path) -> list[dict[str, Any]]:
    """Write the shards of one row, with media from the dataset at `root`, below `out`."""
    return [place for shard in from_row(row) for place in _write_shard(shard, root, out)]


def _write_shard(shard: dict[str, Any], root: Path, out: Path) -> list[dict[str, Any]]:
    """Write one tar: for each clip its media, its short caption as `.txt` and its record as `.json`."""
    places: list[dict[str, Any]] = []
    with TarWriter(out / shard["path"]) as tar:
        for sample in shard["samples"]:
            name = sample["clip_id"]
            record = json.dumps(sample["record"], indent=1, sort_keys=True, ensure_ascii=False)
            start, _ = tar.add(f"{name}.{sample['extension']}", read_media(root, sample))
            tar.add(f"{name}.txt", sample["short"].encode())
            tar.add(f"{name}.json", record.encode())
            place = {"clip_id": name, "bucket": shard["bucket"], "shard": shard["path"]}
            places.append(place | {"offset": start, "length": tar.end - start})
    return places
