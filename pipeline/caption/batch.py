"""Caption a batch of media with one captioner. An error of one clip becomes a row of that clip."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil
from typing import Any

import numpy as np

from captioner.captions import ClipFrames, caption_clips, error_caption
from captioner.protocol import CaptionAnswer, Captioner, CaptioningStopped, CaptionRequest, DeviceLost
from manifests.records import Caption, Failure, Outcome
from manifests.shown_frames import frame_step
from manifests.storage import Storage
from pipeline.caption.units import CaptionSpec, CaptionUnit
from pipeline.config import CaptionConfig
from pipeline.media.read import read_media
from pipeline.runtime.failures import failure
from video.frames import read_frames
from video.resize import fit_long_side

_BATCH_BYTES = 256 * 2**20
"""Bytes of decoded frames in memory, at most."""
_REMEDIES = {
    Outcome.REFUSED: "reword the prompt, or caption with another model",
    Outcome.EMPTY: "caption with another model or prompt",
    Outcome.TRUNCATED: "raise the captioner's token limit",
    Outcome.DEGENERATE: "caption with another model, prompt or decoding",
    Outcome.TIMEOUT: "run `kinora retry` when the captioner answers again",
    Outcome.ERROR: "read the message, then run `kinora retry`",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class CaptionedBatch:
    """The rows of a batch."""

    captions: list[Caption]
    failures: list[Failure]
    num_left: int = 0
    """Clips that were not captioned because the captioner stopped; they have no row."""
    stopped: str = ""
    """Why it stopped."""


def caption_units(
    units: Sequence[CaptionUnit],
    read: Sequence[ClipFrames | Exception],
    captioner: Captioner,
    spec: CaptionSpec,
) -> CaptionedBatch:
    """Return a caption row for each unit that was asked about, and a failure row for each that is not OK.

    Args:
        read: the frames of each unit, or the error that reading them raised.

    Raises DeviceLost if the captioner can no longer work.
    """
    pairs = [*zip(units, read, strict=True)]
    clips = [found for _, found in pairs if isinstance(found, ClipFrames)]
    errors = {unit.media_id: found for unit, found in pairs if isinstance(found, Exception)}
    asked = _UntilStopped(captioner)
    by_media = {row.media_id: row for row in _caption_clips(asked, clips, spec, errors)}
    units = [unit for unit in units if unit.key not in asked.left]
    rows = [
        replace(by_media[unit.media_id], clip_id=unit.clip_id)
        if unit.media_id in by_media
        else _error_caption(unit, errors[unit.media_id], spec)
        for unit in units
    ]
    failures = [
        _failure(unit, row, errors)
        for unit, row in zip(units, rows, strict=True)
        if row.outcome is not Outcome.OK
    ]
    return CaptionedBatch(captions=rows, failures=failures, num_left=len(asked.left), stopped=asked.reason)


def failed_captions(units: Sequence[CaptionUnit], spec: CaptionSpec, error: Exception) -> CaptionedBatch:
    """Return the rows of units that could not be captioned because of `error`."""
    errors = {unit.media_id: error for unit in units}
    rows = [_error_caption(unit, error, spec) for unit in units]
    failures = [_failure(unit, row, errors) for unit, row in zip(units, rows, strict=True)]
    return CaptionedBatch(captions=rows, failures=failures)


def split_batches(units: Sequence[CaptionUnit], config: CaptionConfig) -> Iterator[list[CaptionUnit]]:
    """Split units into batches bounded in clips and in bytes of decoded frames."""
    batch: list[CaptionUnit] = []
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
    """Decode every n-th frame of a clip, scaled down."""
    names = ("clip_id", "path", "offset", "length")
    content = read_media(media, {name: getattr(unit, name) for name in names})
    every = _frame_step(unit, config)
    frames = list(read_frames(content, size_px=_size(unit, config), every=every, interpolation="AREA"))
    return ClipFrames(
        clip_id=unit.key,
        media_id=unit.media_id,
        frames_THWC=np.stack([frame.rgb_HWC for frame in frames]),
        times_s=tuple(frame.time_s - frames[0].time_s for frame in frames),
    )


def _frame_step(unit: CaptionUnit, config: CaptionConfig) -> int:
    return frame_step(unit.num_frames, config.max_frames)


def _size(unit: CaptionUnit, config: CaptionConfig) -> tuple[int, int]:
    """Return (height, width) of the frames for the captioner."""
    return fit_long_side((unit.height, unit.width), config.max_side_px)


class _UntilStopped:
    """A captioner that answers what another answers before it stops, and notes the clips that are left."""

    def __init__(self, captioner: Captioner) -> None:
        self._captioner = captioner
        self.reason = ""
        self.left: set[str] = set()

    def caption(self, requests: Sequence[CaptionRequest]) -> list[CaptionAnswer]:
        try:
            return self._captioner.caption(requests)
        except CaptioningStopped as stop:
            self.reason = str(stop)
            answered = {(answer.clip_id, answer.prompt_digest) for answer in stop.answers}
            self.left |= {r.clip_id for r in requests if (r.clip_id, r.prompt.digest) not in answered}
            return [*stop.answers]


def _caption_clips(
    captioner: Captioner, clips: Sequence[ClipFrames], spec: CaptionSpec, errors: dict[str, Exception]
) -> list[Caption]:
    """Caption a batch; clip by clip if it raises. Add the errors to `errors` by media id."""
    if not clips:
        return []
    try:
        rows = caption_clips(captioner, clips, **spec.prompts)
    except DeviceLost:
        raise
    except Exception as error:
        if len(clips) > 1:
            return [row for clip in clips for row in _caption_clips(captioner, [clip], spec, errors)]
        errors[clips[0].media_id] = error
        return []
    return [replace(row, version=spec.version) for row in rows]


def _error_caption(unit: CaptionUnit, error: Exception, spec: CaptionSpec) -> Caption:
    detail = f"{type(error).__name__}: {error}"
    row = error_caption(unit.clip_id, unit.media_id, spec.prompt_digest, detail)
    return replace(row, version=spec.version)


def _failure(unit: CaptionUnit, row: Caption, errors: Mapping[str, Exception]) -> Failure:
    fields: dict[str, Any] = {
        "stage": "caption",
        "unit": unit.media_id,
        "uri": unit.uri,
        "config": row.version,
    }
    if unit.media_id in errors:
        return failure(errors[unit.media_id], **fields)
    return Failure(**fields, code=row.outcome.name, message=row.detail, remedy=_REMEDIES[row.outcome])
