"""Frames for the scorers of clips that were analysed before: the frames that the analysis would have kept.

Read from the source; from the clip's media if the source is gone or has changed.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from manifests.storage import open_storage
from pipeline.analyze.decode_pass import uses_loop_filter
from pipeline.analyze.signals.frame_view import Span
from pipeline.analyze.signals.scorer_frames import ScorerFrames
from pipeline.analyze.task import probe_within_limits
from pipeline.config import AnalyzeConfig, ScorersConfig
from pipeline.errors import SourceChanged
from pipeline.media.read import read_media
from pipeline.runtime.context import StageContext
from pipeline.runtime.tasks import open_attempt_log
from pipeline.sources.fetch import local_copy
from pipeline.sources.stat import stat_source
from video.config import SandboxConfig
from video.frames import LazyFrame, read_lazy_frames
from video.sandbox import process_sandbox

Jpegs = list[tuple[bytes, ...]]
_WARMUP_S = 2.0
"""Time decoded before a run of clips, so that sampling by time begins as in a pass over the file."""
_MAX_GAP_S = 30.0
"""Gap between two clips above which the file is entered anew."""


def read_clip_frames(unit: Any, config: AnalyzeConfig, context: StageContext) -> Jpegs:
    """Return the JPEGs of each clip of a `ScoreUnit`.

    Raises VideoError, Quarantined or SourceChanged if neither the source nor all media can be read.
    """
    sandbox, attempts = process_sandbox(context.sandbox), open_attempt_log(context)
    try:
        now = stat_source(unit.uri)
        with local_copy(now.uri, now.size_bytes, now.etag, sandbox.config) as path:
            if now.source_key != unit.source_key:
                raise SourceChanged("the file changed, or went away, after it was analysed")
            task = partial(span_frames, path, unit.spans, unit.first_pts, config, sandbox.config)
            return attempts.run(unit.name, unit.uri, lambda: sandbox.call(task, path))
    except Exception:
        if not all(unit.media):
            raise
        storage = open_storage(context.dataset_uri)
        contents = ([_content(storage, member) for member in each] for each in unit.media)
        return [media_frames(each, config.scorers) for each in contents]


def span_frames(
    path: str,
    spans: Sequence[tuple[int, int]],
    first_pts: int,
    config: AnalyzeConfig,
    limits: SandboxConfig,
) -> Jpegs:
    """Return the JPEGs of each span of a file, in time order. Runs in the sandbox."""
    info = probe_within_limits(path, limits)
    first_s = float(first_pts * info.time_base)
    frames: dict[tuple[int, int], tuple[bytes, ...]] = {}
    for run in _runs(spans, round(_MAX_GAP_S / info.time_base)):
        from_pts = run[0][0] - round(_WARMUP_S / info.time_base)
        reader = read_lazy_frames(
            path,
            from_pts=from_pts if from_pts > first_pts else None,
            loop_filter=uses_loop_filter(info, config),
            skip_damage=True,
        )
        frames |= _run_frames(reader, run, first_s, config.scorers)
    return [frames[span] for span in spans]


def media_frames(members: Sequence[bytes], config: ScorersConfig) -> tuple[bytes, ...]:
    """Return the JPEGs of a clip from its media, which follow one another."""
    kept, index = ScorerFrames(config), 0
    for member in members:
        for frame in read_lazy_frames(member):
            kept.update(index, frame.time_s, frame.resized)
            index += 1
    return kept.in_span(Span(start=0, end=index))


def _run_frames(
    reader: Iterator[LazyFrame], run: Sequence[tuple[int, int]], first_s: float, config: ScorersConfig
) -> dict[tuple[int, int], tuple[bytes, ...]]:
    kept, found = ScorerFrames(config), dict[tuple[int, int], tuple[bytes, ...]]()
    waiting, start = list(run), -1
    index = 0
    for index, frame in enumerate(reader):
        if start >= 0 and frame.pts >= waiting[0][1]:
            found[waiting.pop(0)] = kept.in_span(Span(start=start, end=index))
            kept.evict(index)
            start = -1
        if not waiting:
            break
        if frame.pts < waiting[0][0]:
            kept.skip(frame.time_s - first_s)
            continue
        start = index if start < 0 else start
        kept.update(index, frame.time_s - first_s, frame.resized)
    if waiting:
        end = index + 1
        found[waiting.pop(0)] = kept.in_span(Span(start=max(start, 0), end=end)) if start >= 0 else ()
    return found | dict.fromkeys(waiting, ())


def _runs(spans: Sequence[tuple[int, int]], max_gap: int) -> Iterator[list[tuple[int, int]]]:
    """Split spans, in time order, where the gap between two is larger than `max_gap`."""
    run: list[tuple[int, int]] = []
    for span in spans:
        if run and span[0] - run[-1][1] > max_gap:
            yield run
            run = []
        run.append(span)
    if run:
        yield run


def _content(storage: Any, member: tuple[str, int, int]) -> bytes:
    path, offset, length = member
    return read_media(storage, {"path": path, "offset": offset, "length": length, "clip_id": path})
