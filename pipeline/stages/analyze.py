"""Analyse sources: a task takes some, writes the parts of all their rows, and names them."""

from pathlib import Path
from typing import Any

import pyarrow as pa
from ray.data import ActorPoolStrategy, Dataset

from manifests import schemas, store
from manifests.records import Clip, Source
from pipeline.analysis import Analysis, Measure, analyze, measure
from pipeline.attempts import Attempts
from pipeline.config import AnalyzeConfig
from pipeline.failing import count
from pipeline.units import Done, Workers, from_row
from video.config import SandboxConfig
from video.sandbox import Sandbox

SCORES = pa.schema(
    [
        pa.field("brightness", pa.float64()),
        pa.field("black", pa.float64()),
        pa.field("static", pa.float64()),
        pa.field("sharpness", pa.float64()),
        pa.field("motion", pa.float64()),
        pa.field("thumbnail", pa.binary()),
    ]
)
"""Columns that the analyzers add to the clips table."""


class AnalyzeActor:
    """Holds one sandbox. In: rows of `Source` units. Out: one `Done` row each, its parts below `root`."""

    def __init__(
        self, root: Path, config: AnalyzeConfig, limits: SandboxConfig, notes: Path, measure: Measure
    ) -> None:
        self._root, self._config, self._measure = root, config, measure
        self._sandbox, self._attempts = Sandbox(limits), Attempts(notes)

    def __call__(self, row: dict[str, Any]) -> dict[str, str]:
        analyses = [
            analyze(Source(**unit), self._config, self._sandbox, self._attempts, self._measure)
            for unit in from_row(row)
        ]
        return write(store.Dataset.open(self._root), analyses).to_row()


def add_analyze(
    sources: Dataset,
    root: Path,
    config: AnalyzeConfig,
    limits: SandboxConfig,
    notes: Path,
    workers: Workers,
    measure: Measure = measure,
) -> Dataset:
    """In: rows of `Source` units. Out: one `Done` row a task, its parts below `root`.

    Args:
        notes: folder for the notes on attempts.
        measure: analyses one source; runs in the sandbox.
    """
    return sources.map(
        AnalyzeActor,  # pyright: ignore[reportArgumentType]  # its stubs know functions alone
        fn_constructor_args=(root, config, limits, notes, measure),
        compute=ActorPoolStrategy(size=workers.number, max_tasks_in_flight_per_actor=1),
        max_restarts=workers.max_restarts,
        max_task_retries=workers.max_task_retries,
    )


def write(dataset: store.Dataset, analyses: list[Analysis]) -> Done:
    """Write the rows of `analyses` as parts that no commit names yet."""
    clips = [clip for analysis in analyses for clip in analysis.clips]
    gaps = [gap for analysis in analyses for gap in analysis.gaps]
    failures = [failure for analysis in analyses for failure in analysis.failures]
    parts = [dataset.put_records("sources", [analysis.source for analysis in analyses])]
    if clips:
        columns = pa.schema([*schemas.schema(Clip), *SCORES])
        parts.append(dataset.put("clips", pa.Table.from_pylist(clips, schema=columns)))
    if gaps:
        parts.append(dataset.put_records("gaps", gaps))
    if failures:
        parts.append(dataset.put_records("failures", failures))
    counts = {"clips": len(clips), "gaps": len(gaps)} | count(failures)
    return Done(parts=tuple(parts), units=len(analyses), counts=counts)
