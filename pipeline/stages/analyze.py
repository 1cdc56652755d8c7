"""Analyse sources: a task takes some, writes the parts of all their rows, and names them."""

from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
from ray.data import Dataset

from manifests import schemas
from manifests.parts import Parts
from manifests.records import Clip, Source, SourceRow
from pipeline.analysis import Analysis, Measure, analyze, measure
from pipeline.analyzers.scores import SCORES
from pipeline.attempts import Attempts
from pipeline.config import AnalyzeConfig
from pipeline.failing import count
from pipeline.units import Done, from_row
from video.config import SandboxConfig
from video.sandbox import sandbox_of_process


def add_analyze(
    sources: Dataset,
    uri: str,
    config: AnalyzeConfig,
    limits: SandboxConfig,
    notes: Path,
    max_retries: int,
    measure: Measure = measure,
) -> Dataset:
    """In: rows of `Source` units. Out: one `Done` row a task, its parts in the dataset at `uri`.

    Args:
        notes: folder for the notes on attempts.
        max_retries: how often a task whose worker died is run again.
        measure: analyses one source; runs in the sandbox.
    """
    some = partial(analyze_some, uri=uri, config=config, limits=limits, notes=notes, measure=measure)
    return sources.map(some, max_retries=max_retries)


def analyze_some(
    row: dict[str, Any],
    *,
    uri: str,
    config: AnalyzeConfig,
    limits: SandboxConfig,
    notes: Path,
    measure: Measure,
) -> dict[str, str]:
    """Analyse the sources of one row and write their rows as uncommitted parts."""
    sandbox, attempts = sandbox_of_process(limits), Attempts(notes)
    analyses = [analyze(Source(**unit), config, sandbox, attempts, measure) for unit in from_row(row)]
    return write(Parts(uri), analyses).to_row()


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
    counts = {"clips": len(clips), "gaps": len(gaps)} | count(failures)
    return Done(parts=tuple(parts), units=len(analyses), counts=counts)
