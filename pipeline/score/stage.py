"""Score clips with models: an actor holds them, gets analysed sources with frames, and writes the rows."""

from collections.abc import Callable
from typing import Any

import cv2
from ray.data import Dataset

from manifests.parts import PartStore
from pipeline.analysis import Analysis, analyses_from_row
from pipeline.config import PoolConfig, ScorersConfig
from pipeline.runtime.tasks import actor_pool_args, open_attempt_log, run_task
from pipeline.runtime.units import TaskResult
from pipeline.score.load import load_scorers
from pipeline.score.task import score_analysis

_RESTARTS = 100_000
"""How often an actor that died is started again: more often than the clips of a wave can end it, since
Ray Data 2.60 waits for ever where the last actor of a pool is at its end."""


class ScoreActor:
    """Holds the models. In: rows of analyses with frames. Out: one `TaskResult` row each."""

    def __init__(
        self,
        uri: str,
        config: ScorersConfig,
        attempts_uri: str,
        write: Callable[[PartStore, list[Analysis]], TaskResult],
    ) -> None:
        cv2.setNumThreads(1)
        if config.encodes:
            import torch

            torch.set_num_threads(1)
        self._place, self._attempts, self._write = PartStore(uri), open_attempt_log(attempts_uri), write
        self._scorers = load_scorers(config)

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        return run_task(row, stage="analyze", task=self._score)

    def _score(self, row: dict[str, Any]) -> dict[str, str]:
        scored = [
            score_analysis(analysis, self._scorers, self._attempts) for analysis in analyses_from_row(row)
        ]
        return self._write(self._place, scored).to_row()


def add_score(
    analyses: Dataset,
    uri: str,
    config: ScorersConfig,
    attempts_uri: str,
    write: Callable[[PartStore, list[Analysis]], TaskResult],
    max_retries: int,
    pool: PoolConfig,
) -> Dataset:
    """In: rows of analyses. Out: one `TaskResult` row each, its parts in the dataset at `uri`.

    Args:
        attempts_uri: where attempts are logged.
        write: writes the rows of analyses as parts.
        max_retries: how often a row is scored again whose actor died.
        pool: where the actors live.
    """
    return analyses.map(
        ScoreActor,  # pyright: ignore[reportArgumentType]  # its stubs know functions alone
        fn_constructor_args=(uri, config, attempts_uri, write),
        **actor_pool_args(pool, pool.max_size, _RESTARTS, max_retries),
    )
