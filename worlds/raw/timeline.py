"""When each frame of a raw video is shown: at a steady rate, or at the uneven one of a phone's camera."""

from bisect import bisect_left
from collections.abc import Collection
from dataclasses import dataclass
from fractions import Fraction
from math import floor
from random import Random

TICK = Fraction(1, 60_000)
"""Unit of time of an uneven video: most rates have whole frame periods in it, and MPEG-4 allows no finer."""
DROP_RATE = 0.15
"""How often an uneven video leaves out a frame."""
JITTER = 0.2
"""By how much of a frame period a frame comes too early or too late."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Timeline:
    """The times of a file's frames, exactly."""

    fps: Fraction
    """Nominal frames per second."""
    times_s: tuple[Fraction, ...]
    """When each frame is shown."""
    end_s: Fraction
    """When the last frame has been shown."""
    steady: bool
    """Whether frames are 1 / fps apart."""
    kept: tuple[int, ...] | None = None
    """Which frames of the edit the file holds; None for all."""

    def frame_at(self, edit_frame: int) -> int:
        """Return the number in the file of a frame of the edit (of the next one, if that is left out)."""
        return edit_frame if self.kept is None else bisect_left(self.kept, edit_frame)

    def time_at(self, frame: int) -> Fraction:
        """Return when frame `frame` begins; the end, for the number of frames."""
        return self.times_s[frame] if frame < len(self.times_s) else self.end_s

    def pts_at(self, frame: int, time_base: Fraction) -> int:
        """Return the same in units of a file's time base, rounded as FFmpeg rounds: half upward."""
        return floor(self.time_at(frame) / time_base + Fraction(1, 2))

    def after(self, frame: int) -> "Timeline":
        """Return the timeline of what is left when all frames before `frame` are cut off."""
        start_s = self.time_at(frame)
        return Timeline(
            fps=self.fps,
            times_s=tuple(time_s - start_s for time_s in self.times_s[frame:]),
            end_s=self.end_s - start_s,
            steady=self.steady,
        )


def steady(num_frames: int, fps: Fraction) -> Timeline:
    """Return frames that are 1 / fps apart."""
    times_s = tuple(frame / fps for frame in range(num_frames))
    return Timeline(fps=fps, times_s=times_s, end_s=num_frames / fps, steady=True)


def uneven(rng: Random, num_frames: int, fps: Fraction, starts: Collection[int]) -> Timeline:
    """Return the frames of an edit with some left out and the others a little early or late.

    Args:
        starts: first frames of shots and transitions; these stay, and no two frames in a row go, so that
            every part of the edit is still there.
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
