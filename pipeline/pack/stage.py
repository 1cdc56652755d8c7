"""Write tars: a task takes the tars of a few shards and writes each as a plain WebDataset tar."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from fractions import Fraction
from functools import partial
from typing import Any

import cv2
import numpy as np
from ray.data import Dataset

from manifests.digest import digest_bytes
from manifests.storage import Storage, is_disk_full, open_storage
from pipeline.media.read import read_media
from pipeline.media.tar import TarWriter
from pipeline.pack.samples import Sample
from pipeline.pack.splice import add_texts, text_digest
from pipeline.runtime.context import StageContext
from pipeline.runtime.tasks import task_args
from pipeline.runtime.units import from_row
from video.audio import cut_with_sound
from video.cut import JPEG_QUALITY
from video.errors import VideoError
from video.probe import probe

_TRIM_CRF = 12
"""Quality of a video that is encoded once more; clips are cut at 18 by default."""


def add_pack(tars: Dataset, context: StageContext, out_uri: str) -> Dataset:
    """Map rows of `Tar` units to one row a task: `samples`, where each lies, or `full`, the error."""
    pack = partial(pack_batch, dataset_uri=context.dataset_uri, out_uri=out_uri)
    return tars.map(pack, **task_args(context))


def pack_batch(row: dict[str, Any], *, dataset_uri: str, out_uri: str) -> dict[str, str]:
    """Write the tars of one row; return the error of a full disk in `full` instead of raising it."""
    try:
        return {
            "samples": json.dumps(write_tars(row, dataset_uri=dataset_uri, out_uri=out_uri)),
            "full": "",
        }
    except OSError as error:
        if not is_disk_full(error):
            raise
        return {"samples": "[]", "full": str(error)}


def write_tars(row: dict[str, Any], *, dataset_uri: str, out_uri: str) -> list[dict[str, Any]]:
    """Write the tars of one row below `out_uri`; return where each sample lies, by column of the index."""
    media, target = open_storage(dataset_uri), open_storage(out_uri)
    return [sample for tar in from_row(row) for sample in _write_tar(tar, media, target)]


def _write_tar(planned: dict[str, Any], media: Storage, target: Storage) -> list[dict[str, Any]]:
    """Write one tar: of each clip its media, or its text (`.txt`) and record (`.json`), or all three."""
    path, kind = planned["path"], planned["kind"]
    written: list[dict[str, Any]] = []
    with TarWriter(target, path) as tar:
        for sample in planned["samples"]:
            start, ref, record = tar.end, {"key": sample["key"]}, sample["record"]
            content = b""
            if kind != "captions" or sample.get("trim_s"):
                content, changed = _packed(read_media(media, sample), sample)
                record = record | changed
            if kind != "captions":
                tar.add(f"{sample['key']}.{sample['packed_as']}", content)
                ref["media_digest"] = digest_bytes(content)
            if kind != "media":
                add_texts(tar, sample["key"], sample["text"], record)
                ref["text_digest"] = text_digest(sample["text"], record)
            side = "sidecar_" if kind == "captions" else ""
            place = {f"{side}offset": start, f"{side}length": tar.end - start}
            written.append(ref | place | {"sidecar" if side else "shard": path})
    return written


def record_of(sample: Sample, media: Storage) -> Mapping[str, Any]:
    """Return the record of a sample as its tar of captions has it: one that is trimmed has fewer frames."""
    if not sample.trim_s:
        return sample.record
    row = asdict(sample)
    return {**sample.record, **_packed(read_media(media, row), row)[1]}


def _packed(content: bytes, sample: dict[str, Any]) -> tuple[bytes, dict[str, Any]]:
    """Return the media bytes as they are packed, and what that changes of the record."""
    if sample.get("trim_s"):
        return _trimmed(content, sample)
    if sample["packed_as"] == sample["extension"]:
        return content, {}
    picture = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    if picture is None:
        raise ValueError(
            f"{sample['path']}: the still {sample['clip_id']} cannot be decoded; `kinora captions check "
            "--media` finds damaged media"
        )
    options = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY] if sample["packed_as"] == "jpg" else []
    return cv2.imencode(f".{sample['packed_as']}", picture, options)[1].tobytes(), {}


def _trimmed(content: bytes, sample: dict[str, Any]) -> tuple[bytes, dict[str, Any]]:
    """Return the span of a video that a reviewer gave, encoded once more, and its number of frames."""
    try:
        unit_s = probe(content).time_base
        start, end = (round(Fraction(side) / unit_s) for side in sample["trim_s"])
        [clip] = cut_with_sound(content, [(start, end)], audio="copy", crf=_TRIM_CRF)
    except VideoError as error:
        raise ValueError(
            f"{sample['path']}: the video {sample['key']} cannot be trimmed to the span that a reviewer gave "
            f"({error}); withdraw that decision, or cut the clip again"
        ) from error
    return clip.media, {"num_frames": clip.num_frames, "fps": float(clip.fps)}
