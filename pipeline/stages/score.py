"""Score clips with models: an actor holds them, gets analysed sources with frames, and writes the rows."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
from ray.data import ActorPoolStrategy, Dataset

from manifests.parts import Parts
from pipeline.analysis import Analysis
from pipeline.attempts import Attempts
from pipeline.config import ScorersConfig
from pipeline.scorers.load import load
from pipeline.scoring import from_row, score
from pipeline.units import Done

_DEATHS = 16
"""How often an actor may die in a run, and a row's work be done again. Ray's default has no end."""


class ScoreActor:
    """Holds the models. In: rows of analyses with frames. Out: one `Done` row each."""

    def __init__(
        self, uri: str, config: ScorersConfig, notes: Path, write: Callable[[Parts, list[Analysis]], Done]
    ) -> None:
        cv2.setNumThreads(1)
        if config.aesthetic == "head":
            import torch

            torch.set_num_threads(1)
        self._place, self._attempts, self._write = Parts(uri), Attempts(notes), write
        self._scorers = load(config)

    def __call__(self, row: dict[str, Any]) -> dict[str, str]:
        scored = [score(analysis, self._scorers, self._attempts) for analysis in from_row(row)]
        return self._write(self._place, scored).to_row()


def add_score(
    analyses: Dataset,
    uri: str,
    config: ScorersConfig,
    notes: Path,
    write: Callable[[Parts, list[Analysis]], Done],
    actors: int,
) -> Dataset:
    """In: rows of analyses. Out: one `Done` row each, its parts in the dataset at `uri`.

    Args:
        notes: folder for the notes on attempts: a clip that ends its actor twice is left alone.
        write: writes the rows of analyses as parts.
    """
    return analyses.map(
        ScoreActor,  # pyright: ignore[reportArgumentType]  # its stubs know functions alone
        fn_constructor_args=(uri, config, notes, write),
        compute=ActorPoolStrategy(min_size=1, max_size=actors),
        num_cpus=config.cpus_per_actor,
        num_gpus=config.gpus_per_actor or None,
        max_restarts=_DEATHS,
        max_task_retries=_DEATHS,
    )
