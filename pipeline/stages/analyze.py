"""Analyse sources: a task takes some, writes the parts of all their rows, and names them."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import pyarrow as pa
from ray.data import Dataset

from manifests import schemas
from manifests.parts import Parts
from manifests.records import Clip, Source, SourceRow
from pipeline.analysis import Analysis, Measure, analyze, failed, measure
from pipeline.analyzers.scores import SCORES
from pipeline.config import AnalyzeConfig, PoolConfig
from pipeline.failing import count
from pipeline.scoring import to_rows
from pipeline.tasks import attempts_at, guarded, task_pool
from pipeline.units import Done, from_row
from video.config import SandboxConfig
from video.sandbox import sandbox_of_process


def add_analyze(
    sources: Dataset,
    uri: str,
    config: AnalyzeConfig,
    limits: SandboxConfig,
    notes: str,
    max_retries: int,
    pool: PoolConfig,
    measure: Measure = measure,
) -> Dataset:
    """In: rows of `Source` units. Out: one `Done` row a task, its parts in the dataset at `uri`.

    Args:
        notes: place for the notes on attempts.
        max_retries: how often a task whose worker died is run again.
        pool: where the tasks run.
        measure: analyses one source; runs in the sandbox.
    """
    some = partial(analyze_some, uri=uri, config=config, limits=limits, notes=notes, measure=measure)
    return sources.map(guarded("analyze", some), max_retries=max_retries, **task_pool(pool))


def analyze_some(
    row: dict[str, Any],
    *,
    uri: str,
    config: AnalyzeConfig,
    limits: SandboxConfig,
    notes: str,
    measure: Measure,
) -> dict[str, str]:
    """Analyse the sources of one row and write their rows as uncommitted parts."""
    sandbox, attempts = sandbox_of_process(limits), attempts_at(notes)
    analyses = [analyze(Source(**unit), config, sandbox, attempts, measure) for unit in from_row(row)]
    return write(Parts(uri), analyses).to_row()


def add_find(
    sources: Dataset,
    config: AnalyzeConfig,
    limits: SandboxConfig,
    notes: str,
    max_retries: int,
    pool: PoolConfig,
) -> Dataset:
    """In: rows of `Source` units. Out: rows of analyses with frames, for `add_score`, which writes them."""
    some = partial(find_some, config=config, limits=limits, notes=notes)
    return sources.flat_map(some, max_retries=max_retries, **task_pool(pool))


def find_some(
    row: dict[str, Any], *, config: AnalyzeConfig, limits: SandboxConfig, notes: str
) -> Iterator[dict[str, Any]]:
    """Analyse the sources of one row; write nothing."""
    sandbox, attempts = sandbox_of_process(limits), attempts_at(notes)
    units = [Source(**unit) for unit in from_row(row)]
    return to_rows(row["task"], (analyze(unit, config, sandbox, attempts, measure) for unit in units))


def lose(sources: list[Source], uri: str, config: AnalyzeConfig, error: Exception) -> Done:
    """Write a failure for each source of a task that gave nothing back."""
    return write(Parts(uri), [failed(source, config, error) for source in sources])


def write(place: Parts, analyses: list[Analysis]) -> Done:
    """Write the rows of `analyses` as parts that no commit names yet."""
    clips = [clip for analysis in analyses for clip in analysis.clips]
    gaps = [gap for analysis in analyses for gap in analysis.gaps]
    failures = [failure for analysis in analyses for failure in analysis.failures]
    sources = schemas.to_table(SourceRow, [analysis.source for analysis in analyses])
    seconds = pa.array([round(analysis.seconds, 3) for analysis in analyses])
    parts = [place.put("sources", sources.append_column("analyze_s", seconds))]
    if clips:
        columns = pa.schema(
            [
                *schemas.schema(Clip),
                *(pa.field(column.name, pa.type_for_alias(column.type)) for column in SCORES),
            ]
        )
        parts.append(place.put("clips", pa.Table.from_pylist(clips, schema=columns)))
    if gaps:
        parts.append(place.put_records("gaps", gaps))
    if failures:
        parts.append(place.put_records("failures", failures))
    unscored = [row for row in failures if row.stage != "analyze"]  # clips, which is not what the units are
    counts = {"clips": len(clips), "gaps": len(gaps)} | count(set(failures).difference(unscored))
    if unscored:
        counts["unscored"] = len({row.unit for row in unscored})
    size = sum(analysis.source.size_bytes for analysis in analyses)
    return Done(parts=tuple(parts), units=len(analyses), counts=counts, read_bytes=size)
