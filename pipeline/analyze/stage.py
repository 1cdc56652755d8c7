"""Analyse sources: a task takes a batch, or one chunk of a long file, and writes the rows as parts."""

import json
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, replace
from functools import partial
from typing import Any

import pyarrow as pa
from ray.data import Dataset

from manifests import schemas
from manifests.parts import Part, PartStore
from manifests.records import Clip, Failure, Gap, Source, SourceRow, SourceStatus
from pipeline.analysis import Analysis, FileChunk, analyses_to_rows
from pipeline.analyze.rows import failed_analysis
from pipeline.analyze.signals.columns import ANALYZER_COLUMNS
from pipeline.analyze.task import AnalyzeFile, analyze_file, analyze_in_sandbox, split_source
from pipeline.config import AnalyzeConfig
from pipeline.runtime.attempt_log import Quarantined
from pipeline.runtime.context import StageContext
from pipeline.runtime.failures import count_by_code
from pipeline.runtime.pieces import PIECE_S, Piece
from pipeline.runtime.tasks import open_attempt_log, run_in_pieces, task_args
from pipeline.runtime.units import TaskResult, from_row
from pipeline.sources.fetch import is_local
from video.errors import VideoError
from video.sandbox import process_sandbox


def add_split(
    sources: Dataset, config: AnalyzeConfig, context: StageContext, max_chunk_bytes: int
) -> Dataset:
    """Map rows of `Source` units to rows of units, and one row for each chunk of a longer file."""
    split = partial(split_batch, config=config, context=context, max_chunk_bytes=max_chunk_bytes)
    # Ray fuses stages of equal arguments, which would leave all chunks of a row in one task
    return sources.flat_map(split, **task_args(replace(context, max_retries=context.max_retries + 1)))


def split_batch(
    row: dict[str, Any], *, config: AnalyzeConfig, context: StageContext, max_chunk_bytes: int
) -> list[dict[str, Any]]:
    """Split the long files of one row. A file that cannot be read stays whole: its analysis will fail."""
    sandbox, attempts = process_sandbox(context.sandbox), open_attempt_log(context)
    whole: dict[int, dict[str, Any]] = {}
    rows: list[dict[str, Any]] = []
    for unit_index, unit in zip(row["unit_index"], from_row(row), strict=True):
        source = Source(**unit)
        chunks: tuple[FileChunk, ...] = ()
        if source.size_bytes > max_chunk_bytes and is_local(source.uri):
            task = partial(split_source, source, config, context.sandbox, max_chunk_bytes)
            with suppress(VideoError, Quarantined, OSError):
                name = f"{source.source_key}-chunks"
                chunks = attempts.run(name, source.uri, partial(sandbox.call, task, source.uri))
        if not chunks:
            whole[unit_index] = unit
        units = json.dumps([unit])
        rows += [
            row | {"unit_index": [unit_index], "units": units, "chunk": json.dumps(asdict(chunk))}
            for chunk in chunks
        ]
    if whole:
        rows.append(row | {"unit_index": [*whole], "units": json.dumps([*whole.values()]), "chunk": ""})
    return rows


def add_analyze(
    sources: Dataset,
    config: AnalyzeConfig,
    context: StageContext,
    analyze_file: AnalyzeFile = analyze_file,
) -> Dataset:
    """Map rows of `Source` units, or of chunks, to rows of `run_in_pieces`.

    Args:
        analyze_file: analyses one file; runs in the sandbox.
    """
    task = partial(analyze_batch, config=config, context=context, analyze_file=analyze_file)
    work = partial(run_in_pieces, stage="analyze", task=task, context=context)
    return sources.flat_map(work, **task_args(context))


def analyze_batch(
    row: dict[str, Any],
    *,
    config: AnalyzeConfig,
    context: StageContext,
    analyze_file: AnalyzeFile = analyze_file,
) -> Iterator[Piece]:
    """Analyse the sources of one row and write their rows as uncommitted parts, a piece each `PIECE_S`."""
    place, begin, analyses = PartStore(context.dataset_uri), time.monotonic(), list[Analysis]()
    for analysis in _analyses(row, config, context, analyze_file):
        analyses.append(analysis)
        if time.monotonic() - begin >= PIECE_S:
            yield Piece(num_units=len(analyses), result=write_analyses(place, analyses))
            begin, analyses = time.monotonic(), []
    if analyses:
        yield Piece(num_units=len(analyses), result=write_analyses(place, analyses))


def _analyses(
    row: dict[str, Any], config: AnalyzeConfig, context: StageContext, analyze_file: AnalyzeFile
) -> Iterator[Analysis]:
    sandbox, attempts = process_sandbox(context.sandbox), open_attempt_log(context)
    chunk = FileChunk(**json.loads(row["chunk"])) if row.get("chunk") else None
    for unit in from_row(row):
        yield analyze_in_sandbox(Source(**unit), config, sandbox, attempts, analyze_file, chunk)


def add_analyze_unwritten(sources: Dataset, config: AnalyzeConfig, context: StageContext) -> Dataset:
    """Map rows of `Source` units to rows of analyses with frames, for `add_score` to complete and write."""
    return sources.flat_map(
        partial(analyze_batch_unwritten, config=config, context=context), **task_args(context)
    )


