"""Cut kept clips: a task decodes a batch of sources once more and writes one tar of encoded clips."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from functools import partial
from itertools import chain
from typing import Any
from uuid import uuid4

from ray.data import Dataset

from manifests.digest import digest_bytes
from manifests.parts import PartStore
from manifests.records import Failure, Media
from manifests.storage import is_disk_full
from pipeline.config import CutConfig, config_digest
from pipeline.cut.crop import encoding_of
from pipeline.cut.unit import CutUnit
from pipeline.cut.windows import media_id_of
from pipeline.errors import SourceChanged
from pipeline.media.tar import TarWriter
from pipeline.runtime.attempt_log import AttemptLog
from pipeline.runtime.context import StageContext
from pipeline.runtime.failures import count_by_code, failure
from pipeline.runtime.pieces import Piece
from pipeline.runtime.tasks import open_attempt_log, run_in_pieces, task_args
from pipeline.runtime.units import TaskResult, from_row
from pipeline.sources.fetch import local_copy
from pipeline.sources.stat import stat_source
from video.audio import cut_with_sound
from video.cut import CutClip, cut
from video.sandbox import Sandbox, process_sandbox

_TAR_S = 600.0
"""Time after which a tar is closed, so that long tasks are committed as they go, in seconds."""


def add_cut(units: Dataset, config: CutConfig, context: StageContext) -> Dataset:
    """Map rows of `CutUnit` to rows of `run_in_pieces`."""
    task = partial(cut_batch, config=config, context=context)
    work = partial(run_in_pieces, stage="cut", task=task, context=context)
    return units.flat_map(work, **task_args(context))


def cut_batch(row: dict[str, Any], *, config: CutConfig, context: StageContext) -> Iterator[Piece]:
    """Cut the units of one row into one tar, or into one for each `_TAR_S` of work."""
    units = deque(CutUnit(**fields) for fields in from_row(row))
    while units:
        yield cut_tar(units, config, context)


def cut_tar(units: deque[CutUnit], config: CutConfig, context: StageContext) -> Piece:
    """Cut units into one tar until `_TAR_S` have passed; write its index and failures as uncommitted parts.

    Removes these units from `units`.
    """
    begin, done = time.monotonic(), list[CutUnit]()
    sandbox, attempts = process_sandbox(context.sandbox), open_attempt_log(context)
    media: list[Media] = []
    failures: list[Failure] = []
    place, path = PartStore(context.dataset_uri), f"media/{uuid4().hex}.tar"
    with TarWriter(place.storage, path) as tar:
        store_clip = partial(_store, config=config, tar=tar, path=path)
        while units and (not done or time.monotonic() - begin < _TAR_S):
            stored, failed = cut_source(units[0], config, sandbox, attempts, store_clip)
            done.append(units.popleft())
            media += stored
            failures += failed
    if not media:
        place.storage.delete(path)
    parts = [place.write_records("media", media)] if media else []
    parts += [place.write_records("failures", failures)] if failures else []
    num_clips = sum(unit.num_clips for unit in done)
    counts = {"cut": num_clips - len(failures), "media": len(media)} | count_by_code(failures)
    return Piece(num_units=len(done), result=TaskResult(parts=tuple(parts), units=num_clips, counts=counts))


def record_lost(
    units: list[CutUnit], config: CutConfig, context: StageContext, error: Exception
) -> TaskResult:
    """Write a failure for each clip of a lost task."""
    failures = [row for unit in units for row in _failures(unit, unit.clip_ids, config, error)]
    part = PartStore(context.dataset_uri).write_records("failures", failures)
    return TaskResult(parts=(part,), units=len(failures), counts=count_by_code(failures))


def cut_source(
    unit: CutUnit,
    config: CutConfig,
    sandbox: Sandbox,
    attempts: AttemptLog,
    store_clip: Callable[[int, CutClip, CutUnit], Media],
) -> tuple[list[Media], list[Failure]]:
    """Cut one source in the sandbox; return the stored media of its complete clips, and the failures.

    Args:
        store_clip: takes the index of a clip in `unit`, the cut clip or a window of it, and the unit.

    Raises OSError if the disk is full.
    """
    done: list[list[Media]] = []
    """The media of each clip, in the order of `unit`."""

    def cut_rest(path: str) -> None:  # a second attempt continues where the first died
        first, windows = len(done), list[Media]()
        spans = unit.spans[first:]
        numbers = range(first, len(unit.spans))
        footage_s = sum(end - start for start, end in spans) * unit.time_base_num / unit.time_base_den
        keep_sound = {} if config.audio == "none" else {"audio": config.audio}
        task = partial(
            cut_with_sound if keep_sound else cut,
            path,
            spans,
            **keep_sound,
            crops=[unit.crop(number) for number in numbers],
            windows=[unit.num_windows(number) for number in numbers],
            max_side=config.max_side_px or None,
            crf=config.crf,
        )
        for clip in sandbox.stream(task, path, footage_s=footage_s):
            windows.append(store_clip(first + clip.span, clip, unit))
            if clip.end_pts == spans[clip.span][1]:
                done.append(windows)
                windows = []

    try:
        now = stat_source(unit.uri)
        with local_copy(
            now.uri, now.size_bytes, now.etag, sandbox.config
        ) as path:  # raises if it cannot be local_copy
            if now.source_key != unit.source_key:
                raise SourceChanged("the file changed, or went away, after it was analysed")
            attempts.run(unit.name, unit.uri, partial(cut_rest, path))
    except Exception as error:
        if is_disk_full(error):
            raise
        return [*chain(*done)], _failures(unit, unit.clip_ids[len(done) :], config, error)
    return [*chain(*done)], []


def _failures(unit: CutUnit, clip_ids: Iterable[str], config: CutConfig, error: Exception) -> list[Failure]:
    about = {"stage": "cut", "uri": unit.uri, "config": config_digest(config)}
    return [failure(error, unit=clip_id, **about) for clip_id in clip_ids]


def _store(
    number: int, clip: CutClip, unit: CutUnit, *, config: CutConfig, tar: TarWriter, path: str
) -> Media:
    clip_id, span = unit.clip_ids[number], (clip.start_pts, clip.end_pts)
    about: dict[str, Any] = {"media_id": unit.kept_media_id(number)}
    if not about["media_id"]:
        about = {"media_id": media_id_of(clip_id, unit.crop(number), span)}
        about |= {"window_index": clip.window, "num_windows": unit.num_windows(number)}
        about |= {"window_start_pts": clip.start_pts, "window_end_pts": clip.end_pts}
    _, offset = tar.add(f"{clip_id}-{clip.window:03d}.{clip.suffix}", clip.media)
    duration = (clip.end_pts - clip.start_pts) * Fraction(unit.time_base_num, unit.time_base_den)
    return Media(
        **about,
        clip_id=clip_id,
        encoding=encoding_of(unit.crop(number), config),
        path=path,
        offset=offset,
        length=len(clip.media),
        extension=clip.suffix,
        num_frames=clip.num_frames,
        height=clip.height,
        width=clip.width,
        fps=float(clip.fps),
        duration_s=float(duration),
        digest=digest_bytes(clip.media),
        audio=clip.audio,
    )
