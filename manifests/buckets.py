"""Assign clips to buckets (tensor shapes), and name the folders of their shards."""

from collections.abc import Iterable
from fractions import Fraction
from math import ceil

import numpy as np

from manifests.records import Bucket

_NAMED_RATIOS = {
    "239-100": Fraction(239, 100),
    "16-9": Fraction(16, 9),
    "4-3": Fraction(4, 3),
    "1-1": Fraction(1),
    "3-4": Fraction(3, 4),
    "9-16": Fraction(9, 16),
    "100-239": Fraction(100, 239),
}


def crop_fraction(height: int, width: int, bucket: Bucket) -> float:
    """Return the fraction of a frame's area lost by resizing it to cover `bucket` and centre-cropping."""
    scale = max(bucket.height / height, bucket.width / width)
    return 1 - (bucket.height * bucket.width) / (height * width * scale**2)


def frames_at(duration_s: float, fps: float) -> int:
    """Return the number of frames sampled at `fps` from a clip of `duration_s` seconds; at least 1."""
    return max(1, ceil(duration_s * fps - 1e-6))


def frames_of(duration_N: np.ndarray, fps: float) -> np.ndarray:
    """Return `frames_at` of each of N durations in seconds."""
    return np.maximum(1, np.ceil(duration_N * fps - 1e-6)).astype(np.int64)


def assign(
    *, num_frames: int, height: int, width: int, buckets: Iterable[Bucket], max_crop: float
) -> Bucket | None:
    """Return the largest bucket that a clip fills without upscaling or cropping more than `max_crop`.

    `num_frames` counts frames at the bucket's frame rate (`frames_at`). Ties are broken by the smaller crop,
    then by name, independent of the order of `buckets`. Returns None if no bucket fits.
    """
    fits = [
        bucket
        for bucket in buckets
        if bucket.num_frames <= num_frames
        and bucket.height <= height
        and bucket.width <= width
        and crop_fraction(height, width, bucket) <= max_crop
    ]

    def rank(bucket: Bucket) -> tuple[int, float, str]:
        volume = bucket.num_frames * bucket.height * bucket.width
        return volume, -crop_fraction(height, width, bucket), bucket.name

    return max(fits, key=rank, default=None)


def rejection_reason(
    *, num_frames: int, height: int, width: int, buckets: Iterable[Bucket], max_crop: float
) -> str:
    """Return why `assign` returned None: `too_short`, `too_small` or `crops_too_much`."""
    buckets = list(buckets)
    if not any(bucket.num_frames <= num_frames for bucket in buckets):
        return "too_short"
    if not any(bucket.height <= height and bucket.width <= width for bucket in buckets):
        return "too_small"
    return "crops_too_much"


def shard_folder(bucket: Bucket, fps: float) -> str:
    """Return the folder of a bucket's shards: `ar_RATIO/dur_DURATION/res_WIDTHxHEIGHT`."""
    ratio = Fraction(bucket.width, bucket.height)
    aspect = min(_NAMED_RATIOS, key=lambda name: abs(float(_NAMED_RATIOS[name] / ratio) - 1))
    duration = "image" if bucket.num_frames == 1 else f"{bucket.num_frames}f_{bucket.num_frames / fps:.2g}s"
    return f"ar_{aspect}/dur_{duration}/res_{bucket.width}x{bucket.height}"


def parse_bucket(name: str) -> Bucket:
    """Parse a bucket name such as `17x48x80` (frames, height, width).

    Raises ValueError if `name` has another form.
    """
    try:
        num_frames, height, width = (int(part) for part in name.lower().split("x"))
    except ValueError:
        raise ValueError(f"bucket {name!r}: write frames x height x width, such as 17x48x80") from None
    if min(num_frames, height, width) < 1:
        raise ValueError(f"bucket {name!r}: every side must be at least 1")
    return Bucket(num_frames=num_frames, height=height, width=width)
