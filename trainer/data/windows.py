"""The start of a training sample within the window of footage that was packed for it, in frames at the
bucket's rate."""

from collections.abc import Sequence

from trainer.rng import generator


def draw_start(seed: int, step: int, key: str, window_frames: int, num_frames: int) -> int:
    """Draw the first frame of a sample from [0, window_frames - num_frames], uniformly.

    Args:
        key: key of the sample in its shard.
        window_frames: frames that were packed.
        num_frames: frames of the bucket.
    """
    return draw_encoded_start(seed, step, key, range(max(1, window_frames - num_frames + 1)))


def draw_encoded_start(seed: int, step: int, key: str, starts: Sequence[int]) -> int:
    """Draw one of `starts` by (seed, step, key), uniformly."""
    return starts[int(generator(seed, step, key, "start").integers(len(starts)))]


def encoded_starts(window_frames: int, num_frames: int, max_starts: int) -> tuple[int, ...]:
    """Return at most `max_starts` starts, evenly spread, with the first and the last; only 0 for one start.

    Raises ValueError where `max_starts` is below 1.
    """
    if max_starts < 1:
        raise ValueError(f"max_starts is {max_starts}: encode at least one start of each window")
    last = max(0, window_frames - num_frames)
    count = min(max_starts, last + 1)
    return tuple(round(index * last / (count - 1)) for index in range(count)) if count > 1 else (0,)
