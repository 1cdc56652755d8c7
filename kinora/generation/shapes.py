"""Choose the shape of a result: what was asked for, else the nearest shape that the model was trained on."""

from collections.abc import Sequence
from math import log
from typing import NamedTuple

from kinora.generation.request import DEFAULT_SECONDS, Request, Verb
from manifests.buckets import parse_bucket
from trainer.sample.frames import nearest_length

MIN_SIDE_PX, MAX_SIDE_PX = 16, 4096


class Size(NamedTuple):
    """Width and height in pixels."""

    width: int
    height: int

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"


def parse_size(text: str) -> Size:
    """Parse `64x48`. Raises ValueError for another form, and for sides that no model makes."""
    try:
        width, height = (int(part) for part in text.lower().split("x"))
    except ValueError:
        raise ValueError(f"--size {text}: expected WIDTHxHEIGHT, such as 64x64") from None
    if not MIN_SIDE_PX <= min(width, height) <= max(width, height) <= MAX_SIDE_PX:
        raise ValueError(f"--size {text}: sides must be from {MIN_SIDE_PX} to {MAX_SIDE_PX} pixels")
    return Size(width, height)


def trained_sizes(buckets: Sequence[str]) -> list[Size]:
    """Return the sizes of the training clips, ascending."""
    return sorted({Size(bucket.width, bucket.height) for bucket in map(parse_bucket, buckets)})


def nearest_size(like: Size, trained: Sequence[Size]) -> Size:
    """Return the trained size of the nearest aspect ratio; of several, the largest."""
    if not trained:
        raise ValueError("the model does not say which sizes it was trained on: add --size WIDTHxHEIGHT")
    return min(trained, key=lambda size: (round(_aspect_distance(size, like), 6), -size.width * size.height))


def draft_size(size: Size, side: int, trained: Sequence[Size]) -> Size | None:
    """Return the size of a draft: half of `size`.

    Returns None where its sides are no multiples of `side`, or it is smaller than all that the model knows.
    """
    half = Size(size.width // 2, size.height // 2)
    smallest = min((known.width * known.height for known in trained), default=0)
    fits = size.width % (2 * side) == 0 and size.height % (2 * side) == 0
    return half if fits and half.width * half.height >= smallest else None


def num_frames(request: Request, verb: Verb, fps: float, time_factor: int) -> int:
    """Return the frames to make: those of the new part where a video is extended or two are joined.

    Seconds are rounded to the nearest length that can be made.
    """
    if request.frames is not None:
        return request.frames
    seconds = request.seconds or DEFAULT_SECONDS
    whole_groups = verb in ("connect", "loop") or request.extend == "forward"
    return nearest_length(seconds * fps, time_factor, loop=whole_groups)


def describe_untrained(frames: int | None, height: int, width: int, buckets: Sequence[str]) -> str:
    """Return a line on what of a shape the model was never trained on; empty for a bucket of its training.

    Args:
        frames: None leaves the length out.
    """
    trained = [parse_bucket(name) for name in buckets]
    if any((b.height, b.width) == (height, width) and frames in (b.num_frames, None) for b in trained):
        return ""
    sizes, lengths = trained_sizes(buckets), sorted({b.num_frames for b in trained})
    parts: list[str] = []
    if (width, height) not in sizes:
        parts.append(f"{width}x{height} (it knows {', '.join(map(str, sizes))})")
    if frames not in (*lengths, None):
        parts.append(f"{frames} frames (it knows {', '.join(map(str, lengths))})")
    return f"the model was never trained on {' and '.join(parts) or f'{frames} frames of {width}x{height}'}"


def _aspect_distance(a: Size, b: Size) -> float:
    return abs(log(a.width / a.height) - log(b.width / b.height))
