"""Packed sets for `benchmarks.loader`: a long clip of 720p, and short clips like those of the demo."""

import io
import json
import tarfile
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from manifests.digest import digest_bytes
from manifests.records import Bucket, SampleRef
from manifests.shards import write_index
from video.encode import VideoWriter

SET_FPS = 8.0
SOURCE_FPS, SOURCE_SIZE = 24, (720, 1280)
WINDOW_S = 4
"""What `cut.window_s` makes of 20 s: windows of equal length, at most 4.25 s."""


class Sample(NamedTuple):
    """What a set holds of one clip."""

    key: str
    media: bytes
    bucket: Bucket
    window_frames: int
    text: str


def write_film(root: Path, bucket: Bucket, seconds: int, seed: int) -> int:
    """Write a set of one clip, whole and in windows of `WINDOW_S`, and return its frames at the set's rate.

    A camera pans over a texture with noise, a disc crosses.
    """
    rng = np.random.default_rng(seed)
    height, width = SOURCE_SIZE
    texture_HWC = cv2.resize(rng.integers(0, 255, (200, 400, 3), np.uint8), (2 * width, 2 * height))
    grain_HWC = rng.integers(-2, 3, (height + 64, width + 64, 3), np.int16)

    def frame(number: int) -> np.ndarray:
        left, top = int(500 * (1 + np.sin(number / 60))), int(300 * (1 + np.cos(number / 90)))
        rgb_HWC = texture_HWC[top : top + height, left : left + width].copy()
        cv2.circle(rgb_HWC, (int(640 + 400 * np.sin(number / 10)), 360), 80, (255, number % 255, 0), -1)
        dy, dx = rng.integers(0, 64, 2)
        return np.clip(rgb_HWC + grain_HWC[dy : dy + height, dx : dx + width], 0, 255).astype(np.uint8)

    window = WINDOW_S * SOURCE_FPS
    pictures = range(seconds * SOURCE_FPS)
    samples = [
        Sample(
            "film", encode(map(frame, pictures), height, width), bucket, round(seconds * SET_FPS), "a film"
        )
    ]
    for number, start in enumerate(pictures[::window]):
        media = encode(map(frame, pictures[start : start + window]), height, width)
        samples.append(Sample(f"film-{number:03d}", media, bucket, round(WINDOW_S * SET_FPS), "a film"))
    write_shards(root, samples)
    return samples[0].window_frames


def write_clips(root: Path, count: int, seed: int, *, changed_caption: bool = False) -> None:
    """Write a set like the demo's, or write it anew: short clips of 64 to 96 pixels, in three buckets.

    Args:
        changed_caption: whether the short caption of the first clip is another one.
    """
    rng = np.random.default_rng(seed)
    shapes = [(64, 64), (64, 96), (96, 64)]
    samples = []
    for number in range(count):
        height, width = shapes[number % len(shapes)]
        ground_HWC = cv2.resize(rng.integers(0, 255, (6, 6, 3), np.uint8), (width, height))

        def frame(time: int, ground_HWC: np.ndarray = ground_HWC) -> np.ndarray:
            rgb_HWC = ground_HWC.copy()
            cv2.circle(rgb_HWC, (8 + time % (rgb_HWC.shape[1] - 16), 32), 8, (255, 255, 255), -1)
            return rgb_HWC

        bucket = Bucket(num_frames=17, height=height, width=width)
        text = "another caption" if changed_caption and number == 0 else f"disc {number} moves right"
        media = encode(map(frame, range(54)), height, width)
        samples.append(Sample(f"clip-{number:03d}", media, bucket, 17, text))
    write_shards(root, samples)


def encode(frames: Iterable[np.ndarray], height: int, width: int) -> bytes:
    """Encode frames as `video.cut` does."""
    buffer, time_base = io.BytesIO(), Fraction(1, SOURCE_FPS)
    with VideoWriter(buffer, height=height, width=width, fps=SOURCE_FPS, time_base=time_base) as writer:
        for number, rgb_HWC in enumerate(frames):
            writer.write(rgb_HWC, number)
    return buffer.getvalue()


def write_shards(root: Path, samples: Iterable[Sample]) -> None:
    """Write one tar with its index, over what is there."""
    root.mkdir(exist_ok=True)
    refs = []
    with (root / "000000.tar").open("wb") as file, tarfile.open(fileobj=file, mode="w") as tar:
        for sample in samples:
            start = file.tell()
            caption = {"short": sample.text, "dense": f"{sample.key}: a disc over a ground of soft colours"}
            record = json.dumps({"caption": caption}).encode()
            for extension, content in {
                "mp4": sample.media,
                "txt": sample.text.encode(),
                "json": record,
            }.items():
                info = tarfile.TarInfo(f"{sample.key}.{extension}")
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
            refs.append(
                SampleRef(
                    clip_id=sample.key,
                    source=f"source-{sample.key}",
                    media_digest=digest_bytes(sample.media),
                    text_digest=digest_bytes(record),
                    bucket=sample.bucket,
                    shard="000000.tar",
                    offset=start,
                    length=file.tell() - start,
                    window_frames=sample.window_frames,
                )
            )
    write_index(root, refs, fps=SET_FPS)
