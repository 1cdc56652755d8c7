"""Caption media: an actor holds one captioner, reads clips by byte range and decodes them where it runs."""

from collections.abc import Callable
from typing import Any

import torch
from ray.data import Dataset

from captioner.protocol import Captioner
from manifests.parts import Parts
from manifests.records import Caption, Failure, digest
from pipeline.caption.batch import Asking, CaptionUnit, batches, caption, failed_captions
from pipeline.config import CaptionConfig, PoolConfig
from pipeline.runtime.attempt_log import Quarantined
from pipeline.runtime.failures import count
from pipeline.runtime.tasks import actor_pool, attempts_at, run_guarded
from pipeline.runtime.units import Done, from_row


class CaptionActor:
    """Holds one captioner, on one torch thread. In: rows of `CaptionUnit`. Out: one `Done` row each."""

    def __init__(
        self,
        uri: str,
        config: CaptionConfig,
        asking: Asking,
        load: Callable[[CaptionConfig], Captioner],
        notes: str,
    ) -> None:
        torch.set_num_threads(1)
        self._attempts = attempts_at(notes)
        self._place, self._config, self._asking = Parts(uri), config, asking
        self._captioner = load(config)

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        return run_guarded(row, stage="caption", task=self._caption)

    def _caption(self, row: dict[str, Any]) -> dict[str, str]:
        units = [CaptionUnit(**fields) for fields in from_row(row)]
        captions, failures = [], []
        for batch in batches(units, self._config):
            rows, failed = self._batch(batch)
            captions += rows
            failures += failed
        parts = [self._place.put_records("captions", captions)]
        parts += [self._place.put_records("failures", failures)] if failures else []
        counts = {"ok": len(captions) - len(failures)} | count(failures)
        size = sum(unit.length for unit in units)
        return Done(parts=tuple(parts), units=len(units), counts=counts, read_bytes=size).to_row()

    def _batch(self, batch: list[CaptionUnit]) -> tuple[list[Caption], list[Failure]]:
        """Caption a batch; where that ended the process before, each clip alone, and not without end."""
        name = digest("batch", *(unit.media_id for unit in batch))
        done = self._attempts.together(name, lambda: self._ask(batch))
        if done is not None:
            return done
        alone = [self._alone(unit) for unit in batch]
        return [row for rows, _ in alone for row in rows], [row for _, rows in alone for row in rows]

    def _alone(self, unit: CaptionUnit) -> tuple[list[Caption], list[Failure]]:
        try:
            return self._attempts.work(unit.media_id, unit.uri, lambda: self._ask([unit]))
        except Quarantined as error:
            return failed_captions([unit], self._asking, error)

    def _ask(self, units: list[CaptionUnit]) -> tuple[list[Caption], list[Failure]]:
        return caption(units, self._captioner, self._asking, self._config, self._place.storage)


def lose(units: list[CaptionUnit], uri: str, asking: Asking, error: Exception) -> Done:
    """Write a caption without text, and a failure, for each clip of a task that gave nothing back."""
    captions, failures = failed_captions(units, asking, error)
    parts = (Parts(uri).put_records("captions", captions), Parts(uri).put_records("failures", failures))
    return Done(parts=parts, units=len(units), counts={"ok": 0} | count(failures))


def add_caption(
    media: Dataset,
    uri: str,
    config: CaptionConfig,
    asking: Asking,
    load: Callable[[CaptionConfig], Captioner],
    actors: int,
    notes: str,
    max_restarts: int,
    max_retries: int,
    pool: PoolConfig,
) -> Dataset:
    """In: rows of `CaptionUnit`. Out: one `Done` row a task, its parts in the dataset at `uri`.

    Args:
        actors: most captioners, where `pool` names no other number.
        notes: place for the notes on attempts.
        max_restarts: how often a captioner that died is started again.
        max_retries: how often a task is run again whose captioner died.
        pool: where the captioners live.
    """
    return media.map(
        CaptionActor,  # pyright: ignore[reportArgumentType]  # its stubs know functions alone
        fn_constructor_args=(uri, config, asking, load, notes),
        **actor_pool(pool, actors, max_restarts, max_retries),
    )
