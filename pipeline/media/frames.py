"""Which frames of a medium a captioner may choose from."""

from math import ceil


def frame_step(num_frames: int, max_frames: int) -> int:
    """Return the distance of the frames given to a captioner: every n-th, `max_frames` at most."""
    return max(1, ceil(num_frames / max_frames))
