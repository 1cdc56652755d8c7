"""Cut clips to captions: one new caption version; nothing is cut or analysed again."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from captioner.protocol import Captioner
from manifests.dataset import Dataset
from manifests.live_view import LiveView
from pipeline.caption.batch import CaptionSpec, CaptionUnit
from pipeline.caption.stage import add_caption, record_lost
from pipeline.config import CaptionConfig, RayConfig
from pipeline.errors import NothingToDo
from pipeline.planning import pending
from pipeline.planning.dry_run import StagePlan, plan_caption
from pipeline.runtime.attempt_log import temporary_attempts_uri
from pipeline.runtime.progress import Progress, no_progress
from pipeline.runtime.run_stage import StageResult, run_stage
from pipeline.runtime.session import RaySession
from pipeline.runtime.units import batch_units, max_restarts, max_retries
from pipeline.runtime.waves import run_in_waves

_TASK_CLIPS = 512
"""A task captions at most so many clips."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CaptionReport:
    """What one run did."""

    version: str
    media: int
    already_done: int
    """Media that this version had been tried on before."""
    ok: int = 0
    failed: Mapping[str, int] = field(default_factory=dict)
    """AttemptLog that gave no good caption, by code."""
    seconds: float = 0.0
    dry_run: bool = False
    plan: tuple[StagePlan, ...] = ()
    """Of a dry run: how much would run, how long it would take, and why."""

    @property
    def nothing_left(self) -> bool:
        """Whether this run found everything captioned."""
        return not self.dry_run and self.already_done == self.media

    @property
    def failed_share(self) -> float:
        failed = sum(self.failed.values())
        return failed / max(1, self.ok + failed)


def caption(
    dataset_uri: str,
    config: CaptionConfig,
    ray_config: RayConfig,
    spec: CaptionSpec,
    load: Callable[[CaptionConfig], Captioner],
    *,
    retry: bool = False,
    dry_run: bool = False,
    progress: Progress = no_progress,
    command: str = "",
) -> CaptionReport:
    """Caption all media that this version was not tried on; with `retry`, those alone where it failed.

    Args:
        command: what a person types to run this again; kept in the log.

    Raises NothingToDo when no clip is cut.
    """
    begin = time.monotonic()
    dataset = Dataset.open(dataset_uri).with_command(command)
    view = LiveView(dataset)
    units, num_media = pending.to_caption(view, spec.version, retry=retry)
    if not num_media:
        raise NothingToDo(f"{dataset_uri}: no clip was cut; run `kinora curate`, or see `kinora status`")
    known = CaptionReport(
        version=spec.version, media=num_media, already_done=num_media - len(units), dry_run=dry_run
    )
    if dry_run:
        return replace(known, plan=(plan_caption(view, units.table, num_media, config, spec),))
    if not units:
        return known
    with RaySession(ray_config) as session:
        session.check(("caption",), [dataset.uri])
        actors = min(config.actors or session.cpus, session.cpus)
        pool, uri = ray_config.caption, dataset.uri
        progress("caption", 0, len(units))

        def run(dataset: Dataset, runs: list[list[CaptionUnit]]) -> tuple[Dataset, StageResult]:
            ends = max_restarts(runs), max_retries(runs)
            return run_stage(
                dataset,
                "caption",
                runs,
                lambda rows: add_caption(rows, uri, config, spec, load, actors, attempts_uri, *ends, pool),
                lambda units, error: record_lost(units, uri, spec, error),
                config=config,
                config_digest=spec.version,
                commit_every_s=ray_config.commit_every_s,
                progress=progress,
            )

        with temporary_attempts_uri(uri) as attempts_uri:
            _, done = run_in_waves(dataset, batch_units(units, cpus=actors, max_weight=_TASK_CLIPS), run)
    return CaptionReport(
        version=spec.version,
        media=num_media,
        already_done=known.already_done,
        ok=done.counts.get("ok", 0),
        failed=done.failed,
        seconds=round(time.monotonic() - begin, 2),
    )