def analyze_batch_unwritten(
    row: dict[str, Any], *, config: AnalyzeConfig, context: StageContext
) -> Iterator[dict[str, Any]]:
    """Analyse the sources of one row; write nothing."""
    analyses = _analyses(row, config, context, analyze_file)
    return analyses_to_rows(row["task"], row["unit_index"], analyses)


def record_lost(
    sources: list[Source], config: AnalyzeConfig, context: StageContext, error: Exception
) -> TaskResult:
    """Write a failure for each source of a lost task."""
    analyses = [failed_analysis(source, config, error) for source in sources]
    return write_analyses(PartStore(context.dataset_uri), analyses)


def write_analyses(place: PartStore, analyses: list[Analysis]) -> TaskResult:
    """Write the rows of `analyses` as uncommitted parts.

    The analysis of a chunk comes alone. Its source row and failures are returned for `ChunkMerger`.
    """
    if (chunk := analyses[0].chunk) is not None:
        return _write_chunk(place, analyses[0], chunk)
    clips = [clip for analysis in analyses for clip in analysis.clips]
    gaps = [gap for analysis in analyses for gap in analysis.gaps]
    failures = [failure for analysis in analyses for failure in analysis.failures]
    sources = schemas.to_table(SourceRow, [analysis.source for analysis in analyses])
    seconds = pa.array([round(analysis.seconds, 3) for analysis in analyses])
    parts = [place.write_part("sources", sources.append_column("analyze_s", seconds))]
    found, counts = _write_found(place, clips, gaps, failures)
    parts += found
    counts |= count_by_code({row for row in failures if row.stage == "analyze"})
    size = sum(analysis.source.size_bytes for analysis in analyses)
    return TaskResult(parts=tuple(parts), units=len(analyses), counts=counts, read_bytes=size)


def _write_found(
    place: PartStore, clips: list[dict[str, Any]], gaps: list[Gap], failures: list[Failure]
) -> tuple[list[Part], dict[str, int]]:
    """Write clips, gaps and failures; return the parts, and the counts of their rows."""
    parts: list[Part] = []
    if clips:
        scores = (pa.field(column.name, pa.type_for_alias(column.type)) for column in ANALYZER_COLUMNS)
        columns = pa.schema([*schemas.arrow_schema(Clip), *scores])
        parts.append(place.write_part("clips", pa.Table.from_pylist(clips, schema=columns)))
    if gaps:
        parts.append(place.write_records("gaps", gaps))
    if failures:
        parts.append(place.write_records("failures", failures))
    counts = {"clips": len(clips), "gaps": len(gaps)}
    unscored = {row.unit for row in failures if row.stage != "analyze"}  # the units of `analyze` are sources
    return parts, counts | ({"unscored": len(unscored)} if unscored else {})


def _write_chunk(place: PartStore, analysis: Analysis, chunk: FileChunk) -> TaskResult:
    failures = [row for row in analysis.failures if row.stage == "analyze"]
    unscored = [row for row in analysis.failures if row.stage != "analyze"]
    unmerged = {
        "index": chunk.index,
        "count": chunk.count,
        "row": asdict(analysis.source),
        "failures": [asdict(row) for row in failures],
        "seconds": analysis.seconds,
    }
    parts, counts = _write_found(place, [*analysis.clips], [*analysis.gaps], unscored)
    return TaskResult(parts=tuple(parts), units=0, counts=counts, chunk=unmerged)


class ChunkMerger:
    """Merges the results of all chunks of a source into the result of analysing it whole."""

    def __init__(self, dataset_uri: str) -> None:
        self._place = PartStore(dataset_uri)
        self._pending: dict[str, dict[int, TaskResult]] = {}

    def __call__(self, result: TaskResult) -> TaskResult | None:
        """Return the merged result at the last chunk of a source, None before; pass other results through."""
        if result.chunk is None:
            return result
        key = result.chunk["row"]["source_key"]
        results = self._pending.setdefault(key, {})
        results[result.chunk["index"]] = result
        if len(results) < result.chunk["count"]:
            return None
        return self._merge([results[index] for index in sorted(self._pending.pop(key))])

    def _merge(self, results: list[TaskResult]) -> TaskResult:
        chunks = [result.chunk for result in results if result.chunk is not None]
        rows = [SourceRow(**chunk["row"]) for chunk in chunks]
        seconds = sum(chunk["seconds"] for chunk in chunks)
        failures = [Failure(**row) for chunk in chunks for row in chunk["failures"]]
        if failures:  # the whole source failed; no commit names the parts of its chunks
            first = next(row for row in rows if row.status == SourceStatus.FAILED)
            analysis = Analysis(source=first, failures=(failures[0],), seconds=seconds)
            return write_analyses(self._place, [analysis])
        frames = sum(row.num_frames or 0 for row in rows)
        whole = replace(rows[0], end_pts=rows[-1].end_pts, num_frames=frames)
        merged = write_analyses(self._place, [Analysis(source=whole, seconds=seconds)])
        counts = Counter[str]()
        for result in results:
            counts.update(result.counts)
        parts = (*merged.parts, *(part for result in results for part in result.parts))
        return replace(merged, parts=parts, counts={**counts})
