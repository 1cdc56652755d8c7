"""Analyse a source, or a chunk of a long one: digest, probe, and one decoding pass."""

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from math import ceil

import cv2

from manifests.digest import digest_stream
from manifests.records import Source
from pipeline.analysis import Analysis, FileChunk
from pipeline.analyze.chunks import num_chunks, split
from pipeline.analyze.decode_pass import decode_pass
from pipeline.analyze.rows import attributed_to, clip_row, failed_analysis, gap_row, source_row
from pipeline.config import AnalyzeConfig, config_digest
from pipeline.runtime.attempt_log import AttemptLog
from pipeline.sources.fetch import local_copy
from video.config import SandboxConfig
from video.container import invalid_picture_size, local_path
from video.errors import VideoError, VideoErrorCode
from video.probe import Probe, probe
from video.sandbox import Sandbox

AnalyzeFile = Callable[..., Analysis]
"""Signature of `analyze_file`."""


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
    unit = source.source_key if chunk is None else f"{source.source_key}-{chunk.index}"
    try:
        with local_copy(source.uri, source.size_bytes, source.etag, sandbox.config) as path:
            task = partial(analyze_file, replace(source, uri=path), config, sandbox.config)
            if chunk is not None:
                task = partial(task, chunk)
            analysis = attempts.run(unit, source.uri, lambda: sandbox.call(task, path))
            if path != source.uri:
                analysis = attributed_to(source, analysis)
    except Exception as error:
        analysis = replace(failed_analysis(source, config, error), chunk=chunk)
    return replace(analysis, seconds=time.monotonic() - begin)


def analyze_file(
    source: Source, config: AnalyzeConfig, limits: SandboxConfig, chunk: FileChunk | None = None
) -> Analysis:
    """Analyse a source, or a chunk of it, in this process.

    Raises VideoError for a file that cannot be decoded or exceeds `limits`.
    """
    cv2.setNumThreads(1)
    info = probe_within_limits(source.uri, limits)
    source_digest = chunk.source_digest if chunk else content_digest(source.uri)
    result = decode_pass(source.uri, info, config, limits, chunk)
    analysis = config_digest(config)
    return Analysis(
        source=source_row(source, source_digest, info, result, analysis),
        clips=tuple(clip_row(source, source_digest, info, clip, analysis) for clip in result.clips),
        frames=tuple(clip.frames for clip in result.clips) if config.scorers.any else (),
        gaps=tuple(gap_row(source, gap, reason, analysis) for gap, reason in result.gaps),
        chunk=chunk,
    )


def split_source(
    source: Source, config: AnalyzeConfig, limits: SandboxConfig, chunk_bytes: int
) -> tuple[FileChunk, ...]:
    """Split a long source into chunks of about `chunk_bytes`, none shorter than `min_chunk_s`.

    Returns an empty tuple for a source that is short or must be decoded from its first frame.
    """
    info = probe_within_limits(source.uri, limits)
    count = num_chunks(info, config, limits, ceil(source.size_bytes / chunk_bytes))
    if count < 2:
        return ()
    return split(info, count, content_digest(source.uri))


def content_digest(path: str) -> str:
    """Return the BLAKE2b digest of a file, 128 bits in hex."""
    with local_path(path).open("rb") as content:
        return digest_stream(content)


def probe_within_limits(path: str, limits: SandboxConfig) -> Probe:
    """Probe a file. Raises VideoError (TOO_LARGE) for frames over `limits.max_pixels`."""
    try:
        info = probe(path, skip_damage=True)
    except VideoError as error:
        if error.code not in (VideoErrorCode.VANISHED, VideoErrorCode.UNREADABLE) and (
            size := invalid_picture_size(path)
        ):
            problem = f"claims pictures of {size} pixels, more than FFmpeg takes"
            raise VideoError(
                VideoErrorCode.TOO_LARGE, path, problem, "remove it from the source list, or make it smaller"
            ) from error
        raise
    if info.width * info.height > limits.max_pixels:
        problem = (
            f"its pictures are {info.width}x{info.height}, over --sandbox.max-pixels {limits.max_pixels}"
        )
        raise VideoError(VideoErrorCode.TOO_LARGE, path, problem)
    return info
