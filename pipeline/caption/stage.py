"""Caption media: an actor holds one captioner, reads clips by byte range and decodes them locally."""

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from ray.data import Dataset

from captioner.protocol import Captioner
from manifests.digest import digest_parts
from manifests.parts import PartStore
from manifests.records import Caption, Failure
from pipeline.caption.batch import CaptionSpec, CaptionUnit, caption_units, failed_captions, split_batches
from pipeline.config import CaptionConfig
from pipeline.runtime.attempt_log import Quarantined
from pipeline.runtime.context import StageContext
from pipeline.runtime.failures import count_by_code
from pipeline.runtime.loading import load_or_retire
from pipeline.runtime.pieces import PIECE_S, Piece
from pipeline.runtime.tasks import actor_args, open_attempt_log, run_in_pieces
from pipeline.runtime.units import TaskResult, from_row

LoadCaptioner = Callable[[CaptionConfig], Captioner]


class CaptionActor:
    """Holds one captioner, on one torch thread. In: rows of `CaptionUnit`. Out: rows of `run_in_pieces`."""

    def __init__(
        self, config: CaptionConfig, context: StageContext, spec: CaptionSpec, load_captioner: LoadCaptioner
    ) -> None:
        torch.set_num_threads(1)
        self._attempts = open_attempt_log(context)
        self._place, self._config, self._spec = PartStore(context.dataset_uri), config, spec
        self._context = context
        self._captioner = load_or_retire(partial(load_captioner, config), context)

    def __call__(self, row: dict[str, Any]) -> Iterator[dict[str, Any]]:
        return run_in_pieces(row, stage="caption", task=self._caption_row, context=self._context)

    def _caption_row(self, row: dict[str, Any]) -> Iterator[Piece]:
        """Caption the units of a row; close a piece after a batch once `PIECE_S` have passed."""
        units = [CaptionUnit(**fields) for fields in from_row(row)]
        piece: list[CaptionUnit] = []
        captions, failures = list[Caption](), list[Failure]()
        begin = time.monotonic()
        for batch in split_batches(units, self._config):
            rows, failed = self._caption_batch(batch)
            piece += batch
            captions += rows
            failures += failed
            if time.monotonic() - begin >= PIECE_S:
                yield self._write(piece, captions, failures)
                piece, captions, failures, begin = [], [], [], time.monotonic()
        if piece:
            yield self._write(piece, captions, failures)

    def _write(self, units: list[CaptionUnit], captions: list[Caption], failures: list[Failure]) -> Piece:
        parts = [self._place.write_records("captions", captions)]
        parts += [self._place.write_records("failures", failures)] if failures else []
        counts = {"ok": len(captions) - len(failures)} | count_by_code(failures)
        size = sum(unit.length for unit in units)
        result = TaskResult(parts=tuple(parts), units=len(units), counts=counts, read_bytes=size)
        return Piece(num_units=len(units), result=result)

    def _caption_batch(self, batch: list[CaptionUnit]) -> tuple[list[Caption], list[Failure]]:
        """Caption a batch; clip by clip if an earlier attempt at the batch killed its process."""
        name = digest_parts("batch", *(unit.media_id for unit in batch))
        result = self._attempts.run_batch(name, lambda: self._caption(batch))
        if result is not None:
            return result
        results = [self._caption_one(unit) for unit in batch]
        captions = [row for rows, _ in results for row in rows]
        return captions, [row for _, rows in results for row in rows]

    def _caption_one(self, unit: CaptionUnit) -> tuple[list[Caption], list[Failure]]:
        try:
            return self._attempts.run(unit.media_id, unit.uri, lambda: self._caption([unit]))
        except Quarantined as error:
            return failed_captions([unit], self._spec, error)

    def _caption(self, units: list[CaptionUnit]) -> tuple[list[Caption], list[Failure]]:
        return caption_units(units, self._captioner, self._spec, self._config, self._place.storage)


def add_caption(
    media: Dataset,
    config: CaptionConfig,
    context: StageContext,
    spec: CaptionSpec,
    load_captioner: LoadCaptioner,
) -> Dataset:
    """Map rows of `CaptionUnit` to rows of `run_in_pieces`."""
    return media.flat_map(
        CaptionActor,  # pyright: ignore[reportArgumentType]  # its stubs know functions alone
        fn_constructor_args=(config, context, spec, load_captioner),
        **actor_args(context),
    )


def record_lost(
    units: list[CaptionUnit], spec: CaptionSpec, context: StageContext, error: Exception
) -> TaskResult:
    """Write a caption without text, and a failure, for each clip of a lost task."""
    captions, failures = failed_captions(units, spec, error)
    place = PartStore(context.dataset_uri)
    parts = (place.write_records("captions", captions), place.write_records("failures", failures))
    return TaskResult(parts=parts, units=len(units), counts={"ok": 0} | count_by_code(failures))
