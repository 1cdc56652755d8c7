"""Cut kept clips: a task takes some sources, decodes each once more, and writes one tar of encoded clips."""

from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from typing import Any
from uuid import uuid4

from ray.data import Dataset

from manifests.parts import Parts, digest_of
from manifests.records import Failure, Media, digest
from pipeline.config import CutConfig, config_digest
from pipeline.failing import SourceChanged, count, failure
from pipeline.sources import look
from pipeline.tar import TarWriter
from pipeline.units import MAX_RETRIES, Done, from_row
from video.cut import CutClip, cut


@dataclass(frozen=True, kw_only=True, slots=True)
class CutUnit:
    """The kept clips of one source, in time order."""

    source_key: str
    uri: str
    time_base_num: int
    time_base_den: int
    clip_ids: tuple[str, ...]
    spans: tuple[tuple[int, int], ...]
    """[start, end) in units of the time base, one a clip."""


def add_cut(sources: Dataset, uri: str, config: CutConfig) -> Dataset:
    """In: rows of `CutUnit`. Out: one `Done` row a task, its tar and parts in the dataset at `uri`."""
    return sources.map(partial(cut_some, uri=uri, config=config), max_retries=MAX_RETRIES)


def cut_some(row: dict[str, Any], *, uri: str, config: CutConfig) -> dict[str, str]:
    """Cut the sources of one row into one tar; write its index and the failures as uncommitted parts."""
    units = [CutUnit(**fields) for fields in from_row(row)]
    media: list[Media] = []
    failures: list[Failure] = []
    place, path = Parts(uri), f"media/{uuid4().hex}.tar"
    with TarWriter(place.storage, path) as tar:
        for unit in units:
            failures += cut_source(unit, config, tar, path, media)
    if not media:
        place.storage.delete(path)
    parts = [place.put_records("media", media)] if media else []
    parts += [place.put_records("failures", failures)] if failures else []
    given = sum(len(unit.clip_ids) for unit in units)
    return Done(parts=tuple(parts), units=given, counts={"cut": len(media)} | count(failures)).to_row()


def cut_source(
    unit: CutUnit, config: CutConfig, tar: TarWriter, path: str, media: list[Media]
) -> list[Failure]:
    """Cut one source into `tar`, adding a row to `media` for each clip; return the failures."""
    encoding = config_digest(config)
    remaining = list(unit.clip_ids)
    try:
        if look(unit.uri).source_key != unit.source_key:
            raise SourceChanged("the file changed, or went away, after it was analysed")
        for clip in cut(unit.uri, unit.spans, max_side=config.max_side_px or None, crf=config.crf):
            media.append(_store(remaining[0], clip, unit, encoding, tar, path))
            remaining.pop(0)
    except Exception as error:
        return [
            failure(error, stage="cut", unit=clip_id, uri=unit.uri, config=encoding) for clip_id in remaining
        ]
    return []


def _store(clip_id: str, clip: CutClip, unit: CutUnit, encoding: str, tar: TarWriter, path: str) -> Media:
    media_id = digest("media", clip_id, encoding)
    _, offset = tar.add(f"{clip_id}.{clip.suffix}", clip.media)
    duration = (clip.end_pts - clip.start_pts) * Fraction(unit.time_base_num, unit.time_base_den)
    return Media(
        media_id=media_id,
        clip_id=clip_id,
        encoding=encoding,
        path=path,
        offset=offset,
        length=len(clip.media),
        extension=clip.suffix,
        num_frames=clip.num_frames,
        height=clip.height,
        width=clip.width,
        fps=float(clip.fps),
        duration_s=float(duration),
        digest=digest_of(clip.media),
    )
