"""Analyse a source, or a chunk of a long one: digest, probe, and one `decode_pass`."""

import hashlib
import time
from collections.abc import Callable
from dataclasses import asdict, fields, replace
from functools import partial
from math import ceil
from typing import Any

import cv2

from manifests.records import Clip, Gap, Source, SourceRow, SourceStatus, clip_id
from pipeline.analysis import Analysis, FileChunk
from pipeline.analyze.chunks import num_chunks, split
from pipeline.analyze.decode_pass import PassResult, Segment, decode_pass
from pipeline.config import AnalyzeConfig, config_digest
from pipeline.runtime.attempt_log import AttemptLog
from pipeline.runtime.failures import failure
from pipeline.sources.fetch import fetched
from video.config import SandboxConfig
from video.container import invalid_picture_size, local_path
from video.errors import VideoError, VideoErrorCode
from video.probe import Probe, probe
from video.sandbox import Sandbox

AnalyzeFile = Callable[..., Analysis]
"""Analyses one source, or a chunk of it, with the arguments of `analyze_file`; or raises."""


def analyze_in_sandbox(
    source: Source,
    config: AnalyzeConfig,
    sandbox: Sandbox,
    attempts: AttemptLog,
    analyze_file: AnalyzeFile,
    chunk: FileChunk | None = None,
) -> Analysis:
    """Run `analyze_file` on a source, or a chunk of it, in the sandbox. Any error becomes a failure row."""
    begin = time.monotonic()
    parts = () if chunk is None else (chunk,)
    unit = source.source_key if chunk is None else f"{source.source_key}-{chunk.index}"
    try:
        with fetched(source.uri, source.size_bytes, source.etag, sandbox.config) as path:
            task = partial(analyze_file, replace(source, uri=path), config, sandbox.config, *parts)
            done = attempts.run(unit, source.uri, lambda: sandbox.call(task, path))
            done = done if path == source.uri else _of(source, done)
    except Exception as error:
        done = replace(failed_analysis(source, config, error), chunk=chunk)
    return replace(done, seconds=time.monotonic() - begin)


def failed_analysis(source: Source, config: AnalyzeConfig, error: Exception) -> Analysis:
    """Return the rows of a source that `error` kept from being analysed."""
    name = config_digest(config)
    row = failure(error, stage="analyze", unit=source.source_key, uri=source.uri, config=name)
    return Analysis(source=_failed(source, name), failures=(row,))


def _of(source: Source, copy: Analysis) -> Analysis:
    """Return what was found in a copy of `source` as rows of the source itself."""
    named: dict[str, Any] = {"source_key": source.source_key}
    return replace(
        copy,
        source=replace(copy.source, uri=source.uri, **named),
        clips=tuple(clip | named | {"uri": source.uri} for clip in copy.clips),
        gaps=tuple(replace(gap, **named) for gap in copy.gaps),
    )


def analyze_file(
    source: Source, config: AnalyzeConfig, limits: SandboxConfig, chunk: FileChunk | None = None
) -> Analysis:
    """Analyse one source, or one chunk of it, here, in this process.

    Raises VideoError for a file that cannot be used, or that is larger than `limits`.
    """
    cv2.setNumThreads(1)
    found = probe_within_limits(source.uri, limits)
    source_digest = chunk.source_digest if chunk else content_digest(source.uri)
    seen = decode_pass(source.uri, found, config, limits, chunk)
    analysis = config_digest(config)
    clips = tuple(_clip(source, source_digest, found, told, analysis) | told.columns for told in seen.clips)
    gaps = tuple(
        Gap(
            source_key=source.source_key,
            start_pts=told.start_pts,
            end_pts=told.end_pts,
            reason=reason,
            analysis=analysis,
        )
        for told, reason in seen.gaps
    )
    frames = tuple(told.frames for told in seen.clips) if config.scorers.any else ()
    row = _analyzed(source, source_digest, found, seen, analysis)
    return Analysis(source=row, clips=clips, frames=frames, gaps=gaps, chunk=chunk)


def split_source(
    source: Source, config: AnalyzeConfig, limits: SandboxConfig, num_bytes: int
) -> tuple[FileChunk, ...]:
    """Divide a long source into stretches of some `num_bytes` bytes, none shorter than `share_s`.

    Returns none for a source that is short, or that must be seen from its first frame on.
    """
    found = probe_within_limits(source.uri, limits)
    many = num_chunks(found, config, limits, ceil(source.size_bytes / num_bytes))
    if many < 2:
        return ()
    return split(found, many, content_digest(source.uri))


def content_digest(path: str) -> str:
    """Return the digest of all bytes of a file."""
    with local_path(path).open("rb") as content:
        return hashlib.file_digest(content, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def probe_within_limits(path: str, limits: SandboxConfig) -> Probe:
    """Probe, and refuse pictures over the limit with a VideoError."""
    try:
        found = probe(path)
    except VideoError as error:
        if error.code not in (VideoErrorCode.VANISHED, VideoErrorCode.UNREADABLE) and (
            size := invalid_picture_size(path)
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


def _clip(source: Source, source_digest: str, found: Probe, told: Segment, analysis: str) -> dict[str, Any]:
    stream_index = 0
    return asdict(
        Clip(
            clip_id=clip_id(source_digest, stream_index, told.start_pts, told.end_pts),
            source_key=source.source_key,
            source_digest=source_digest,
            uri=source.uri,
            kind=found.kind,
            stream_index=stream_index,
            start_pts=told.start_pts,
            end_pts=told.end_pts,
            time_base_num=found.time_base.numerator,
            time_base_den=found.time_base.denominator,
            num_frames=told.num_frames,
            height=found.height,
            width=found.width,
            analysis=analysis,
        )
    )


def _analyzed(source: Source, source_digest: str, found: Probe, seen: PassResult, analysis: str) -> SourceRow:
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
        start_pts=seen.start_pts,
        end_pts=seen.end_pts,
        time_base_num=found.time_base.numerator,
        time_base_den=found.time_base.denominator,
        num_frames=seen.num_frames,
    )


def _failed(source: Source, analysis: str) -> SourceRow:
    known: dict[str, Any] = dict.fromkeys(field.name for field in fields(SourceRow))
    known |= _listed(source) | {"analysis": analysis, "status": SourceStatus.FAILED}
    return SourceRow(**known)


def _listed(source: Source) -> dict[str, Any]:
    return {"source_key": source.source_key} | asdict(source)
