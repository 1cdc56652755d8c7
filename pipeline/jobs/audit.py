"""Captions to agreements and claims: the rows are appended again, with the columns of the check."""
# pyarrow and DuckDB have no complete types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import pyarrow as pa
import ray.data

from captioner.protocol import Captioner
from captioner.separation import Separation, separation
from manifests.arrow import pc
from manifests.caption_checks import SEEN, STAGE
from manifests.dataset import Commit, Dataset
from manifests.digest import digest_parts
from manifests.live_view import LiveView
from manifests.parts import PartStore
from pipeline.audit.stage import add_audit, load_checkers, record_lost
from pipeline.audit.task import Checkers, JudgeClaims, check_captions, read_captions
from pipeline.audit.unit import AuditUnit
from pipeline.config import AuditConfig, RayConfig, config_digest
from pipeline.errors import NothingToDo
from pipeline.planning.auditing import audit_tasks, to_audit
from pipeline.runtime.context import Stage, StageContext, new_context
from pipeline.runtime.progress import Progress, no_progress
from pipeline.runtime.session import RaySession
from pipeline.runtime.units import TaskResult
from pipeline.runtime.waves import run_in_waves

_AGREEMENTS = ("agreement", "agreement_next", "agreement_previous", "agreement_shuffled")
_MAX_EXAMPLES = 20
_LOCAL_CAPTIONS = 64
"""Up to this many captions are checked in the driver: faster than starting Ray."""


