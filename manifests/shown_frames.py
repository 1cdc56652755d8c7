"""Which frames of a media a caption is of: captions number them among those that the captioner was given."""

from collections.abc import Iterable
from math import ceil

MAX_FRAMES = 96
"""Frames given to a captioner at most, where the configuration of its run does not say."""


def frame_step(num_frames: int, max_frames: int) -> int:
    """Return the distance of the frames given to a captioner: every n-th, `max_frames` at most."""
    return max(1, ceil(num_frames / max_frames))


def frames_of_media(frames_shown: Iterable[int], num_frames: int, max_frames: int) -> list[int]:
    """Return the indices in the media, of `num_frames`, of what a caption calls `frames_shown`."""
    step = frame_step(num_frames, max_frames)
    return [index * step for index in frames_shown]
