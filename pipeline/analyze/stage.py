"""Analyse sources: a task takes some, or a stretch of a long one, writes the parts of their rows, and names
them."""

import json
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
from pipeline.analyze.signals.columns import SCORE_COLUMNS
from pipeline.analyze.task import AnalyzeFile, analyze_file, analyze_in_sandbox, split_source
from pipeline.config import AnalyzeConfig, PoolConfig
from pipeline.runtime.attempt_log import Quarantined
from pipeline.runtime.failures import count
from pipeline.runtime.tasks import guarded, open_attempt_log, task_pool_args
from pipeline.runtime.units import TaskResult, from_row
from pipeline.sources.fetch import is_local
from video.config import SandboxConfig
from video.errors import VideoError
from video.sandbox import process_sandbox


def add_divide(
    sources: Dataset,
    share: int,
    config: AnalyzeConfig,
    limits: SandboxConfig,
    attempts_uri: str,
    max_retries: int,
    pool: PoolConfig,
) -> Dataset:
    """In: rows of `Source` units. Out: the same, but a row for each stretch of a file that is longer than
    `share` bytes and can be divided."""
    some = partial(split_batch, config=config, limits=limits, attempts_uri=attempts_uri, share=share)
    rows = sources.flat_map(some, max_retries=max_retries, **task_pool_args(pool))
    return rows.repartition(target_num_rows_per_block=1)  # each stretch a task of its own


def split_batch(
    row: dict[str, Any], *, config: AnalyzeConfig, limits: SandboxConfig, attempts_uri: str, share: int
) -> list[dict[str, Any]]:
    """Divide the long sources of one row. One that cannot be read is left whole: its analysis says why."""
    sandbox, attempts = process_sandbox(limits), open_attempt_log(attempts_uri)
    whole: list[int] = []
    rows: list[dict[str, Any]] = []
    units = from_row(row)
    for at, unit in zip(row["unit_index"], units, strict=True):
        source = Source(**unit)
        found: tuple[FileChunk, ...] = ()
        if source.size_bytes > share and is_local(source.uri):
            task = partial(split_source, source, config, limits, share)
            with suppress(VideoError, Quarantined, OSError):
                name = f"{source.source_key}-stretches"
                found = attempts.run(name, source.uri, partial(sandbox.call, task, source.uri))
        if not found:
            whole.append(at)
        rows += [
            row | {"unit_index": [at], "units": json.dumps([unit]), "stretch": json.dumps(asdict(stretch))}
            for stretch in found
        ]
    if whole:
        kept = [unit for at, unit in zip(row["unit_index"], units, strict=True) if at in whole]
        rows.append(row | {"unit_index": whole, "units": json.dumps(kept), "stretch": ""})
    return rows


def add_analyze(
    sources: Dataset,
    uri: str,
    config: AnalyzeConfig,
    limits: SandboxConfig,
    attempts_uri: str,
    max_retries: int,
    pool: PoolConfig,
    measure: AnalyzeFile = analyze_file,
) -> Dataset:
    """In: rows of `Source` units, or of stretches. Out: one `TaskResult` row a task, its
    parts in the dataset at `uri`.

    Args:
        attempts_uri: place for the notes on attempts.
        max_retries: how often a task whose worker died is run again.
        pool: where the tasks run.
        measure: analyses one source; runs in the sandbox.
    """
    some = partial(
        analyze_batch, uri=uri, config=config, limits=limits, attempts_uri=attempts_uri, measure=measure
    )
    return sources.map(guarded("analyze", some), max_retries=max_retries, **task_pool_args(pool))


def analyze_batch(
    row: dict[str, Any],
    *,
    uri: str,
    config: AnalyzeConfig,
    limits: SandboxConfig,
    attempts_uri: str,
    measure: AnalyzeFile,
) -> dict[str, str]:
    """Analyse the sources of one row and write their rows as uncommitted parts."""
    analyses = _analyses(row, config, limits, attempts_uri, measure)
    return write(PartStore(uri), [*analyses]).to_row()


def _analyses(
    row: dict[str, Any], config: AnalyzeConfig, limits: SandboxConfig, attempts_uri: str, measure: AnalyzeFile
) -> Iterator[Analysis]:
    sandbox, attempts = process_sandbox(limits), open_attempt_log(attempts_uri)
    chunk = FileChunk(**json.loads(row["stretch"])) if row.get("stretch") else None
    for unit in from_row(row):
        yield analyze_in_sandbox(Source(**unit), config, sandbox, attempts, measure, chunk)


def add_find(
    sources: Dataset,
    config: AnalyzeConfig,
    limits: SandboxConfig,
    attempts_uri: str,
    max_retries: int,
    pool: PoolConfig,
) -> Dataset:
    """In: rows of `Source` units. Out: rows of analyses with frames, for `add_score`, which writes them."""
    some = partial(measure_batch, config=config, limits=limits, attempts_uri=attempts_uri)
    return sources.flat_map(some, max_retries=max_retries, **task_pool_args(pool))


