"""Caption some media with one captioner: whatever happens to one of them is a row, and the rest goes on."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil
from typing import Any

import numpy as np

from captioner.captions import ClipFrames, caption_clips, error_caption
from captioner.prompts import Prompt
from captioner.protocol import Captioner
from manifests.records import Caption, Failure, Outcome
from manifests.storage import Storage
from pipeline.config import CaptionConfig
from pipeline.media.read import read_media
from pipeline.runtime.failures import failure
from video.frames import read_frames
from video.resize import fit_long_side

_BATCH_BYTES = 256 * 2**20
"""Most bytes of decoded frames held at once."""
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
    """One piece of media to be captioned."""

    media_id: str
    clip_id: str
    uri: str
    """Of the source, for a person to find it."""
    path: str
    """The tar of the dataset that holds it, and where in it."""
    offset: int
    length: int
    num_frames: int
    height: int
    width: int


@dataclass(frozen=True, kw_only=True, slots=True)
class CaptionSpec:
    """What is asked, and what the answers are called."""

    dense: Prompt
    short: Prompt
    version: str


def caption_units(
    units: Sequence[CaptionUnit],
    captioner: Captioner,
    spec: CaptionSpec,
    config: CaptionConfig,
    media: Storage,
) -> tuple[list[Caption], list[Failure]]:
    """Return one caption row for each unit, and a failure row for each that is not OK."""
    shown: list[ClipFrames] = []
    broken: dict[str, Exception] = {}
    for unit in units:
        try:
            shown.append(_frames(unit, config, media))
        except Exception as error:
            broken[unit.media_id] = error
    answered = {row.media_id: row for row in _ask(captioner, shown, spec, broken)}
    rows = [answered.get(unit.media_id) or _error(unit, broken[unit.media_id], spec) for unit in units]
    pairs = zip(units, rows, strict=True)
    failures = [_failure(*pair, broken) for pair in pairs if pair[1].outcome is not Outcome.OK]
    return rows, failures


def failed_captions(
    units: Sequence[CaptionUnit], spec: CaptionSpec, error: Exception
) -> tuple[list[Caption], list[Failure]]:
    """Return the rows of units that `error` kept from being captioned at all."""
    broken = {unit.media_id: error for unit in units}
    rows = [_error(unit, error, spec) for unit in units]
    return rows, [_failure(unit, row, broken) for unit, row in zip(units, rows, strict=True)]


def split_batches(units: Sequence[CaptionUnit], config: CaptionConfig) -> Iterator[list[CaptionUnit]]:
    """Cut units into batches that are bounded in clips and in bytes of decoded frames."""
    batch: list[CaptionUnit] = []
    held = 0
    for unit in units:
        height, width = _size(unit, config)
        size = ceil(unit.num_frames / _every(unit, config)) * height * width * 3
        if batch and (len(batch) >= config.batch_clips or held + size > _BATCH_BYTES):
            yield batch
            batch, held = [], 0
        batch.append(unit)
        held += size
    if batch:
        yield batch


def _frames(unit: CaptionUnit, config: CaptionConfig, media: Storage) -> ClipFrames:
    """Decode what the captioner may look at: every n-th frame, scaled down."""
    names = ("clip_id", "path", "offset", "length")
    content = read_media(media, {name: getattr(unit, name) for name in names})
    every = _every(unit, config)
    frames = list(read_frames(content, size_px=_size(unit, config), every=every, interpolation="AREA"))
    return ClipFrames(
        clip_id=unit.clip_id,
        media_id=unit.media_id,
        frames_THWC=np.stack([frame.rgb_HWC for frame in frames]),
        times_s=tuple(frame.time_s - frames[0].time_s for frame in frames),
    )


def _every(unit: CaptionUnit, config: CaptionConfig) -> int:
    return max(1, ceil(unit.num_frames / config.max_frames))


def _size(unit: CaptionUnit, config: CaptionConfig) -> tuple[int, int]:
    """Return (height, width) at which frames are shown."""
    return fit_long_side((unit.height, unit.width), config.max_side_px)


def _ask(
    captioner: Captioner, shown: Sequence[ClipFrames], spec: CaptionSpec, broken: dict[str, Exception]
) -> list[Caption]:
    """Caption a batch; where that raises, each clip alone, so that one takes no other with it."""
    if not shown:
        return []
    try:
        rows = caption_clips(captioner, shown, dense=spec.dense, short=spec.short)
    except Exception as error:
        if len(shown) > 1:
            return [row for clip in shown for row in _ask(captioner, [clip], spec, broken)]
        broken[shown[0].media_id] = error
        return []
    return [replace(row, version=spec.version) for row in rows]


def _error(unit: CaptionUnit, error: Exception, spec: CaptionSpec) -> Caption:
    prompts, detail = f"{spec.dense.digest}+{spec.short.digest}", f"{type(error).__name__}: {error}"
    return replace(error_caption(unit.clip_id, unit.media_id, prompts, detail), version=spec.version)


def _failure(unit: CaptionUnit, row: Caption, broken: Mapping[str, Exception]) -> Failure:
    about: dict[str, Any] = {
        "stage": "caption",
        "unit": unit.media_id,
        "uri": unit.uri,
        "config": row.version,
    }
    if unit.media_id in broken:
        return failure(broken[unit.media_id], **about)
    return Failure(**about, code=row.outcome.name, message=row.detail, remedy=_REMEDIES[row.outcome])
