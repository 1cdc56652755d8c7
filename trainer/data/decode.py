"""Read and decode one packed sample: its tar members, its frames, resampled to its bucket.

Legend: T frames, H height, W width, C channels (RGB).
"""

import json
from dataclasses import dataclass
from io import BytesIO
from tarfile import open as open_tar

import cv2
import numpy as np

from manifests.records import Bucket, SampleRef
from manifests.shards import ShardIndex
from video.frames import read_clip
from video.resize import resize_and_crop

IMAGES = frozenset({"png", "jpg", "jpeg"})


@dataclass(frozen=True, kw_only=True, slots=True)
class RawSample:
    """The tar members of one sample, before decoding."""

    clip_id: str
    media: bytes
    extension: str
    short: str
    """The one-sentence caption."""
    dense: str
    """The long caption, or the short one where there is none."""


def read_sample(index: ShardIndex, ref: SampleRef) -> RawSample:
    """Read one sample with one seek. Raises ValueError where a member is missing."""
    with open_tar(fileobj=BytesIO(index.read(ref)), mode="r:") as tar:
        files = {
            member.name.rsplit(".", 1)[-1]: handle.read()
            for member in tar
            if (handle := tar.extractfile(member)) is not None
        }
    extension = next((name for name in ("mp4", *sorted(IMAGES)) if name in files), None)
    if extension is None or "txt" not in files:
        raise ValueError(
            f"{index.root / ref.shard} at byte {ref.offset}: clip {ref.clip_id} has {sorted(files)}, "
            "but needs a video or an image and a .txt; pack again"
        )
    short = files["txt"].decode().strip()
    caption = json.loads(files["json"]).get("caption") if "json" in files else None
    dense = (caption or {}).get("dense") or short
    return RawSample(
        clip_id=ref.clip_id, media=files[extension], extension=extension, short=short, dense=dense
    )


def decode_sample(sample: RawSample, bucket: Bucket, fps: float) -> np.ndarray:
    """Return frames_THWC (uint8) in the shape of `bucket`, at `fps` from the clip's start."""
    native_THWC = (
        _decode_image(sample) if sample.extension in IMAGES else _decode_video(sample, bucket.num_frames, fps)
    )
    return resize_and_crop(native_THWC, bucket.height, bucket.width)


def _decode_image(sample: RawSample) -> np.ndarray:
    image = cv2.imdecode(np.frombuffer(sample.media, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise ValueError(f"clip {sample.clip_id}: its {sample.extension} cannot be decoded; pack again")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)[None]


def _decode_video(sample: RawSample, num_frames: int, fps: float) -> np.ndarray:
    """Return the frame nearest to each k / fps. Packed clips are short, so decode in sequence."""
    frames_THWC, times_T = read_clip(sample.media)
    nearest_T = np.abs(times_T[None] - np.arange(num_frames)[:, None] / fps).argmin(axis=1)
    return frames_THWC[nearest_T]
