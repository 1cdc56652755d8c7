"""Score clips with models, in actors: in the pass that analyses their sources, or later."""

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import cv2
from ray.data import Dataset

from manifests.parts import PartStore
from manifests.records import Failure
from pipeline.analysis import Analysis, analyses_from_row
from pipeline.config import AnalyzeConfig, ScorersConfig
from pipeline.runtime.context import StageContext
from pipeline.runtime.loading import load_or_retire
from pipeline.runtime.pieces import PIECE_S, Piece
from pipeline.runtime.tasks import actor_args, open_attempt_log, run_in_pieces, run_task
from pipeline.runtime.units import TaskResult, from_row
from pipeline.score.digests import all_columns, scorer_requests
from pipeline.score.load import load_scorers
from pipeline.score.task import Row, ScorerSet, score_analysis, score_clip, score_failure, score_table
from pipeline.score.unit import ScoreUnit

WriteAnalyses = Callable[[PartStore, list[Analysis]], TaskResult]
ReadFrames = Callable[[ScoreUnit, AnalyzeConfig, StageContext], list[tuple[bytes, ...]]]
"""Returns the JPEGs of each clip of a unit."""
_MAX_RESTARTS = 100_000
"""More often than the clips of a wave can kill an actor: Ray Data 2.60 hangs when the last one is used up."""


@dataclass(frozen=True, kw_only=True)
class ScoreConfig:
    """What the score stage runs, as its commits record it."""

    scorers: ScorersConfig
    requests: tuple[dict[str, Any], ...]
    """`manifests.scores.ScorerRequest` of each enabled scorer."""


class ScoreActor:
    """Holds the models. In: rows of analyses with frames. Out: one `TaskResult` row each."""

    def __init__(self, config: ScorersConfig, context: StageContext, write_analyses: WriteAnalyses) -> None:
        self._config, self._scorers = config, load_scorer_set(config, context)
        self._place, self._attempts = PartStore(context.dataset_uri), open_attempt_log(context)
        self._write_analyses = write_analyses

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        return run_task(row, stage="analyze", task=self._score)

    def _score(self, row: dict[str, Any]) -> dict[str, str]:
        analyses: list[Analysis] = []
        scores: list[Row] = []
        for analysis in analyses_from_row(row):
            scored, rows = score_analysis(analysis, self._scorers, self._attempts)
            analyses.append(scored)
            scores += rows
        result = self._write_analyses(self._place, analyses)
        if scores:
            part = self._place.write_part("scores", score_table(scores, all_columns(self._config)))
            result = replace(result, parts=(*result.parts, part))
        return result.to_row()


class ScoreClipsActor:
    """Holds the models, reads the frames of clips and scores them. In: rows of `ScoreUnit`."""

    def __init__(self, config: AnalyzeConfig, context: StageContext, read_frames: ReadFrames) -> None:
        self._config, self._context, self._read_frames = config, context, read_frames
        self._scorers = load_scorer_set(config.scorers, context)
        self._place, self._attempts = PartStore(context.dataset_uri), open_attempt_log(context)

    def __call__(self, row: dict[str, Any]) -> Iterator[dict[str, Any]]:
        return run_in_pieces(row, stage="score", task=self._score_row, context=self._context)

    def _score_row(self, row: dict[str, Any]) -> Iterator[Piece]:
        rows, failures, units = list[Row](), list[Failure](), list[ScoreUnit]()
        begin = time.monotonic()
        for fields in from_row(row):
            unit = ScoreUnit.from_fields(fields)
            scored, failed = self._score_unit(unit)
            rows, failures, units = rows + scored, failures + failed, [*units, unit]
            if time.monotonic() - begin >= PIECE_S:
                yield self._write(units, rows, failures)
                rows, failures, units, begin = [], [], [], time.monotonic()
        if units:
            yield self._write(units, rows, failures)

    def _score_unit(self, unit: ScoreUnit) -> tuple[list[Row], list[Failure]]:
        rows, failures = list[Row](), list[Failure]()
        try:
            frames = self._read_frames(unit, self._config, self._context)
        except Exception as error:
            return rows, unit_failures(unit, self._scorers, error)
        for clip_id, jpegs in zip(unit.clip_ids, frames, strict=True):
            clip = {"clip_id": clip_id, "uri": unit.uri}
            scored, failed = score_clip(clip, jpegs, self._scorers, self._attempts, unit.scorers)
            rows += scored
            failures += failed
        return rows, failures

    def _write(self, units: list[ScoreUnit], rows: list[Row], failures: list[Failure]) -> Piece:
        parts = []
        if rows:
            parts.append(
                self._place.write_part("scores", score_table(rows, all_columns(self._config.scorers)))
            )
        if failures:
            parts.append(self._place.write_records("failures", failures))
        num_clips, unscored = sum(unit.num_clips for unit in units), len({row.unit for row in failures})
        counts = {"scored": num_clips - unscored, "unscored": unscored}
        result = TaskResult(parts=tuple(parts), units=num_clips, counts=counts)
        return Piece(num_units=len(units), result=result)


