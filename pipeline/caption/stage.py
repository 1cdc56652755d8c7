"""Caption media: an actor holds one captioner, reads clips by byte range and decodes them locally, ahead."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from ray.data import Dataset

from captioner.captions import ClipFrames
from captioner.protocol import Captioner, DeviceLost
from manifests.digest import digest_parts
from manifests.parts import PartStore
from pipeline.caption.batch import (
    CaptionedBatch,
    caption_units,
    failed_captions,
    read_clip,
    split_batches,
)
from pipeline.caption.read_ahead import ReadAhead
from pipeline.caption.units import CaptionSpec, CaptionUnit
from pipeline.caption.usage import UsageLog
from pipeline.config import CaptionConfig
from pipeline.runtime.attempt_log import Quarantined
from pipeline.runtime.context import StageContext
from pipeline.runtime.failures import count_by_code
from pipeline.runtime.loading import load_or_retire
from pipeline.runtime.pieces import PIECE_S, Piece
from pipeline.runtime.tasks import actor_args, open_attempt_log, run_in_pieces
from pipeline.runtime.units import TaskResult, from_row

LoadCaptioner = Callable[[CaptionConfig], Captioner]
LEFT = "left "
"""Prefix of the count of clips that were not captioned, before the reason."""


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
        self._usage = UsageLog(context, self._captioner)
        self._stopped = ""

    def __call__(self, row: dict[str, Any]) -> Iterator[dict[str, Any]]:
        return run_in_pieces(row, stage="caption", task=self._caption_row, context=self._context)

    def _caption_row(self, row: dict[str, Any]) -> Iterator[Piece]:
        """Caption the units of a row; close a piece after a batch once `PIECE_S` have passed."""
        batches = [*split_batches([CaptionUnit(**fields) for fields in from_row(row)], self._config)]
        piece: list[CaptionUnit] = []
        done: list[CaptionedBatch] = []
        begin = time.monotonic()
        with ReadAhead(self._read_clip, self._config.decode_threads) as ahead:
            for batch, following in zip(batches, [*batches[1:], []], strict=True):
                done += self._caption_batch(batch, following, ahead)
                piece += batch
                if time.monotonic() - begin >= PIECE_S:
                    yield self._write(piece, done)
                    piece, done, begin = [], [], time.monotonic()
        if piece:
            yield self._write(piece, done)

    def _write(self, units: list[CaptionUnit], done: list[CaptionedBatch]) -> Piece:
        captions = [row for batch in done for row in batch.captions]
        failures = [row for batch in done for row in batch.failures]
        parts = [self._place.write_records("captions", captions)] if captions else []
        parts += [self._place.write_records("failures", failures)] if failures else []
        counts = {"ok": len(captions) - len(failures)} | count_by_code(failures) | self._usage.counts()
        if num_left := sum(batch.num_left for batch in done):
            counts[f"{LEFT}{self._stopped}"] = num_left
        size = sum(unit.length for unit in units)
        result = TaskResult(parts=tuple(parts), units=len(units), counts=counts, read_bytes=size)
        return Piece(num_units=len(units), result=result)

    def _caption_batch(
        self, batch: list[CaptionUnit], following: list[CaptionUnit], ahead: ReadAhead
    ) -> list[CaptionedBatch]:
        """Caption a batch; clip by clip if an earlier attempt at the batch killed its process.

        Then nothing is read ahead: a clip of the next batch could kill the process, and this one be blamed.
        """
        if self._stopped:
            return [self._left(batch)]
        name = digest_parts("batch", *(unit.media_id for unit in batch))
        result = self._attempts.run_batch(name, lambda: self._caption(batch, ahead, following))
        return [result] if result is not None else [self._caption_one(unit, ahead) for unit in batch]

    def _caption_one(self, unit: CaptionUnit, ahead: ReadAhead) -> CaptionedBatch:
        if self._stopped:
            return self._left([unit])
        try:
            return self._attempts.run(unit.media_id, unit.uri, lambda: self._caption([unit], ahead, []))
        except Quarantined as error:
            return failed_captions([unit], self._spec, error)

    def _caption(
        self, units: list[CaptionUnit], ahead: ReadAhead, following: list[CaptionUnit]
    ) -> CaptionedBatch:
        clips = ahead.take(units)
        ahead.start(following)
        try:
            done = caption_units(units, clips, self._captioner, self._spec)
        except DeviceLost as lost:
            print(f"the captioner's process ends, to be started again: {lost}", file=sys.stderr, flush=True)
            os._exit(1)  # Ray starts the actor and its task again; no clip is blamed at once
        self._stopped = done.stopped
        self._usage.note()
        return done

    def _left(self, units: list[CaptionUnit]) -> CaptionedBatch:
        return CaptionedBatch(captions=[], failures=[], num_left=len(units), stopped=self._stopped)

    def _read_clip(self, unit: CaptionUnit) -> ClipFrames:
        return read_clip(unit, self._config, self._place.storage)


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
    lost = failed_captions(units, spec, error)
    place = PartStore(context.dataset_uri)
    parts = (
        place.write_records("captions", lost.captions),
        place.write_records("failures", lost.failures),
    )
    return TaskResult(parts=parts, units=len(units), counts={"ok": 0} | count_by_code(lost.failures))
