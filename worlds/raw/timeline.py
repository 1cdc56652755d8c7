"""Timestamps of the frames of a raw video, at a constant or a variable frame rate."""

from bisect import bisect_left
from collections.abc import Collection
from dataclasses import dataclass
from fractions import Fraction
from math import floor
from random import Random

TICK = Fraction(1, 60_000)
"""Time base of variable-rate videos, the finest of MPEG-4; a multiple of most frame rates."""
DROP_RATE = 0.15
"""Probability that a variable-rate video drops a frame."""
JITTER = 0.2
"""Maximum deviation of a timestamp, in frame periods."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Timeline:
    """Exact timestamps of the frames of a file."""

    fps: Fraction
    """Nominal frames per second."""
    times_s: tuple[Fraction, ...]
    """Presentation time of each frame."""
    end_s: Fraction
    """End of the last frame."""
    steady: bool
    """Whether frames are 1 / fps apart."""
    kept: tuple[int, ...] | None = None
    """Frames of the edit that the file contains; None for all."""

    def frame_at(self, edit_frame: int) -> int:
        """Return the index in the file of a frame of the edit, or of the next frame if it is dropped."""
        return edit_frame if self.kept is None else bisect_left(self.kept, edit_frame)

    def time_at(self, frame: int) -> Fraction:
        """Return the start of frame `frame`; the end of the file for index `num_frames`."""
        return self.times_s[frame] if frame < len(self.times_s) else self.end_s

    def pts_at(self, frame: int, time_base: Fraction) -> int:
        """Return `time_at` in units of a time base, rounded half up as FFmpeg does."""
        return floor(self.time_at(frame) / time_base + Fraction(1, 2))

    def after(self, frame: int) -> "Timeline":
        """Return the timeline of the frames from `frame` on, starting at 0."""
        start_s = self.time_at(frame)
        return Timeline(
            fps=self.fps,
            times_s=tuple(time_s - start_s for time_s in self.times_s[frame:]),
            end_s=self.end_s - start_s,
            steady=self.steady,
        )


def steady(num_frames: int, fps: Fraction) -> Timeline:
    """Return a constant-rate timeline."""
    times_s = tuple(frame / fps for frame in range(num_frames))
    return Timeline(fps=fps, times_s=times_s, end_s=num_frames / fps, steady=True)


def uneven(rng: Random, num_frames: int, fps: Fraction, starts: Collection[int]) -> Timeline:
    """Return a variable-rate timeline of an edit, with dropped frames and jittered timestamps.

    No two consecutive frames are dropped.

    Args:
        starts: first frames of shots and transitions, which are never dropped.
    """
    kept: list[int] = []
    for frame in range(num_frames):
        gap = not kept or kept[-1] < frame - 1
        if rng.random() >= DROP_RATE or gap or frame in starts:
            kept.append(frame)
    shifts = [0.0, *(rng.uniform(-JITTER, JITTER) for _ in kept[1:])]
    times_s = tuple(
        round((frame + Fraction(shift)) / fps / TICK) * TICK
        for frame, shift in zip(kept, shifts, strict=True)
    )
    end_s = times_s[-1] + round(1 / fps / TICK) * TICK
    return Timeline(fps=fps, times_s=times_s, end_s=end_s, steady=False, kept=tuple(kept))
