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

from pipeline.analysis import FileChunk
from pipeline.analyze.chunks import WARMUP_FRAMES, WARMUP_S
from pipeline.analyze.shots.boundaries import Boundary
from pipeline.analyze.shots.detector import create_detector, split_span
from pipeline.analyze.signals.columns import create_analyzers
from pipeline.analyze.signals.frame_view import FrameSampler, FrameView, Span
from pipeline.analyze.signals.scorer_frames import ScorerFrames
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
class Segment:
    """A clip or a gap, [start_pts, end_pts)."""

    start_pts: int
    end_pts: int
    num_frames: int
    columns: dict[str, Any] = field(default_factory=dict)
    frames: tuple[bytes, ...] = ()
    """For the scorers: a few JPEGs."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PassResult:
    """What a pass over a source, or over a stretch of it, came to."""

    start_pts: int
    end_pts: int
    """One past the last frame's time."""
    num_frames: int
    clips: list[Segment]
    gaps: list[tuple[Segment, str]]
    """With the reason."""


class SeekTooLate(Exception):
    """Too few frames were seen before the stretch began."""


def decode_pass(
    path: str, found: Probe, config: AnalyzeConfig, limits: SandboxConfig, chunk: FileChunk | None = None
) -> PassResult:
    """Decode a source once, or as much of it as `stretch` takes. Raises VideoError as `read_frames` does."""
    if chunk is not None and chunk.index:
        lead_pts = round(WARMUP_S / found.time_base)
        try:
            return _decode(path, found, config, limits, chunk, chunk.start_pts - lead_pts)
        except SeekTooLate:  # a key frame that is not where the file says: from the first frame, then
            pass
    return _decode(path, found, config, limits, chunk, None)


def _decode(
    path: str,
    found: Probe,
    config: AnalyzeConfig,
    limits: SandboxConfig,
    chunk: FileChunk | None,
    from_pts: int | None,
) -> PassResult:
    scale = min(1.0, config.analysis_width_px / found.width)
    size_px = (max(1, round(found.height * scale)), max(1, round(found.width * scale)))
    seeing = _Pass(found, config, chunk, entered=from_pts is not None)
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
        self, found: Probe, config: AnalyzeConfig, chunk: FileChunk | None, *, entered: bool
    ) -> None:
        self.found, self.config, self.chunk, self.entered = found, config, chunk, entered
        self.detector = create_detector(config)
        self.analyzers = create_analyzers(config)
        self.larger = ScorerFrames(config.scorers)
        self.sampled = FrameSampler(config.samples_per_s)
        self.first_s = None if chunk is None else float(chunk.first_pts * found.time_base)
        self.waiting: list[tuple[np.ndarray, float]] = []
        """Small pictures that no analyzer has seen, and their times."""
        self.pts_T = array("q")
        self.begun = None if chunk is not None and chunk.index else 0
        """Frame at which the shot began that is being seen; None before the first one of the chunk."""
        self.over = False
        self.clips: list[Segment] = []
        self.gaps: list[tuple[Segment, str]] = []

    def show(self, frame: Frame) -> None:
        """Take the next frame."""
        if self.first_s is None:
            self.first_s = frame.time_s
        time_s = frame.time_s - self.first_s
        self.larger.update(len(self.pts_T), time_s, frame.resized)
        self.waiting.append((frame.rgb_HWC, time_s))
        self.pts_T.append(frame.pts)
        if self.entered:
            self._check_warmup()
        if len(self.waiting) == _BATCH:
            self._look()

    def _look(self) -> None:
        """Show the waiting frames to every analyzer, and tell what has come to its end."""
        first = len(self.pts_T) - len(self.waiting)
        looks = [
            FrameView.from_rgb(rgb_HWC, index=first + at, time_s=time_s, sampled=self.sampled(time_s))
            for at, (rgb_HWC, time_s) in enumerate(self.waiting)
        ]
        self.waiting.clear()
        for analyzer in self.analyzers:
            for look in looks:
                analyzer.update(look)
        for boundary in [each for look in looks for each in self.detector.update(look)]:
            self._end_shot(boundary)
        if self.chunk is not None and self.begun is None and not self.over:
            settled = self.detector.settled
            self.over = settled > 0 and self.pts_T[settled - 1] >= self.chunk.end_pts

    def finish(self) -> PassResult:
        """Tell what is left after the last frame."""
        if not self.over:
            self._look()
        for boundary in [] if self.over else self.detector.finish():
            self._end_shot(boundary)
        if not self.over and self.begun is not None:
            self._emit_shot(self.begun, len(self.pts_T))
        own = self.pts_T
        if self.chunk is not None:
            own = [pts for pts in own if self.chunk.start_pts <= pts < self.chunk.end_pts]
        return PassResult(
            start_pts=own[0] if own else self.pts_T[0],
            end_pts=self._edge(len(self.pts_T)),
            num_frames=len(own),
            clips=self.clips,
            gaps=self.gaps,
        )

    def _check_warmup(self) -> None:
        chunk = self.chunk
        assert chunk is not None
        if self.pts_T[-1] < chunk.start_pts:
            return
        lead_s = (chunk.start_pts - self.pts_T[0]) * self.found.time_base
        if lead_s < WARMUP_S or len(self.pts_T) <= WARMUP_FRAMES:
            raise SeekTooLate
        self.entered = False

    def _end_shot(self, boundary: Boundary) -> None:
        at_pts = self.pts_T[boundary.start]
        if self.over or (self.chunk is not None and at_pts < self.chunk.start_pts):
            return
        if self.begun is not None:
            self._emit_shot(self.begun, boundary.start)
        if self.chunk is not None and at_pts >= self.chunk.end_pts:
            self.over = True
            return
        if boundary.end > boundary.start:
            self.gaps.append((self._segment(boundary.start, boundary.end), "transition"))
        self.begun = boundary.end
        for analyzer in (*self.analyzers, self.larger):
            analyzer.evict(boundary.end)

    def _emit_shot(self, start: int, end: int) -> None:
        """Tell one shot: a gap if it is too short, else one clip or several."""
        if end == start:
            return
        duration_s = (self._edge(end) - self._edge(start)) * self.found.time_base
        if self.found.kind == "video" and duration_s < self.config.min_shot_s:
            self.gaps.append((self._segment(start, end), "shot_too_short"))
            return
        parts = ceil(duration_s / self.config.max_shot_s) if self.found.kind == "video" else 1
        for span in split_span(Span(start=start, end=end), parts):
            columns = {
                name: value for analyzer in self.analyzers for name, value in analyzer.columns(span).items()
            }
            self.clips.append(self._segment(span.start, span.end, columns, self.larger.of(span)))

    def _segment(
        self, start: int, end: int, columns: dict[str, Any] | None = None, frames: tuple[bytes, ...] = ()
    ) -> Segment:
        return Segment(
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
