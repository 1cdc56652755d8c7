"""Score clips with models: an actor holds the models, takes analyses with frames, and writes the rows."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import cv2
from ray.data import Dataset

from manifests.parts import PartStore
from pipeline.analysis import Analysis, analyses_from_row
from pipeline.config import ScorersConfig
from pipeline.runtime.context import StageContext
from pipeline.runtime.loading import load_or_retire
from pipeline.runtime.tasks import actor_args, open_attempt_log, run_task
from pipeline.runtime.units import TaskResult
from pipeline.score.load import load_scorers
from pipeline.score.task import score_analysis

WriteAnalyses = Callable[[PartStore, list[Analysis]], TaskResult]
_MAX_RESTARTS = 100_000
"""More often than the clips of a wave can kill an actor: Ray Data 2.60 hangs when the last one is used up."""


class ScoreActor:
    """Holds the models. In: rows of analyses with frames. Out: one `TaskResult` row each."""

    def __init__(self, config: ScorersConfig, context: StageContext, write_analyses: WriteAnalyses) -> None:
        cv2.setNumThreads(1)
        if config.encodes:
            import torch

            torch.set_num_threads(1)
        self._place, self._attempts = PartStore(context.dataset_uri), open_attempt_log(context)
        self._write_analyses = write_analyses
        self._scorers = load_or_retire(partial(load_scorers, config), context)

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        return run_task(row, stage="analyze", task=self._score)

    def _score(self, row: dict[str, Any]) -> dict[str, str]:
        scored = [
            score_analysis(analysis, self._scorers, self._attempts) for analysis in analyses_from_row(row)
        ]
        return self._write_analyses(self._place, scored).to_row()


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
