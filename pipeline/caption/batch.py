"""Caption a batch of media with one captioner. An error of one clip becomes a row of that clip."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil
from typing import Any

import numpy as np

from captioner.captions import ClipFrames, caption_clips, error_caption, prompts_digest
from captioner.prompts import Prompt
from captioner.protocol import Captioner
from manifests.records import Caption, Failure, Outcome
from manifests.shown_frames import frame_step
from manifests.storage import Storage
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
class CaptionUnit:
    """One clip to caption."""

    media_id: str
    clip_id: str
    key: str
    """Unique in a batch, which may hold several windows of one clip: answers are matched by it."""
    uri: str
    """Of the source, for error reports."""
    path: str
    """The tar that holds it; `offset` and `length` are its byte range."""
    offset: int
    length: int
    num_frames: int
    height: int
    width: int


@dataclass(frozen=True, kw_only=True, slots=True)
class CaptionSpec:
    """The prompts, and the caption version that they give."""

    dense: Prompt | None = None
    short: Prompt | None = None
    medium: Prompt | None = None
    joint: Prompt | None = None
    """One prompt for all lengths, instead of the others."""
    version: str

    @property
    def prompts(self) -> dict[str, Prompt | None]:
        """The prompts, as `caption_clips` takes them."""
        return {"dense": self.dense, "short": self.short, "medium": self.medium, "joint": self.joint}

    @property
    def prompt_digest(self) -> str:
        """Digest of the prompts, as captions hold it."""
        return prompts_digest(*self.prompts.values())


def caption_units(
    units: Sequence[CaptionUnit],
    captioner: Captioner,
    spec: CaptionSpec,
    config: CaptionConfig,
    media: Storage,
) -> tuple[list[Caption], list[Failure]]:
    """Return one caption row for each unit, and a failure row for each that is not OK."""
    clips: list[ClipFrames] = []
    errors: dict[str, Exception] = {}
    for unit in units:
        try:
            clips.append(_read_clip(unit, config, media))
        except Exception as error:
            errors[unit.media_id] = error
    by_media = {row.media_id: row for row in _caption_clips(captioner, clips, spec, errors)}
    rows = [
        replace(by_media[unit.media_id], clip_id=unit.clip_id)
        if unit.media_id in by_media
        else _error_caption(unit, errors[unit.media_id], spec)
        for unit in units
    ]
    pairs = zip(units, rows, strict=True)
    failures = [_failure(*pair, errors) for pair in pairs if pair[1].outcome is not Outcome.OK]
    return rows, failures


def failed_captions(
    units: Sequence[CaptionUnit], spec: CaptionSpec, error: Exception
) -> tuple[list[Caption], list[Failure]]:
    """Return the rows of units that could not be captioned because of `error`."""
    errors = {unit.media_id: error for unit in units}
    rows = [_error_caption(unit, error, spec) for unit in units]
    return rows, [_failure(unit, row, errors) for unit, row in zip(units, rows, strict=True)]


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


def _read_clip(unit: CaptionUnit, config: CaptionConfig, media: Storage) -> ClipFrames:
    """Decode every n-th frame, scaled down."""
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


def _caption_clips(
    captioner: Captioner, clips: Sequence[ClipFrames], spec: CaptionSpec, errors: dict[str, Exception]
) -> list[Caption]:
    """Caption a batch; clip by clip if it raises. Add the errors to `errors` by media id."""
    if not clips:
        return []
    try:
        rows = caption_clips(captioner, clips, **spec.prompts)
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
