"""The decoding pass: every frame is shown to every analyzer; each shot is told as soon as its end is known.

What was told is forgotten, so the memory of a long source is that of its longest shot.

Legend: T frames.
"""

import itertools
from array import array
from dataclasses import dataclass, field
from math import ceil
from statistics import median
from typing import Any

import numpy as np

from pipeline.analyze.chunks import LEAD_FRAMES, LEAD_S, Stretch
from pipeline.analyze.shots.boundaries import Boundary
from pipeline.analyze.shots.detector import detector, divide
from pipeline.analyze.signals.columns import analyzers
from pipeline.analyze.signals.frame_view import Beat, Look, Span
from pipeline.analyze.signals.scorer_frames import LargerFrames
from pipeline.config import AnalyzeConfig
from video.config import SandboxConfig
from video.errors import VideoError, VideoErrorCode
from video.frames import Frame, read_frames
from video.probe import Probe

_BATCH = 64
"""Analyzers are shown so many frames at once: else their code and that of the decoder would drive each
other out of the processor's cache."""
_ROUGH_SCALE = 0.25
"""Of what is scaled down to so little or less, and given to no scorer, blocks need not be smoothed away."""
_LAST_STEPS = 64
"""The last frame of a source lasts as long as so many before it do, by the median."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    """A clip or a gap, [start_pts, end_pts)."""

    start_pts: int
    end_pts: int
    num_frames: int
    columns: dict[str, Any] = field(default_factory=dict)
    frames: tuple[bytes, ...] = ()
    """For the scorers: a few JPEGs."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """What a pass over a source, or over a stretch of it, came to."""

    start_pts: int
    end_pts: int
    """One past the last frame's time."""
    num_frames: int
    clips: list[Told]
    gaps: list[tuple[Told, str]]
    """With the reason."""


class _EnteredLate(Exception):
    """Too few frames were seen before the stretch began."""


def see(
    path: str, found: Probe, config: AnalyzeConfig, limits: SandboxConfig, stretch: Stretch | None = None
) -> Seen:
    """Decode a source once, or as much of it as `stretch` takes. Raises VideoError as `read_frames` does."""
    if stretch is not None and stretch.number:
        lead_pts = round(LEAD_S / found.time_base)
        try:
            return _see(path, found, config, limits, stretch, stretch.start_pts - lead_pts)
        except _EnteredLate:  # a key frame that is not where the file says: from the first frame, then
            pass
    return _see(path, found, config, limits, stretch, None)


def _see(
    path: str,
    found: Probe,
    config: AnalyzeConfig,
    limits: SandboxConfig,
    stretch: Stretch | None,
    from_pts: int | None,
) -> Seen:
    scale = min(1.0, config.analysis_width_px / found.width)
    size_px = (max(1, round(found.height * scale)), max(1, round(found.width * scale)))
    seeing = _Pass(found, config, stretch, entered=from_pts is not None)
    smooth = config.scorers.any or scale > _ROUGH_SCALE
    for index, frame in enumerate(read_frames(path, size_px=size_px, from_pts=from_pts, loop_filter=smooth)):
        if index >= limits.max_frames:
            problem = f"has more frames than --sandbox.max-frames {limits.max_frames}"
            raise VideoError(VideoErrorCode.TOO_LARGE, path, problem)
        seeing.show(frame)
        if seeing.over:
            break
    return seeing.finish()


