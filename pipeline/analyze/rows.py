"""Rows of the dataset's tables from the result of a decoding pass."""

from dataclasses import asdict, fields, replace
from typing import Any

from manifests.records import Clip, Gap, Source, SourceRow, SourceStatus, clip_id
from pipeline.analysis import Analysis
from pipeline.analyze.segments import PassResult, Segment
from pipeline.config import AnalyzeConfig, config_digest
from pipeline.runtime.failures import failure
from video.probe import Probe


def clip_row(
    source: Source, source_digest: str, info: Probe, segment: Segment, analysis: str
) -> dict[str, Any]:
    """Return the fields of `Clip` and the score columns of a segment; `analysis` is the config digest."""
    clip = Clip(
        clip_id=clip_id(source_digest, info.stream_index, segment.start_pts, segment.end_pts),
        source_key=source.source_key,
        source_digest=source_digest,
        uri=source.uri,
        kind=info.kind,
        stream_index=info.stream_index,
        start_pts=segment.start_pts,
        end_pts=segment.end_pts,
        time_base_num=info.time_base.numerator,
        time_base_den=info.time_base.denominator,
        num_frames=segment.num_frames,
        height=segment.height,
        width=segment.width,
        analysis=analysis,
    )
    return asdict(clip) | segment.columns


def gap_row(source: Source, segment: Segment, reason: str, analysis: str) -> Gap:
    """Return the row of a gap."""
    return Gap(
        source_key=source.source_key,
        start_pts=segment.start_pts,
        end_pts=segment.end_pts,
        reason=reason,
        analysis=analysis,
    )


def source_row(
    source: Source, source_digest: str, info: Probe, result: PassResult, analysis: str
) -> SourceRow:
    """Return the row of a source that was analysed."""
    return SourceRow(
        **_identity(source),
        analysis=analysis,
        status=SourceStatus.OK,
        source_digest=source_digest,
        kind=info.kind,
        codec=info.codec,
        width=info.width,
        height=info.height,
        fps=float(info.fps),
        start_pts=result.start_pts,
        end_pts=result.end_pts,
        time_base_num=info.time_base.numerator,
        time_base_den=info.time_base.denominator,
        num_frames=result.num_frames,
    )


def failed_analysis(source: Source, config: AnalyzeConfig, error: Exception) -> Analysis:
    """Return the rows of a source whose analysis raised `error`."""
    digest = config_digest(config)
    row = failure(error, stage="analyze", unit=source.source_key, uri=source.uri, config=digest)
    values: dict[str, Any] = dict.fromkeys(field.name for field in fields(SourceRow))
    values |= _identity(source) | {"analysis": digest, "status": SourceStatus.FAILED}
    return Analysis(source=SourceRow(**values), failures=(row,))


def attributed_to(source: Source, analysis: Analysis) -> Analysis:
    """Return the analysis of a local copy with the key and URI of the source itself."""
    key: dict[str, Any] = {"source_key": source.source_key}
    return replace(
        analysis,
        source=replace(analysis.source, uri=source.uri, **key),
        clips=tuple(clip | key | {"uri": source.uri} for clip in analysis.clips),
        gaps=tuple(replace(gap, **key) for gap in analysis.gaps),
    )


def _identity(source: Source) -> dict[str, Any]:
    return {"source_key": source.source_key} | asdict(source)
