"""One packed sample to tensors: read its tar members, decode, resample to its bucket.

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

IMAGES = frozenset({"png", "jpg", "jpeg"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Packed:
    """The members of one sample of a shard."""

    clip_id: str
    media: bytes
    extension: str
    short: str
    """The one-sentence caption."""
    dense: str
    """The long caption; the short one again where there is no other."""


def read_packed(index: ShardIndex, ref: SampleRef) -> Packed:
    """Read one sample with one seek. Raises ValueError for one that lacks a member."""
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
    return Packed(clip_id=ref.clip_id, media=files[extension], extension=extension, short=short, dense=dense)


def decode(packed: Packed, bucket: Bucket, fps: float) -> np.ndarray:
    """Return frames_THWC (uint8) in the shape of `bucket`, frames taken at `fps` from the clip's start."""
    native_THWC = _image(packed) if packed.extension in IMAGES else _frames(packed, bucket.num_frames, fps)
    return cover(native_THWC, bucket.height, bucket.width)


def cover(frames_THWC: np.ndarray, height: int, width: int) -> np.ndarray:
    """Scale frames until they cover height x width, keeping their shape, and cut out the centre."""
    old_height, old_width = frames_THWC.shape[1:3]
    scale = max(height / old_height, width / old_width)
    new_height, new_width = max(height, round(old_height * scale)), max(width, round(old_width * scale))
    top, left = (new_height - height) // 2, (new_width - width) // 2
    if (new_height, new_width) != (old_height, old_width):
        way = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
        resized = [cv2.resize(frame, (new_width, new_height), interpolation=way) for frame in frames_THWC]
        frames_THWC = np.stack(resized)
    return np.ascontiguousarray(frames_THWC[:, top : top + height, left : left + width])


def _image(packed: Packed) -> np.ndarray:
    image = cv2.imdecode(np.frombuffer(packed.media, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise ValueError(f"clip {packed.clip_id}: its {packed.extension} cannot be decoded; pack again")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)[None]


def _frames(packed: Packed, num_frames: int, fps: float) -> np.ndarray:
    """Return the frame nearest to each instant k / fps. A packed clip is short, so it is read in sequence."""
    frames_THWC, times_T = read_clip(packed.media)
    nearest_T = np.abs(times_T[None] - np.arange(num_frames)[:, None] / fps).argmin(axis=1)
    return frames_THWC[nearest_T]
