"""Write shards: a task takes planned shards and writes each as a plain WebDataset tar."""

import json
from functools import partial
from typing import Any

import cv2
import numpy as np
from ray.data import Dataset

from manifests.digest import digest_bytes, digest_parts
from manifests.records import LENGTHS
from manifests.storage import Storage, is_disk_full, open_storage
from pipeline.media.read import read_media
from pipeline.media.tar import TarWriter
from pipeline.runtime.context import StageContext
from pipeline.runtime.tasks import task_args
from pipeline.runtime.units import from_row
from video.cut import JPEG_QUALITY


def add_pack(shards: Dataset, context: StageContext, out_uri: str) -> Dataset:
    """Map rows of `Shard` units to one row a task: `samples`, where each lies, or `full`, the error."""
    pack = partial(pack_batch, dataset_uri=context.dataset_uri, out_uri=out_uri)
    return shards.map(pack, **task_args(context))


def pack_batch(row: dict[str, Any], *, dataset_uri: str, out_uri: str) -> dict[str, str]:
    """Write the shards of one row; return the error of a full disk in `full` instead of raising it."""
    try:
        return {
            "samples": json.dumps(write_shards(row, dataset_uri=dataset_uri, out_uri=out_uri)),
            "full": "",
        }
    except OSError as error:
        if not is_disk_full(error):
            raise
        return {"samples": "[]", "full": str(error)}


def write_shards(row: dict[str, Any], *, dataset_uri: str, out_uri: str) -> list[dict[str, Any]]:
    """Write the shards of one row below `out_uri`; return where each sample lies."""
    media, target = open_storage(dataset_uri), open_storage(out_uri)
    return [sample for shard in from_row(row) for sample in _write_shard(shard, media, target)]


def _write_shard(shard: dict[str, Any], media: Storage, target: Storage) -> list[dict[str, Any]]:
    """Write one tar: for each clip its media, its text as `.txt` and its record as `.json`."""
    written: list[dict[str, Any]] = []
    with TarWriter(target, shard["path"]) as tar:
        for sample in shard["samples"]:
            name = sample["key"]
            record = json.dumps(sample["record"], indent=1, sort_keys=True, ensure_ascii=False)
            content = _packed(read_media(media, sample), sample)
            start, _ = tar.add(f"{name}.{sample['packed_as']}", content)
            tar.add(f"{name}.txt", sample["text"].encode())
            tar.add(f"{name}.json", record.encode())
            ref = {name: sample[name] for name in ("key", "clip_id", "media_id", "source", "window_frames")}
            ref |= {"bucket": shard["bucket"], "shard": shard["path"], "offset": start}
            ref |= {"length": tar.end - start, "media_digest": digest_bytes(content)}
            written.append(ref | {"text_digest": _text_digest(sample)})
    return written


def _packed(content: bytes, sample: dict[str, Any]) -> bytes:
    """Return the media bytes in the format that they are packed in."""
    if sample["packed_as"] == sample["extension"]:
        return content
    picture = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    if picture is None:
        raise ValueError(
            f"{sample['path']}: the still {sample['clip_id']} cannot be decoded; `kinora captions check "
            "--media` finds damaged media"
        )
    options = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY] if sample["packed_as"] == "jpg" else []
    return cv2.imencode(f".{sample['packed_as']}", picture, options)[1].tobytes()


def _text_digest(sample: dict[str, Any]) -> str:
    """Return the digest of the text of the `.txt` member and of those in the record."""
    caption = sample["record"]["caption"]
    return digest_parts("texts", sample["text"], *(caption[length] for length in LENGTHS))
