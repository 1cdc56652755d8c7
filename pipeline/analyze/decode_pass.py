"""The decoding pass: feed every frame to every analyzer, and emit each shot as soon as its end is certain.

Buffers are evicted when a shot is emitted, so memory grows with the longest shot, not with the file.

A run is a part of the file that is without damage, without a hole in time, and of one frame shape. Shots end
with their run; damage and holes are gaps.

Legend: T frames, H height, W width, C channels (RGB).
"""

from array import array
from dataclasses import replace
from typing import Any

import numpy as np

from pipeline.analysis import FileChunk
from pipeline.analyze.chunks import WARMUP_FRAMES, WARMUP_S
from pipeline.analyze.segments import PassResult, Segment, StepClock, split_by_time
from pipeline.analyze.shots.boundaries import Boundary
from pipeline.analyze.shots.detector import create_detector
from pipeline.analyze.signals.columns import create_analyzers
from pipeline.analyze.signals.frame_view import FrameSampler, FrameView, Span
from pipeline.analyze.signals.scorer_frames import ScorerFrames
from pipeline.config import AnalyzeConfig
from video.config import SandboxConfig
from video.errors import VideoError, VideoErrorCode
from video.frames import Frame, Size, read_frames
from video.probe import Probe
from video.resize import same_shape

_BATCH_FRAMES = 64
"""Frames that analyzers process at once, so that analyzers and decoder do not evict each other's code from
cache."""
_LOOP_FILTER_MIN_SCALE = 0.25
"""At or below this scale, the codec's deblocking filter is skipped on frames that no other refers to."""


class SeekTooLate(Exception):
    """The key frame found is less than the warm-up before the chunk."""


def decode_pass(
    path: str, info: Probe, config: AnalyzeConfig, limits: SandboxConfig, chunk: FileChunk | None = None
) -> PassResult:
    """Decode a source once, or the part of it that `chunk` needs. Raises VideoError as `read_frames` does."""
    if chunk is not None and chunk.index:
        from_pts = chunk.start_pts - round(WARMUP_S / info.time_base)
        try:
            return _decode(path, info, config, limits, chunk, from_pts)
        except SeekTooLate:  # the file's index is wrong: decode from the first frame
            pass
    return _decode(path, info, config, limits, chunk, None)


def uses_loop_filter(info: Probe, config: AnalyzeConfig) -> bool:
    """Return whether the codec's deblocking filter runs on every frame, with scorers or without."""
    return config.analysis_width_px / info.width > _LOOP_FILTER_MIN_SCALE


def _decode(
    path: str,
    info: Probe,
    config: AnalyzeConfig,
    limits: SandboxConfig,
    chunk: FileChunk | None,
    from_pts: int | None,
) -> PassResult:
    decoding = _Pass(info, config, chunk, warming_up=from_pts is not None)
    frames = read_frames(
        path,
        size_px=_AnalysisSizes(config.analysis_width_px),
        from_pts=from_pts,
        loop_filter=uses_loop_filter(info, config),
        skip_damage=True,
    )
    for index, frame in enumerate(frames):
        if index >= limits.max_frames:
            problem = f"has more frames than --sandbox.max-frames {limits.max_frames}"
            raise VideoError(VideoErrorCode.TOO_LARGE, path, problem)
        decoding.add(frame)
        if decoding.done:
            break
    return decoding.finish()


class _AnalysisSizes:
    """The analysis size of frames by their display size: the same for all frames of one shape."""

    def __init__(self, width_px: int) -> None:
        self._width_px = width_px
        self._sizes: dict[Size, Size] = {}

    def __call__(self, display_px: Size) -> Size:
        found = (size for other, size in self._sizes.items() if same_shape(other, display_px))
        if (size := next(found, None)) is None:
            scale = min(1.0, self._width_px / display_px[1])
            size = max(1, round(display_px[0] * scale)), max(1, round(display_px[1] * scale))
            self._sizes[display_px] = size
        return size


