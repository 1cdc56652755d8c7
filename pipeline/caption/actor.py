"""An actor that holds one captioner, reads clips by byte range, decodes them ahead, and asks about them."""

import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Protocol, TypeVar

import torch

from captioner.captions import ClipFrames
from captioner.protocol import Captioner, DeviceLost
from manifests.digest import digest_parts
from manifests.parts import Part, PartStore
from manifests.storage import Storage
from pipeline.caption.answers import AnsweredBatch
from pipeline.caption.batch import Sized, split_batches
from pipeline.caption.read_ahead import ReadAhead
from pipeline.caption.usage import UsageLog
from pipeline.config import CaptionConfig
from pipeline.runtime.attempt_log import Quarantined
from pipeline.runtime.context import StageContext
from pipeline.runtime.failures import count_by_code
from pipeline.runtime.loading import load_or_retire
from pipeline.runtime.pieces import PIECE_S, Piece
from pipeline.runtime.tasks import open_attempt_log, run_in_pieces
from pipeline.runtime.units import TaskResult, from_row

LoadCaptioner = Callable[[Any], Captioner]
"""Loads the captioner of a `CaptionConfig`."""
LEFT = "left "
"""Prefix of the count of clips that were not captioned, before the reason."""


class ClipUnit(Sized, Protocol):
    """A clip to ask about."""

    @property
    def key(self) -> str:
        """Unique among the units of a run."""
        ...

    @property
    def uri(self) -> str:
        """Of the source, for error reports."""
        ...

    @property
    def length(self) -> int:
        """Bytes of its media."""
        ...


U = TypeVar("U", bound=ClipUnit)


class EngineJob(Protocol[U]):
    """What is asked about units, and the rows that answers become. Travels to the workers."""

    @property
    def stage(self) -> str: ...

    def unit(self, fields: Mapping[str, Any]) -> U:
        """Build a unit from its JSON."""
        ...

    def read(self, unit: U, storage: Storage) -> ClipFrames:
        """Decode a clip; its `clip_id` is the key of the unit."""
        ...

    def run(
        self, units: Sequence[U], read: Sequence[ClipFrames | Exception], captioner: Captioner
    ) -> AnsweredBatch:
        """Ask about units. Raises DeviceLost if the captioner can no longer work."""
        ...

    def failed(self, units: Sequence[U], error: Exception) -> AnsweredBatch:
        """Return the rows of units that failed with `error`."""
        ...

    def write(self, rows: list[Any], store: PartStore) -> list[Part]:
        """Write rows as uncommitted parts."""
        ...


class EngineActor:
    """Holds one captioner, on one torch thread. In: rows of units. Out: rows of `run_in_pieces`."""

    def __init__(
        self,
        config: CaptionConfig,
        context: StageContext,
        job: EngineJob[Any],
        load_captioner: LoadCaptioner,
    ) -> None:
        torch.set_num_threads(1)
        self._attempts = open_attempt_log(context)
        self._place, self._config, self._job = PartStore(context.dataset_uri), config, job
        self._context = context
        self._captioner = load_or_retire(partial(load_captioner, config), context)
        self._usage = UsageLog(context, self._captioner)
        self._stopped = ""

    def __call__(self, row: dict[str, Any]) -> Iterator[dict[str, Any]]:
        return run_in_pieces(row, stage=self._job.stage, task=self._ask_row, context=self._context)

    def _ask_row(self, row: dict[str, Any]) -> Iterator[Piece]:
        """Ask about the units of a row; close a piece after a batch once `PIECE_S` have passed."""
        batches = [*split_batches([self._job.unit(fields) for fields in from_row(row)], self._config)]
        piece: list[ClipUnit] = []
        done: list[AnsweredBatch] = []
        begin = time.monotonic()
        with ReadAhead(self._read, self._config.decode_threads) as ahead:
            for batch, following in zip(batches, [*batches[1:], []], strict=True):
                done += self._ask_batch(batch, following, ahead)
                piece += batch
                if time.monotonic() - begin >= PIECE_S:
                    yield self._write(piece, done)
                    piece, done, begin = [], [], time.monotonic()
        if piece:
            yield self._write(piece, done)

    def _write(self, units: list[ClipUnit], done: list[AnsweredBatch]) -> Piece:
        failures = [row for batch in done for row in batch.failures]
        parts = self._job.write([row for batch in done for row in batch.rows], self._place)
        parts += [self._place.write_records("failures", failures)] if failures else []
        other = sum((Counter(batch.counts) for batch in done), Counter[str]())
        counts = {"ok": sum(batch.num_ok for batch in done)} | count_by_code(failures) | other
        counts |= self._usage.counts()
        if num_left := sum(batch.num_left for batch in done):
            counts[f"{LEFT}{self._stopped}"] = num_left
        size = sum(unit.length for unit in units)
        result = TaskResult(parts=tuple(parts), units=len(units), counts=counts, read_bytes=size)
        return Piece(num_units=len(units), result=result)

    def _ask_batch(
        self, batch: list[ClipUnit], following: list[ClipUnit], ahead: ReadAhead
    ) -> list[AnsweredBatch]:
        """Ask about a batch; clip by clip if an earlier attempt at the batch killed its process.

        Then nothing is read ahead: a clip of the next batch could kill the process, and this one be blamed.
        """
        if self._stopped:
            return [self._left(batch)]
        name = digest_parts("batch", *(unit.key for unit in batch))
        result = self._attempts.run_batch(name, lambda: self._ask(batch, ahead, following))
        return [result] if result is not None else [self._ask_one(unit, ahead) for unit in batch]

    def _ask_one(self, unit: ClipUnit, ahead: ReadAhead) -> AnsweredBatch:
        if self._stopped:
            return self._left([unit])
        try:
            return self._attempts.run(unit.key, unit.uri, lambda: self._ask([unit], ahead, []))
        except Quarantined as error:
            return self._job.failed([unit], error)

    def _ask(self, units: list[ClipUnit], ahead: ReadAhead, following: list[ClipUnit]) -> AnsweredBatch:
        clips = ahead.take(units)
        ahead.start(following)
        try:
            done = self._job.run(units, clips, self._captioner)
        except DeviceLost as lost:
            print(f"the captioner's process ends, to be started again: {lost}", file=sys.stderr, flush=True)
            os._exit(1)  # Ray starts the actor and its task again; no clip is blamed at once
        self._stopped = done.stopped
        self._usage.note()
        return done

    def _left(self, units: list[ClipUnit]) -> AnsweredBatch:
        return AnsweredBatch(rows=[], failures=[], num_ok=0, num_left=len(units), stopped=self._stopped)

    def _read(self, unit: ClipUnit) -> ClipFrames:
        return self._job.read(unit, self._place.storage)


def record_lost(job: EngineJob[U], units: Sequence[U], context: StageContext, error: Exception) -> TaskResult:
    """Write the rows and failures of the units of a lost task."""
    lost, place = job.failed(units, error), PartStore(context.dataset_uri)
    parts = [*job.write(lost.rows, place), place.write_records("failures", lost.failures)]
    return TaskResult(parts=tuple(parts), units=len(units), counts={"ok": 0} | count_by_code(lost.failures))
