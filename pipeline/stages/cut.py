"""Cut kept clips: a task takes some sources, decodes each once more, and writes one tar of encoded clips."""

from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

from ray.data import ActorPoolStrategy, Dataset

from manifests import store
from manifests.records import Failure, Media, digest
from pipeline.attempts import Attempts
from pipeline.config import CutConfig, config_digest
from pipeline.failing import SourceChanged, count, failure
from pipeline.sources import look
from pipeline.tar import TarWriter
from pipeline.units import Done, Workers, from_row
from video.config import SandboxConfig
from video.cut import CutClip, cut
from video.sandbox import Sandbox


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


class CutActor:
    """Holds one sandbox. In: rows of `CutUnit`. Out: one `Done` row each, its tar and parts below `root`."""

    def __init__(self, root: Path, config: CutConfig, limits: SandboxConfig, notes: Path) -> None:
        self._root, self._config = root, config
        self._sandbox, self._attempts = Sandbox(limits), Attempts(notes)

    def __call__(self, row: dict[str, Any]) -> dict[str, str]:
        """Cut the sources of one row into one tar; write its index and the failures as uncommitted parts."""
        units = [CutUnit(**fields) for fields in from_row(row)]
        media: list[Media] = []
        failures: list[Failure] = []
        path = Path("media") / f"{uuid4().hex}.tar"
        with TarWriter(self._root / path) as tar:
            for unit in units:
                failures += self._cut(unit, tar, path.as_posix(), media)
        if not media:
            (self._root / path).unlink()
        dataset = store.Dataset.open(self._root)
        parts = [dataset.put_records("media", media)] if media else []
        parts += [dataset.put_records("failures", failures)] if failures else []
        given = sum(len(unit.clip_ids) for unit in units)
        return Done(parts=tuple(parts), units=given, counts={"cut": len(media)} | count(failures)).to_row()

    def _cut(self, unit: CutUnit, tar: TarWriter, path: str, media: list[Media]) -> list[Failure]:
        """Cut one source into `tar`, adding a row to `media` for each clip; return the failures."""
        config, encoding = self._config, config_digest(self._config)
        clip_ids, spans = list(unit.clip_ids), list(unit.spans)

        def cut_rest() -> None:
            footage_s = sum(end - start for start, end in spans) * unit.time_base_num / unit.time_base_den
            task = partial(cut, unit.uri, tuple(spans), max_side=config.max_side_px or None, crf=config.crf)
            for clip in self._sandbox.stream(task, unit.uri, footage_s=footage_s):
                media.append(_store(clip_ids.pop(0), clip, unit, encoding, tar, path))
                spans.pop(0)

        try:
            if look(unit.uri).source_key != unit.source_key:
                raise SourceChanged("the file changed, or went away, after it was analysed")
            self._attempts.work(unit.source_key, unit.uri, cut_rest)
        except Exception as error:
            return [
                failure(error, stage="cut", unit=clip_id, uri=unit.uri, config=encoding)
                for clip_id in clip_ids
            ]
        return []


def add_cut(
    sources: Dataset, root: Path, config: CutConfig, limits: SandboxConfig, notes: Path, workers: Workers
) -> Dataset:
    """In: rows of `CutUnit`. Out: one `Done` row a task, its tar and parts below `root`.

    Args:
        notes: folder for the notes on attempts.
    """
    return sources.map(
        CutActor,  # pyright: ignore[reportArgumentType]  # its stubs know functions alone
        fn_constructor_args=(root, config, limits, notes),
        compute=ActorPoolStrategy(size=workers.number, max_tasks_in_flight_per_actor=1),
        max_restarts=workers.max_restarts,
        max_task_retries=workers.max_task_retries,
    )


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
    )