class _Pass:
    """Holds what is known of the shots that are not over."""

    def __init__(
        self, found: Probe, config: AnalyzeConfig, stretch: Stretch | None, *, entered: bool
    ) -> None:
        self.found, self.config, self.stretch, self.entered = found, config, stretch, entered
        self.detector = detector(config)
        self.analyzers = analyzers(config)
        self.larger = LargerFrames(config.scorers)
        self.sampled = Beat(config.samples_per_s)
        self.first_s = None if stretch is None else float(stretch.first_pts * found.time_base)
        self.waiting: list[tuple[np.ndarray, float]] = []
        """Small pictures that no analyzer has seen, and their times."""
        self.pts_T = array("q")
        self.begun = None if stretch is not None and stretch.number else 0
        """Frame at which the shot began that is being seen; None before the first one of the stretch."""
        self.over = False
        self.clips: list[Told] = []
        self.gaps: list[tuple[Told, str]] = []

    def show(self, frame: Frame) -> None:
        """Take the next frame."""
        if self.first_s is None:
            self.first_s = frame.time_s
        time_s = frame.time_s - self.first_s
        self.larger.update(len(self.pts_T), time_s, frame.resized)
        self.waiting.append((frame.rgb_HWC, time_s))
        self.pts_T.append(frame.pts)
        if self.entered:
            self._check_lead()
        if len(self.waiting) == _BATCH:
            self._look()

    def _look(self) -> None:
        """Show the waiting frames to every analyzer, and tell what has come to its end."""
        first = len(self.pts_T) - len(self.waiting)
        looks = [
            Look.at(rgb_HWC, index=first + at, time_s=time_s, sampled=self.sampled(time_s))
            for at, (rgb_HWC, time_s) in enumerate(self.waiting)
        ]
        self.waiting.clear()
        for analyzer in self.analyzers:
            for look in looks:
                analyzer.update(look)
        for boundary in [each for look in looks for each in self.detector.update(look)]:
            self._end_shot(boundary)
        if self.stretch is not None and self.begun is None and not self.over:
            settled = self.detector.settled
            self.over = settled > 0 and self.pts_T[settled - 1] >= self.stretch.end_pts

    def finish(self) -> Seen:
        """Tell what is left after the last frame."""
        if not self.over:
            self._look()
        for boundary in [] if self.over else self.detector.finish():
            self._end_shot(boundary)
        if not self.over and self.begun is not None:
            self._tell_shot(self.begun, len(self.pts_T))
        own = self.pts_T
        if self.stretch is not None:
            own = [pts for pts in own if self.stretch.start_pts <= pts < self.stretch.end_pts]
        return Seen(
            start_pts=own[0] if own else self.pts_T[0],
            end_pts=self._edge(len(self.pts_T)),
            num_frames=len(own),
            clips=self.clips,
            gaps=self.gaps,
        )

    def _check_lead(self) -> None:
        stretch = self.stretch
        assert stretch is not None
        if self.pts_T[-1] < stretch.start_pts:
            return
        lead_s = (stretch.start_pts - self.pts_T[0]) * self.found.time_base
        if lead_s < LEAD_S or len(self.pts_T) <= LEAD_FRAMES:
            raise _EnteredLate
        self.entered = False

    def _end_shot(self, boundary: Boundary) -> None:
        at_pts = self.pts_T[boundary.start]
        if self.over or (self.stretch is not None and at_pts < self.stretch.start_pts):
            return
        if self.begun is not None:
            self._tell_shot(self.begun, boundary.start)
        if self.stretch is not None and at_pts >= self.stretch.end_pts:
            self.over = True
            return
        if boundary.end > boundary.start:
            self.gaps.append((self._told(boundary.start, boundary.end), "transition"))
        self.begun = boundary.end
        for analyzer in (*self.analyzers, self.larger):
            analyzer.forget(boundary.end)

    def _tell_shot(self, start: int, end: int) -> None:
        """Tell one shot: a gap if it is too short, else one clip or several."""
        if end == start:
            return
        duration_s = (self._edge(end) - self._edge(start)) * self.found.time_base
        if self.found.kind == "video" and duration_s < self.config.min_shot_s:
            self.gaps.append((self._told(start, end), "shot_too_short"))
            return
        parts = ceil(duration_s / self.config.max_shot_s) if self.found.kind == "video" else 1
        for span in divide(Span(start=start, end=end), parts):
            columns = {
                name: value for analyzer in self.analyzers for name, value in analyzer.columns(span).items()
            }
            self.clips.append(self._told(span.start, span.end, columns, self.larger.of(span)))

    def _told(
        self, start: int, end: int, columns: dict[str, Any] | None = None, frames: tuple[bytes, ...] = ()
    ) -> Told:
        return Told(
            start_pts=self._edge(start),
            end_pts=self._edge(end),
            num_frames=end - start,
            columns=columns or {},
            frames=frames,
        )

    def _edge(self, frame: int) -> int:
        """Return the time of a frame; of the one after the last, when that is over."""
        if frame < len(self.pts_T):
            return self.pts_T[frame]
        last = self.pts_T[-_LAST_STEPS - 1 :]
        if len(last) > 1:
            return last[-1] + max(1, round(median(b - a for a, b in itertools.pairwise(last))))
        fps, time_base = self.found.fps, self.found.time_base
        return last[-1] + max(1, round(1 / (fps * time_base)) if fps else 1)
