"""Analyse one source: digest, probe, and one decoding pass that feeds every analyzer."""

import hashlib
import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from math import ceil
from statistics import median
from typing import Any

import cv2

from manifests.records import Clip, Failure, Gap, Source, SourceRow, SourceStatus, clip_id
from pipeline.analyzers.look import Analyzer, Look, Span
from pipeline.analyzers.scores import analyzers
from pipeline.analyzers.shots import Shots, divide
from pipeline.attempts import Attempts
from pipeline.config import AnalyzeConfig, config_digest
from pipeline.failing import failure
from video.config import SandboxConfig
from video.errors import VideoError, VideoErrorCode
from video.frames import read_frames
from video.opening import local_path, refused_size
from video.probe import Probe, probe
from video.sandbox import Sandbox


@dataclass(frozen=True, kw_only=True, slots=True)
class Analysis:
    """All rows that one source gives: either clips and gaps that tile it, or one failure."""

    source: SourceRow
    clips: tuple[dict[str, Any], ...] = ()
    """Fields of `Clip`, and the score columns."""
    gaps: tuple[Gap, ...] = ()
    failures: tuple[Failure, ...] = ()
    seconds: float = 0.0
    """Wall-clock time that analysing it took, all attempts together."""


Measure = Callable[[Source, AnalyzeConfig, SandboxConfig], Analysis]
"""Analyses one source, or raises."""


def analyze(
    source: Source,
    config: AnalyzeConfig,
    sandbox: Sandbox,
    attempts: Attempts,
    measure: Measure,
) -> Analysis:
    """Have `measure` analyse one source in the sandbox. Whatever goes wrong with it is a failure row, never
    an exception."""
    name, begin = config_digest(config), time.monotonic()
    task = partial(measure, source, config, sandbox.config)
    try:
        done = attempts.work(source.source_key, source.uri, lambda: sandbox.call(task, source.uri))
    except Exception as error:
        row = failure(error, stage="analyze", unit=source.source_key, uri=source.uri, config=name)
        done = Analysis(source=_failed(source, name), failures=(row,))
    return replace(done, seconds=time.monotonic() - begin)


