"""Read and decode one packed sample: its tar members, and the frames of one start within its window.

Legend: T frames, H height, W width, C channels (RGB).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from io import BytesIO
from tarfile import TarError
from tarfile import open as open_tar
from typing import Any

import cv2
import numpy as np

from manifests.records import Bucket, SampleRef
from manifests.shards import ShardIndex
from video.chosen_frames import read_nearest
from video.errors import VideoError
from video.resize import resize_and_crop

IMAGES = frozenset({"png", "jpg", "jpeg"})


@dataclass(frozen=True, kw_only=True, slots=True)
class RawSample:
    """The tar members of one sample, before decoding."""

    clip_id: str
    media: bytes
    extension: str
    short: str
    """The text of the `.txt` member: the one-sentence caption, or the text that `pack --captions` fixed."""
    dense: str
    """The long caption, or `short` where there is none, or where the text is fixed."""
    parts: Mapping[str, str | list[str]] = field(default_factory=dict[str, str | list[str]])
    """What the captioner listed of the clip by the names of `manifests.records.PARTS`; empty if it was not
    asked, and in sets of earlier versions."""


def read_sample(index: ShardIndex, ref: SampleRef) -> RawSample:
    """Read one sample with one seek a tar.

    Raises ValueError where a member is missing or the tar is damaged.
    """
    return raw_sample(index, ref, _members(index, ref, index.read(ref)))


def read_texts(index: ShardIndex, ref: SampleRef) -> tuple[str, str]:
    """Read `short` and `dense` of one sample of a split set, without its media. Raises as `read_sample`."""
    files = _members(index, ref, index.read_sidecar(ref))
    if "txt" not in files:
        where = f"{index.root / ref.sidecar} at byte {ref.sidecar_offset}"
        raise ValueError(f"{where}: clip {ref.clip_id} has no .txt; pack again")
    return _texts(files, _caption(files))


def _members(index: ShardIndex, ref: SampleRef, data: bytes) -> dict[str, bytes]:
    """Return the members of a stretch of a tar by extension."""
    try:
        with open_tar(fileobj=BytesIO(data), mode="r:") as tar:
            return {
                member.name.rsplit(".", 1)[-1]: handle.read()
                for member in tar
                if (handle := tar.extractfile(member)) is not None
            }
    except TarError as error:
        raise damaged_tar(index, ref, error) from error


def _caption(files: Mapping[str, bytes]) -> Mapping[str, Any]:
    """Return what the record among the members of a sample says of its caption; empty without one."""
    return (json.loads(files["json"]).get("caption") if "json" in files else None) or {}


def _texts(files: Mapping[str, bytes], caption: Mapping[str, Any]) -> tuple[str, str]:
    """Return `short` and `dense` of a sample from its members and what its record says of the caption."""
    short = files["txt"].decode().strip()
    return short, short if caption.get("fixed_length") else caption.get("dense") or short


def damaged_tar(index: ShardIndex, ref: SampleRef, error: TarError) -> ValueError:
    """Return the error to raise for a tar that cannot be read from `ref` on."""
    where = f"{index.root / ref.shard} at byte {ref.offset}"
    return ValueError(f"{where}: clip {ref.clip_id}: no tar ({error}); pack again")


def raw_sample(index: ShardIndex, ref: SampleRef, files: Mapping[str, bytes]) -> RawSample:
    """Return one sample from its tar members by extension. Raises ValueError where a member is missing."""
    extension = next((name for name in ("mp4", *sorted(IMAGES)) if name in files), None)
    if extension is None or "txt" not in files:
        raise ValueError(
            f"{index.root / ref.shard} at byte {ref.offset}: clip {ref.clip_id} has {sorted(files)}, "
            "but needs a video or an image and a .txt; pack again"
        )
    caption = _caption(files)
    short, dense = _texts(files, caption)
    return RawSample(
        clip_id=ref.clip_id,
        media=files[extension],
        extension=extension,
        short=short,
        dense=dense,
        parts=json.loads(caption.get("parts") or "{}"),
    )


def decode_sample(
    sample: RawSample, bucket: Bucket, fps: float, *, start: int = 0, num_frames: int | None = None
) -> np.ndarray:
    """Return frames_THWC (uint8) in the size of `bucket`: of a video, the frame nearest to each k / fps.

    Args:
        fps: the set's frame rate.
        start: first k; a start within the window (`trainer.data.windows`).
        num_frames: how many; those of the bucket by default.

    Raises ValueError for a medium that cannot be decoded.
    """
    if sample.extension in IMAGES:
        return resize_and_crop(_decode_image(sample), bucket.height, bucket.width)
    times_s = (start + np.arange(num_frames or bucket.num_frames)) / fps
    try:
        return read_nearest(
            sample.media,
            times_s.tolist(),
            transform=lambda rgb_HWC: resize_and_crop(rgb_HWC[None], bucket.height, bucket.width)[0],
        )
    except VideoError as error:
        raise ValueError(
            f"clip {sample.clip_id}: its video cannot be decoded ({error}); pack again"
        ) from error


def _decode_image(sample: RawSample) -> np.ndarray:
    image = cv2.imdecode(np.frombuffer(sample.media, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise ValueError(f"clip {sample.clip_id}: its {sample.extension} cannot be decoded; pack again")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)[None]