class _Pass:
    """State of the run, and of its shots that have not ended."""

    def __init__(
        self, info: Probe, config: AnalyzeConfig, chunk: FileChunk | None, *, warming_up: bool
    ) -> None:
        self.info, self.config, self.chunk, self.warming_up = info, config, chunk, warming_up
        self.scorer_frames = ScorerFrames(config.scorers)
        self.sampler = FrameSampler(config.samples_per_s)
        self.clock = StepClock(info, config.max_shot_s)
        self.first_s = None if chunk is None else float(chunk.first_pts * info.time_base)
        self.batch: list[tuple[np.ndarray, float]] = []
        """rgb_HWC and time in s of frames that no analyzer has processed."""
        self.pts_T = array("q")
        self.run_start = 0
        """First frame of the run."""
        self.run_end_pts: int | None = None
        """End of the run's last frame; None while the run goes on."""
        self.display_px = (info.height, info.width)
        self.is_damaged = False
        self.shot_start: int | None = None
        """First frame of the current shot; None before the first shot of the chunk."""
        self.done = False
        self.clips: list[Segment] = []
        self.gaps: list[tuple[Segment, str]] = []

    def add(self, frame: Frame) -> None:
        """Add the next frame."""
        if self.first_s is None:
            self.first_s = frame.time_s
        time_s = frame.time_s - self.first_s
        self._begin_run_at(frame)
        self.scorer_frames.update(len(self.pts_T), time_s, frame.resized)
        self.pts_T.append(frame.pts)
        self.clock.add(frame.pts)
        if not self.is_damaged:
            self.batch.append((frame.rgb_HWC, time_s))
        if self.warming_up:
            self._check_warmup()
        if len(self.batch) == _BATCH_FRAMES:
            self._analyze_batch()

    def finish(self) -> PassResult:
        """Emit the remaining segments after the last frame."""
        self._end_run(self.clock.end_pts)
        own_T = self.pts_T
        if self.chunk is not None:
            own_T = [pts for pts in own_T if self.chunk.start_pts <= pts < self.chunk.end_pts]
        return PassResult(
            start_pts=own_T[0] if own_T else self.pts_T[0],
            end_pts=self.clock.end_pts,
            num_frames=len(own_T),
            clips=self.clips,
            gaps=self.gaps,
        )

    def _begin_run_at(self, frame: Frame) -> None:
        """End the run before `frame` if it cannot go on with it, and begin another."""
        hole_pts = self.clock.hole_before(frame.pts)
        has_new_shape = not frame.damaged and not same_shape(frame.display_px, self.display_px)
        if not self.pts_T:
            self._begin_run(frame, is_first=True)
        elif hole_pts is not None or has_new_shape or frame.damaged != self.is_damaged:
            self._end_run(frame.pts if hole_pts is None else hole_pts)
            if hole_pts is not None and self._owns(hole_pts):
                hole = Segment(start_pts=hole_pts, end_pts=frame.pts, num_frames=0)
                self.gaps.append((hole, "no_frames"))
            self._begin_run(frame, is_first=False)

    def _begin_run(self, frame: Frame, *, is_first: bool) -> None:
        self.run_start, self.run_end_pts = len(self.pts_T), None
        self.is_damaged = frame.damaged
        self.detector = create_detector(self.config, float(self.info.fps))
        self.analyzers = create_analyzers(self.config)
        self.scorer_frames.evict(self.run_start)
        if not frame.damaged:
            self.display_px = frame.display_px
        begins_file = is_first and (self.chunk is None or self.chunk.index == 0)
        begins_shot = begins_file or (not is_first and self._owns(frame.pts))
        self.shot_start = self.run_start if begins_shot else None
        self.done = self.done or (self.chunk is not None and not is_first and frame.pts >= self.chunk.end_pts)

    def _end_run(self, end_pts: int) -> None:
        """Emit the segments of the run, whose last frame ends at `end_pts`."""
        self.run_end_pts = end_pts
        if self.done or not self.pts_T:
            return
        if self.is_damaged:
            if self.shot_start is not None:
                self.gaps.append((self._segment(self.run_start, len(self.pts_T)), "damaged"))
            return
        self._analyze_batch()
        for boundary in [] if self.done else self.detector.finish():
            self._end_shot(boundary)
        if not self.done and self.shot_start is not None:
            self._emit_shot(self.shot_start, len(self.pts_T))

    def _owns(self, pts: int) -> bool:
        """Return whether a segment that begins at `pts` is of this chunk."""
        return self.chunk is None or self.chunk.start_pts <= pts < self.chunk.end_pts

    def _check_warmup(self) -> None:
        assert self.chunk is not None
        if self.pts_T[-1] < self.chunk.start_pts:
            return
        warmup_s = (self.chunk.start_pts - self.pts_T[0]) * self.info.time_base
        if warmup_s < WARMUP_S or len(self.pts_T) <= WARMUP_FRAMES:
            raise SeekTooLate
        self.warming_up = False

    def _analyze_batch(self) -> None:
        """Feed the batch to every analyzer, and emit the shots that ended."""
        first = len(self.pts_T) - len(self.batch)
        views = [
            FrameView.from_rgb(rgb_HWC, index=index, time_s=time_s, sampled=self.sampler(time_s))
            for index, (rgb_HWC, time_s) in enumerate(self.batch, first)
        ]
        self.batch.clear()
        for analyzer in self.analyzers:
            for view in views:
                analyzer.update(view)
        for boundary in [each for view in views for each in self.detector.update(view)]:
            self._end_shot(boundary)
        if self.chunk is not None and self.shot_start is None and not self.done:
            num_stable = self.detector.num_stable
            last = self.run_start + num_stable - 1
            self.done = num_stable > 0 and self.pts_T[last] >= self.chunk.end_pts

    def _end_shot(self, boundary: Boundary) -> None:
        """End a shot at a boundary, whose frames are counted from the start of the run."""
        start, end = self.run_start + boundary.start, self.run_start + boundary.end
        pts = self.pts_T[start]
        if self.done or (self.chunk is not None and pts < self.chunk.start_pts):
            return
        if self.shot_start is not None:
            self._emit_shot(self.shot_start, start)
        if self.chunk is not None and pts >= self.chunk.end_pts:
            self.done = True
            return
        if end > start:
            self.gaps.append((self._segment(start, end), "transition"))
        self.shot_start = end
        for analyzer in (*self.analyzers, self.scorer_frames):
            analyzer.evict(end)

    def _emit_shot(self, start: int, end: int) -> None:
        """Emit a shot: a gap if it is too short, else one or more clips."""
        if end == start:
            return
        duration_s = (self._pts(end) - self._pts(start)) * self.info.time_base
        if self.info.kind == "video" and duration_s < self.config.min_shot_s:
            self.gaps.append((self._segment(start, end), "shot_too_short"))
            return
        max_pts = self.config.max_shot_s / self.info.time_base if self.info.kind == "video" else None
        for span in split_by_time(self.pts_T, Span(start=start, end=end), self._pts(end), max_pts):
            timed = replace(span, end_s=self._time_s(span.end) if self.info.kind == "video" else None)
            columns = {
                name: value for analyzer in self.analyzers for name, value in analyzer.columns(timed).items()
            }
            jpegs = self.scorer_frames.in_span(span)
            self.clips.append(self._segment(span.start, span.end, columns, jpegs))

    def _segment(
        self, start: int, end: int, columns: dict[str, Any] | None = None, frames: tuple[bytes, ...] = ()
    ) -> Segment:
        return Segment(
            start_pts=self._pts(start),
            end_pts=self._pts(end),
            num_frames=end - start,
            height=self.display_px[0],
            width=self.display_px[1],
            columns=columns or {},
            frames=frames,
        )

    def _time_s(self, index: int) -> float:
        """Return the time of a frame as analyzers see it, in seconds since the first frame."""
        return float(self._pts(index) * self.info.time_base) - (self.first_s or 0.0)

    def _pts(self, index: int) -> int:
        """Return the time of a frame; of the one after the last, the end of the run."""
        if index < len(self.pts_T):
            return self.pts_T[index]
        assert self.run_end_pts is not None
        return self.run_end_pts