def measure(source: Source, config: AnalyzeConfig, limits: SandboxConfig) -> Analysis:
    """Analyse one source here, in this process.

    Raises VideoError for a file that cannot be used, or that is larger than `limits`.
    """
    cv2.setNumThreads(1)
    analysis = config_digest(config)
    found = _probe(source.uri, limits)
    with local_path(source.uri).open("rb") as content:
        source_digest = hashlib.file_digest(content, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
    shots = Shots(config)
    measuring = analyzers(config)
    pts_T = _decode(source.uri, found, config, limits, shots, measuring)
    edges = [*pts_T, _end_pts(pts_T, found)]
    clip_spans, gap_spans = _tile(shots.finish(), edges, found, config)
    clips = [
        _clip(source, source_digest, found, span, edges, analysis)
        | {name: value for analyzer in measuring for name, value in analyzer.columns(span).items()}
        for span in clip_spans
    ]
    gaps = [
        Gap(
            source_key=source.source_key,
            start_pts=edges[span.start],
            end_pts=edges[span.end],
            reason="shot_too_short",
            analysis=analysis,
        )
        for span in gap_spans
    ]
    row = _analyzed(source, source_digest, found, edges, analysis)
    return Analysis(source=row, clips=tuple(clips), gaps=tuple(gaps))


def _probe(path: str, limits: SandboxConfig) -> Probe:
    """Probe, and refuse pictures over the limit."""
    try:
        found = probe(path)
    except VideoError as error:
        if error.code not in (VideoErrorCode.VANISHED, VideoErrorCode.UNREADABLE) and (
            size := refused_size(path)
        ):
            problem = f"claims pictures of {size} pixels, more than FFmpeg takes"
            raise VideoError(
                VideoErrorCode.TOO_LARGE, path, problem, "remove it from the source list, or make it smaller"
            ) from error
        raise
    if found.width * found.height > limits.max_pixels:
        problem = (
            f"its pictures are {found.width}x{found.height}, over --sandbox.max-pixels {limits.max_pixels}"
        )
        raise VideoError(VideoErrorCode.TOO_LARGE, path, problem)
    return found


def _decode(
    path: str,
    found: Probe,
    config: AnalyzeConfig,
    limits: SandboxConfig,
    shots: Shots,
    measuring: Sequence[Analyzer],
) -> list[int]:
    """Show every frame to every analyzer, in one pass; return the time of each frame in pts."""
    scale = min(1.0, config.analysis_width_px / found.width)
    size_px = (max(1, round(found.height * scale)), max(1, round(found.width * scale)))
    pts_T: list[int] = []
    start_s = next_sample_s = 0.0
    for index, frame in enumerate(read_frames(path, size_px=size_px)):
        if index >= limits.max_frames:
            problem = f"has more frames than --sandbox.max-frames {limits.max_frames}"
            raise VideoError(VideoErrorCode.TOO_LARGE, path, problem)
        start_s = frame.time_s if index == 0 else start_s
        time_s = frame.time_s - start_s
        sampled = time_s >= next_sample_s - 1e-6
        if sampled:
            next_sample_s = max(next_sample_s + 1 / config.samples_per_s, time_s)
        gray_HW = cv2.cvtColor(frame.rgb_HWC, cv2.COLOR_RGB2GRAY)
        look = Look(index=index, time_s=time_s, rgb_HWC=frame.rgb_HWC, gray_HW=gray_HW, sampled=sampled)
        shots.update(look)
        for analyzer in measuring:
            analyzer.update(look)
        pts_T.append(frame.pts)
    return pts_T


def _end_pts(pts_T: Sequence[int], found: Probe) -> int:
    """Return one past the last frame's time: it lasts as long as the others do."""
    steps = [b - a for a, b in itertools.pairwise(pts_T)]
    if steps:
        return pts_T[-1] + max(1, round(median(steps)))
    period = round(1 / (found.fps * found.time_base)) if found.fps else 1
    return pts_T[-1] + max(1, period)


def _tile(
    cuts: Sequence[int], edges: Sequence[int], found: Probe, config: AnalyzeConfig
) -> tuple[list[Span], list[Span]]:
    """Return the spans that become clips and those that are too short; together they are the whole source."""
    num_frames = len(edges) - 1
    if found.kind == "image":
        return [Span(start=0, end=num_frames)], []
    starts = [0, *cuts, num_frames]
    clips: list[Span] = []
    gaps: list[Span] = []
    for start, end in itertools.pairwise(starts):
        shot = Span(start=start, end=end)
        duration_s = (edges[end] - edges[start]) * found.time_base
        if duration_s < config.min_shot_s:
            gaps.append(shot)
        else:
            clips += divide(shot, ceil(duration_s / config.max_shot_s))
    return clips, gaps


def _clip(
    source: Source, source_digest: str, found: Probe, span: Span, edges: Sequence[int], analysis: str
) -> dict[str, Any]:
    start_pts, end_pts = edges[span.start], edges[span.end]
    stream_index = 0
    return asdict(
        Clip(
            clip_id=clip_id(source_digest, stream_index, start_pts, end_pts),
            source_key=source.source_key,
            source_digest=source_digest,
            uri=source.uri,
            kind=found.kind,
            stream_index=stream_index,
            start_pts=start_pts,
            end_pts=end_pts,
            time_base_num=found.time_base.numerator,
            time_base_den=found.time_base.denominator,
            num_frames=span.end - span.start,
            height=found.height,
            width=found.width,
            analysis=analysis,
        )
    )


def _analyzed(
    source: Source, source_digest: str, found: Probe, edges: Sequence[int], analysis: str
) -> SourceRow:
    return SourceRow(
        **_listed(source),
        analysis=analysis,
        status=SourceStatus.OK,
        source_digest=source_digest,
        kind=found.kind,
        codec=found.codec,
        width=found.width,
        height=found.height,
        fps=float(found.fps),
        start_pts=edges[0],
        end_pts=edges[-1],
        time_base_num=found.time_base.numerator,
        time_base_den=found.time_base.denominator,
        num_frames=len(edges) - 1,
    )


def _failed(source: Source, analysis: str) -> SourceRow:
    known: dict[str, Any] = dict.fromkeys(field.name for field in fields(SourceRow))
    known |= _listed(source) | {"analysis": analysis, "status": SourceStatus.FAILED}
    return SourceRow(**known)


def _listed(source: Source) -> dict[str, Any]:
    return {"source_key": source.source_key} | asdict(source)