def measure_batch(
    row: dict[str, Any], *, config: AnalyzeConfig, limits: SandboxConfig, attempts_uri: str
) -> Iterator[dict[str, Any]]:
    """Analyse the sources of one row; write nothing."""
    return analyses_to_rows(
        row["task"], row["unit_index"], _analyses(row, config, limits, attempts_uri, analyze_file)
    )


def record_lost(sources: list[Source], uri: str, config: AnalyzeConfig, error: Exception) -> TaskResult:
    """Write a failure for each source of a task that gave nothing back."""
    return write(PartStore(uri), [failed_analysis(source, config, error) for source in sources])


def write(place: PartStore, analyses: list[Analysis]) -> TaskResult:
    """Write the rows of `analyses` as parts that no commit names yet. A stretch comes alone: its row of the
    source is handed back as a piece, and so is what failed."""
    if (chunk := analyses[0].chunk) is not None:
        return _piece(place, analyses[0], chunk)
    clips = [clip for analysis in analyses for clip in analysis.clips]
    gaps = [gap for analysis in analyses for gap in analysis.gaps]
    failures = [failure for analysis in analyses for failure in analysis.failures]
    sources = schemas.to_table(SourceRow, [analysis.source for analysis in analyses])
    seconds = pa.array([round(analysis.seconds, 3) for analysis in analyses])
    parts = [place.write_part("sources", sources.append_column("analyze_s", seconds))]
    told, counts = _write_told(place, clips, gaps, failures)
    parts += told
    counts |= count({row for row in failures if row.stage == "analyze"})
    size = sum(analysis.source.size_bytes for analysis in analyses)
    return TaskResult(parts=tuple(parts), units=len(analyses), counts=counts, read_bytes=size)


def _write_told(
    place: PartStore, clips: list[dict[str, Any]], gaps: list[Gap], failures: list[Failure]
) -> tuple[list[Part], dict[str, int]]:
    """Write what is no row of a source; return the parts, and how much is in them."""
    parts: list[Part] = []
    if clips:
        columns = pa.schema(
            [
                *schemas.arrow_schema(Clip),
                *(pa.field(column.name, pa.type_for_alias(column.type)) for column in SCORE_COLUMNS),
            ]
        )
        parts.append(place.write_part("clips", pa.Table.from_pylist(clips, schema=columns)))
    if gaps:
        parts.append(place.write_records("gaps", gaps))
    if failures:
        parts.append(place.write_records("failures", failures))
    counts = {"clips": len(clips), "gaps": len(gaps)}
    unscored = {row.unit for row in failures if row.stage != "analyze"}  # clips, which units are not
    return parts, counts | ({"unscored": len(unscored)} if unscored else {})


def _piece(place: PartStore, analysis: Analysis, chunk: FileChunk) -> TaskResult:
    broken = [row for row in analysis.failures if row.stage == "analyze"]
    unscored = [row for row in analysis.failures if row.stage != "analyze"]
    piece = {
        "number": chunk.index,
        "of": chunk.count,
        "row": asdict(analysis.source),
        "failures": [asdict(row) for row in broken],
        "seconds": analysis.seconds,
    }
    parts, counts = _write_told(place, [*analysis.clips], [*analysis.gaps], unscored)
    return TaskResult(parts=tuple(parts), units=0, counts=counts, piece=piece)


class ChunkMerger:
    """Joins what was found in the stretches of a source, when all are there, as if it had been seen whole."""

    def __init__(self, uri: str) -> None:
        self._place = PartStore(uri)
        self._waiting: dict[str, dict[int, TaskResult]] = {}

    def __call__(self, done: TaskResult) -> TaskResult | None:
        """Take what a task did; return what is whole now: the same, but for a stretch."""
        if done.piece is None:
            return done
        key = done.piece["row"]["source_key"]
        found = self._waiting.setdefault(key, {})
        found[done.piece["number"]] = done
        if len(found) < done.piece["of"]:
            return None
        return self._joined([found[number] for number in sorted(self._waiting.pop(key))])

    def _joined(self, pieces: list[TaskResult]) -> TaskResult:
        told = [piece.piece for piece in pieces if piece.piece is not None]
        rows = [SourceRow(**each["row"]) for each in told]
        seconds = sum(each["seconds"] for each in told)
        failures = [Failure(**row) for each in told for row in each["failures"]]
        if failures:  # the source is failed, and the parts of its stretches are named by no commit
            first = next(row for row in rows if row.status == SourceStatus.FAILED)
            return write(self._place, [Analysis(source=first, failures=(failures[0],), seconds=seconds)])
        frames = sum(row.num_frames or 0 for row in rows)
        whole = replace(rows[0], end_pts=rows[-1].end_pts, num_frames=frames)
        done = write(self._place, [Analysis(source=whole, seconds=seconds)])
        counts = Counter[str]()
        for piece in pieces:
            counts.update(piece.counts)
        parts = (*done.parts, *(part for piece in pieces for part in piece.parts))
        return replace(done, parts=parts, counts={**counts})