@dataclass(frozen=True, kw_only=True)
class AuditStageConfig:
    """What an audit ran under, as its commits record it."""

    settings: AuditConfig
    requests: tuple[tuple[str, int], ...]
    """The commit that last asked for each caption version (`manifests.caption_checks`)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AuditReport:
    """The result of `audit`."""

    version: str
    captions: int
    """OK captions of the version."""
    already_done: int
    checked: int = 0
    """Captions of this run whose clip could be read."""
    unread: int = 0
    lost: int = 0
    """Captions of tasks that returned nothing: they stay without a check."""
    scorer: str = ""
    seen_in_part: int = 0
    """Captions with a sentence longer than the scorer sees (column `agreement_seen`)."""
    separation: Separation | None = None
    suspects: tuple[str, ...] = ()
    """Clips of the groups of captions that fit no better than shuffled ones, at most 20."""
    claims: int = 0
    claims_checked: int = 0
    unsupported: int = 0
    claims_by: dict[str, int] = field(default_factory=dict)
    """Captions by who checked their claims."""
    seconds: float = 0.0

    @property
    def unsupported_rate(self) -> float | None:
        """Fraction of the checked claims that are unsupported."""
        return self.unsupported / self.claims_checked if self.claims_checked else None

    @property
    def problems(self) -> tuple[str, ...]:
        """Why the captions fail the check."""
        return self.separation.problems if self.separation else ()


def audit(
    dataset_uri: str,
    config: AuditConfig,
    ray_config: RayConfig,
    *,
    version: str | None = None,
    judge: JudgeClaims | None = None,
    judge_digest: str = "",
    load_captioner: Callable[[], Captioner] | None = None,
    progress: Progress = no_progress,
    command: str = "",
) -> AuditReport:
    """Check the captions of one version that were not checked under this configuration.

    Args:
        version: caption version; the one that was asked for last by default.
        judge: knows the truth of some media; `judge_digest` names it.
        load_captioner: loads the model that is asked about claims.

    Raises NothingToDo if the version has no OK caption.
    """
    begin = time.monotonic()
    dataset = Dataset.open(dataset_uri).with_command(command)
    view = LiveView(dataset)
    requests = view.caption_requests()
    if not requests:
        raise NothingToDo(f"{dataset_uri}: there are no captions; run `kinora caption` first")
    version = version or max(requests, key=lambda name: requests[name])
    if version not in requests:
        raise ValueError(
            f"--version {version}: no such caption version; there are {', '.join(sorted(requests))}"
        )
    digest = digest_parts("audit", config_digest(config), judge_digest)[:16]
    units, total = to_audit(view, version, digest)
    if not total:
        raise NothingToDo(f"{dataset_uri}: version {version} has no OK caption to check")
    pending = sum(len(unit.rows) for unit in units)
    report = AuditReport(version=version, captions=total, already_done=total - pending)
    if units:
        settings = AuditStageConfig(settings=config, requests=tuple(requests.items()))
        progress("audit", 0, pending)
        stage = _stage(settings, digest, judge, load_captioner)
        if pending <= _LOCAL_CAPTIONS:
            checkers = load_checkers(config, judge, load_captioner)
            dataset, counts = _check_here(dataset, stage, units, checkers)
            progress("audit", pending)
        else:
            dataset, counts = _check_on_ray(dataset, stage, units, ray_config, progress)
        report = replace(report, **{name: counts.get(name, 0) for name in ("checked", "unread", "lost")})
    report = _with_figures(report, LiveView(dataset), digest, config)
    return replace(report, seconds=round(time.monotonic() - begin, 2))


def _check_here(
    dataset: Dataset, stage: Stage[AuditUnit], units: list[AuditUnit], checkers: Checkers
) -> tuple[Dataset, Mapping[str, int]]:
    """Check a few captions in this process."""
    begin, store = time.monotonic(), PartStore(dataset.storage)
    rows = read_captions(store, units)
    settings = stage.config.settings
    captions, unread = check_captions(rows, units, checkers, settings, store.storage, stage.config_digest)
    counts = {"units": len(captions), "checked": len(captions) - unread, "unread": unread}
    commit = Commit(
        stage=STAGE,
        added=(store.write_part("captions", captions),),
        config=asdict(stage.config),
        config_digest=stage.config_digest,
        counts=counts,
        seconds=round(time.monotonic() - begin, 3),
    )
    return dataset.commit(commit, rebase=True), counts


def _check_on_ray(
    dataset: Dataset,
    stage: Stage[AuditUnit],
    units: list[AuditUnit],
    ray_config: RayConfig,
    progress: Progress,
) -> tuple[Dataset, Mapping[str, int]]:
    with RaySession(ray_config) as session:
        session.check(("audit",), [dataset.uri])
        pool = replace(ray_config.audit, max_size=ray_config.audit.max_size or session.cpus)
        tasks = audit_tasks(units, session.cpus)
        with new_context(dataset.uri, pool, ray_config) as context:
            dataset, result = run_in_waves(dataset, stage, tasks, context, progress)
    return dataset, result.counts


def _with_figures(report: AuditReport, view: LiveView, digest: str, config: AuditConfig) -> AuditReport:
    """Add the separation and the claims of all captions of the version that were checked under `digest`."""
    names = ["clip_id", "audit", "agreement_scorer", "claims", "claims_by", "unsupported", *_AGREEMENTS, SEEN]
    if "audit" not in view.columns("captions"):
        return report
    rows = view.read("captions", names, version=report.version)
    rows = rows.filter(pc.fill_null(pc.equal(rows["audit"], digest), False))
    columns = [pc.fill_null(rows[name], float("nan")).to_numpy() for name in _AGREEMENTS]
    one_source = len(pc.unique(view.read("clips", ["uri"])["uri"])) < 2
    found = separation(*columns, min_agreement=config.min_agreement, one_source=one_source)
    clips = rows["clip_id"].to_pylist()
    suspects = [clip for first, last in found.groups for clip in clips[first : last + 1]]
    scorers = [name for name in pc.unique(rows["agreement_scorer"]).to_pylist() if name]
    verdicts = pc.list_flatten(rows["claims"]).combine_chunks()
    kinds = verdicts.field("verdict") if len(verdicts) else verdicts
    by = pc.value_counts(pc.drop_null(rows["claims_by"])).to_pylist()
    return replace(
        report,
        scorer=", ".join(scorers),
        seen_in_part=_seen_in_part(rows),
        separation=found,
        suspects=tuple(dict.fromkeys(suspects))[:_MAX_EXAMPLES],
        claims=len(verdicts),
        claims_checked=len(verdicts) - kinds.null_count if len(verdicts) else 0,
        unsupported=int(pc.sum(rows["unsupported"]).as_py() or 0),
        claims_by={each["values"]: each["counts"] for each in by},
    )


def _seen_in_part(rows: pa.Table) -> int:
    if SEEN not in rows.column_names:
        return 0
    return int(pc.sum(pc.less(rows[SEEN], 1.0)).as_py() or 0)


def _stage(
    settings: AuditStageConfig,
    digest: str,
    judge: JudgeClaims | None,
    load_captioner: Callable[[], Captioner] | None,
) -> Stage[AuditUnit]:
    def apply(units: ray.data.Dataset, _: AuditStageConfig, context: StageContext) -> ray.data.Dataset:
        return add_audit(units, settings.settings, context, digest, judge, load_captioner)

    def on_lost(
        units: list[AuditUnit], _: AuditStageConfig, context: StageContext, error: Exception
    ) -> TaskResult:
        return record_lost(units)

    config: Any = settings
    return Stage(name=STAGE, config=config, config_digest=digest, apply=apply, on_lost=on_lost)
