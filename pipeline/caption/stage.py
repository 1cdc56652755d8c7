"""Caption media: an actor holds one captioner, reads clips by byte range and decodes them where it runs."""

from collections.abc import Callable
from typing import Any

import torch
from ray.data import Dataset

from captioner.protocol import Captioner
from manifests.parts import PartStore
from manifests.records import Caption, Failure, digest
from pipeline.caption.batch import CaptionSpec, CaptionUnit, caption_units, failed_captions, split_batches
from pipeline.config import CaptionConfig, PoolConfig
from pipeline.runtime.attempt_log import Quarantined
from pipeline.runtime.failures import count
from pipeline.runtime.tasks import actor_pool_args, open_attempt_log, run_task
from pipeline.runtime.units import TaskResult, from_row


class CaptionActor:
    """Holds one captioner, on one torch thread. In: rows of `CaptionUnit`. Out: one `TaskResult` row each."""

    def __init__(
        self,
        uri: str,
        config: CaptionConfig,
        spec: CaptionSpec,
        load: Callable[[CaptionConfig], Captioner],
        attempts_uri: str,
    ) -> None:
        torch.set_num_threads(1)
        self._attempts = open_attempt_log(attempts_uri)
        self._place, self._config, self._asking = PartStore(uri), config, spec
        self._captioner = load(config)

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        return run_task(row, stage="caption", task=self._caption)

    def _caption(self, row: dict[str, Any]) -> dict[str, str]:
        units = [CaptionUnit(**fields) for fields in from_row(row)]
        captions, failures = [], []
        for batch in split_batches(units, self._config):
            rows, failed = self._batch(batch)
            captions += rows
            failures += failed
        parts = [self._place.write_records("captions", captions)]
        parts += [self._place.write_records("failures", failures)] if failures else []
        counts = {"ok": len(captions) - len(failures)} | count(failures)
        size = sum(unit.length for unit in units)
        return TaskResult(parts=tuple(parts), units=len(units), counts=counts, read_bytes=size).to_row()

    def _batch(self, batch: list[CaptionUnit]) -> tuple[list[Caption], list[Failure]]:
        """Caption a batch; where that ended the process before, each clip alone, and not without end."""
        name = digest("batch", *(unit.media_id for unit in batch))
        done = self._attempts.run_batch(name, lambda: self._ask(batch))
        if done is not None:
            return done
        alone = [self._alone(unit) for unit in batch]
        return [row for rows, _ in alone for row in rows], [row for _, rows in alone for row in rows]

    def _alone(self, unit: CaptionUnit) -> tuple[list[Caption], list[Failure]]:
        try:
            return self._attempts.run(unit.media_id, unit.uri, lambda: self._ask([unit]))
        except Quarantined as error:
            return failed_captions([unit], self._asking, error)

    def _ask(self, units: list[CaptionUnit]) -> tuple[list[Caption], list[Failure]]:
        return caption_units(units, self._captioner, self._asking, self._config, self._place.storage)


def record_lost(units: list[CaptionUnit], uri: str, spec: CaptionSpec, error: Exception) -> TaskResult:
    """Write a caption without text, and a failure, for each clip of a task that gave nothing back."""
    captions, failures = failed_captions(units, spec, error)
    parts = (
        PartStore(uri).write_records("captions", captions),
        PartStore(uri).write_records("failures", failures),
    )
    return TaskResult(parts=parts, units=len(units), counts={"ok": 0} | count(failures))


def add_caption(
    media: Dataset,
    uri: str,
    config: CaptionConfig,
    spec: CaptionSpec,
    load: Callable[[CaptionConfig], Captioner],
    actors: int,
    attempts_uri: str,
    max_restarts: int,
    max_retries: int,
    pool: PoolConfig,
) -> Dataset:
    """In: rows of `CaptionUnit`. Out: one `TaskResult` row a task, its parts in the dataset at `uri`.

    Args:
        actors: most captioners, where `pool` names no other number.
        attempts_uri: place for the notes on attempts.
        max_restarts: how often a captioner that died is started again.
        max_retries: how often a task is run again whose captioner died.
        pool: where the captioners live.
    """
    return media.map(
        CaptionActor,  # pyright: ignore[reportArgumentType]  # its stubs know functions alone
        fn_constructor_args=(uri, config, spec, load, attempts_uri),
        **actor_pool_args(pool, actors, max_restarts, max_retries),
    )
