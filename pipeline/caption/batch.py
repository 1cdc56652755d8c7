"""Caption a batch of media with one captioner. An error of one clip becomes a row of that clip."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil
from typing import Any, Protocol, TypeVar

import numpy as np

from captioner.captions import ClipFrames, caption_clips, error_caption
from captioner.protocol import Captioner
from manifests.parts import Part, PartStore
from manifests.records import LENGTH_COLUMNS, Caption, Failure, Outcome
from manifests.shown_frames import frame_step
from manifests.storage import Storage
from pipeline.caption.answers import AnsweredBatch, GuardedCaptioner
from pipeline.caption.transcripts import heard_in
from pipeline.caption.units import CaptionSpec, CaptionUnit
from pipeline.config import CaptionConfig
from pipeline.media.read import read_media
from pipeline.runtime.failures import failure
from video.frames import read_frames
from video.resize import fit_long_side

_BATCH_BYTES = 256 * 2**20
"""Bytes of decoded frames in memory, at most."""
REMEDIES = {
    Outcome.REFUSED: "reword the prompt, or caption with another model",
    Outcome.EMPTY: "caption with another model or prompt",
    Outcome.TRUNCATED: "raise the captioner's token limit",
    Outcome.DEGENERATE: "caption with another model, prompt or decoding",
    Outcome.TIMEOUT: "run `kinora retry` when the captioner answers again",
    Outcome.ERROR: "read the message, then run `kinora retry`",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class CaptionJob:
    """What an actor does with the units of captions (`pipeline.caption.actor.EngineJob`)."""

    config: CaptionConfig
    spec: CaptionSpec
    stage: str = "caption"

    def unit(self, fields: Mapping[str, Any]) -> CaptionUnit:
        """Build a unit from its JSON."""
        return CaptionUnit(**fields)

    def read(self, unit: CaptionUnit, storage: Storage) -> ClipFrames:
        """Decode the frames that the captioner can choose from."""
        return read_clip(unit, self.config, storage)

    def run(
        self, units: Sequence[CaptionUnit], read: Sequence[ClipFrames | Exception], captioner: Captioner
    ) -> AnsweredBatch:
        """Return a caption row for each unit that was asked about, a failure row for each that is not OK.

        Args:
            read: the frames of each unit, or the error that reading them raised.

        Raises DeviceLost if the captioner can no longer work.
        """
        errors = {u.key: found for u, found in zip(units, read, strict=True) if isinstance(found, Exception)}
        clips = [found for found in read if isinstance(found, ClipFrames)]
        guarded = GuardedCaptioner(captioner)
        captions = caption_clips(guarded, clips, **self.spec.prompts, window_s=self.spec.window_s)
        by_key = {clip.clip_id: row for clip, row in zip(clips, captions, strict=True)}
        errors |= guarded.errors
        rows = [
            self._error_caption(unit, errors[unit.key])
            if unit.key in errors
            else self._caption(unit, by_key[unit.key])
            for unit in units
            if unit.key not in guarded.left
        ]
        left = [unit for unit in units if unit.key in guarded.left]
        asked = [unit for unit in units if unit.key not in guarded.left]
        return self._batch(asked, rows, errors, num_left=len(left), stopped=guarded.stopped)

    def failed(self, units: Sequence[CaptionUnit], error: Exception) -> AnsweredBatch:
        """Return the rows of units that could not be captioned because of `error`."""
        rows = [self._error_caption(unit, error) for unit in units]
        return self._batch(units, rows, {unit.key: error for unit in units})

    def write(self, rows: list[Any], store: PartStore) -> list[Part]:
        """Write rows of captions as uncommitted parts."""
        return [store.write_records("captions", rows)] if rows else []

    def _batch(
        self,
        units: Sequence[CaptionUnit],
        rows: list[Caption],
        errors: Mapping[str, Exception],
        num_left: int = 0,
        stopped: str = "",
    ) -> AnsweredBatch:
        failures = [
            _failure(unit, row, errors.get(unit.key))
            for unit, row in zip(units, rows, strict=True)
            if row.outcome is not Outcome.OK
        ]
        num_ok = len(rows) - len(failures)
        return AnsweredBatch(rows=rows, failures=failures, num_ok=num_ok, num_left=num_left, stopped=stopped)

    def _caption(self, unit: CaptionUnit, row: Caption) -> Caption:
        """Return the row of a unit, with the scores of its clip at the end of each text."""
        texts = row.texts if unit.score_words else {}
        columns = {LENGTH_COLUMNS[length]: f"{text} {unit.score_words}" for length, text in texts.items()}
        return replace(row, **columns, clip_id=unit.clip_id, version=self.spec.version)

    def _error_caption(self, unit: CaptionUnit, error: Exception) -> Caption:
        detail = f"{type(error).__name__}: {error}"
        row = error_caption(unit.clip_id, unit.media_id, self.spec.prompt_digest, detail)
        return replace(row, version=self.spec.version)


class Sized(Protocol):
    """A unit with frames to decode."""

    @property
    def num_frames(self) -> int: ...
    @property
    def height(self) -> int: ...
    @property
    def width(self) -> int: ...


U = TypeVar("U", bound=Sized)


def split_batches(units: Sequence[U], config: CaptionConfig) -> Iterator[list[U]]:
    """Split units into batches bounded in clips and in bytes of decoded frames."""
    batch: list[U] = []
    num_bytes = 0
    for unit in units:
        height, width = _size(unit, config)
        size = ceil(unit.num_frames / _frame_step(unit, config)) * height * width * 3
        if batch and (len(batch) >= config.batch_clips or num_bytes + size > _BATCH_BYTES):
            yield batch
            batch, num_bytes = [], 0
        batch.append(unit)
        num_bytes += size
    if batch:
        yield batch


def read_clip(unit: CaptionUnit, config: CaptionConfig, media: Storage) -> ClipFrames:
    """Decode every n-th frame of a clip, scaled down, and read what is heard meanwhile."""
    names = ("clip_id", "path", "offset", "length")
    content = read_media(media, {name: getattr(unit, name) for name in names})
    every = _frame_step(unit, config)
    frames = list(read_frames(content, size_px=_size(unit, config), every=every, interpolation="AREA"))
    return ClipFrames(
        clip_id=unit.key,
        media_id=unit.media_id,
        frames_THWC=np.stack([frame.rgb_HWC for frame in frames]),
        times_s=tuple(frame.time_s - frames[0].time_s for frame in frames),
        heard=heard_in(unit, config.transcripts),
    )


def _frame_step(unit: Sized, config: CaptionConfig) -> int:
    return frame_step(unit.num_frames, config.max_frames)


def _size(unit: Sized, config: CaptionConfig) -> tuple[int, int]:
    """Return (height, width) of the frames for the captioner."""
    return fit_long_side((unit.height, unit.width), config.max_side_px)


def _failure(unit: CaptionUnit, row: Caption, error: Exception | None) -> Failure:
    fields: dict[str, Any] = {
        "stage": "caption",
        "unit": unit.media_id,
        "uri": unit.uri,
        "config": row.version,
    }
    if error is not None:
        return failure(error, **fields)
    return Failure(**fields, code=row.outcome.name, message=row.detail, remedy=REMEDIES[row.outcome])