def load_scorer_set(config: ScorersConfig, context: StageContext) -> ScorerSet:
    """Load the enabled scorers in the constructor of an actor, each on one thread."""
    cv2.setNumThreads(1)
    if config.encodes:
        import torch

        torch.set_num_threads(1)
    return load_or_retire(partial(_load, config), context)


def _load(config: ScorersConfig) -> ScorerSet:
    digests = {name: request.digest for name, request in scorer_requests(config).items()}
    return ScorerSet(scorers=load_scorers(config), digests=digests)


def unit_failures(unit: ScoreUnit, scorers: ScorerSet, error: Exception) -> list[Failure]:
    """Return a failure for each clip and scorer of a unit without frames."""
    return [
        score_failure(error, name, clip_id, unit.uri, scorers)
        for clip_id in unit.clip_ids
        for name in unit.scorers
    ]


def record_lost(
    units: list[ScoreUnit], config: ScoreConfig, context: StageContext, error: Exception
) -> TaskResult:
    """Write a failure for each clip and scorer of a lost task."""
    digests = {each["scorer"]: each["digest"] for each in config.requests}
    scorers = ScorerSet(scorers={}, digests=digests)
    failures = [row for unit in units for row in unit_failures(unit, scorers, error)]
    part = PartStore(context.dataset_uri).write_records("failures", failures)
    num_clips = sum(unit.num_clips for unit in units)
    return TaskResult(parts=(part,), units=num_clips, counts={"unscored": num_clips})


def add_score(
    analyses: Dataset, config: ScorersConfig, context: StageContext, write_analyses: WriteAnalyses
) -> Dataset:
    """Map rows of analyses to one `TaskResult` row each.

    Args:
        write_analyses: writes the rows of analyses as uncommitted parts.
    """
    return analyses.map(
        ScoreActor,  # pyright: ignore[reportArgumentType]  # its stubs know functions alone
        fn_constructor_args=(config, context, write_analyses),
        **actor_args(replace(context, max_restarts=_MAX_RESTARTS)),
    )


def add_score_clips(
    units: Dataset, config: AnalyzeConfig, context: StageContext, read_frames: ReadFrames
) -> Dataset:
    """Map rows of `ScoreUnit` to rows of `run_in_pieces`."""
    return units.flat_map(
        ScoreClipsActor,  # pyright: ignore[reportArgumentType]  # its stubs know functions alone
        fn_constructor_args=(config, context, read_frames),
        **actor_args(replace(context, max_restarts=_MAX_RESTARTS)),
    )


def request_fields(config: ScorersConfig) -> tuple[dict[str, Any], ...]:
    """Return the requests of a configuration as plain fields."""
    return tuple(asdict(request) for request in scorer_requests(config).values())
