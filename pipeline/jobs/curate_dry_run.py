"""Report what `curate` would do, stage by stage."""

from collections.abc import Collection, Sequence

from manifests.dataset import Dataset
from manifests.live_view import LiveView
from manifests.records import Source
from pipeline.config import CurateConfig
from pipeline.dedup.decisions import MATCHES, resolve
from pipeline.jobs.dedup import pending_round
from pipeline.jobs.report import CurateReport
from pipeline.jobs.score import check_columns
from pipeline.planning import pending
from pipeline.planning.dry_run import (
    plan_analyze,
    plan_cut,
    plan_dedup,
    plan_first_analyze,
    plan_score,
    plan_select,
)
from pipeline.planning.limits import check_limits
from pipeline.planning.scoring import equal_analyses, to_score, wanted_scorers
from pipeline.select.select import select


def plan_dataset(dataset_uri: str, listed: Sequence[Source], config: CurateConfig) -> CurateReport:
    """Plan a run on the clips known now: those of sources yet to be analysed are not planned."""
    dataset = Dataset.open_if_exists(dataset_uri)
    if dataset is None:
        return CurateReport(
            listed=len(listed), already_done=0, dry_run=True, plan=(plan_first_analyze(listed),)
        )
    view = LiveView(dataset)
    check_limits(view, config)
    analyses = equal_analyses(dataset.commits, config.analyze)
    sources = pending.to_analyze(view, listed, analyses)
    return plan_run(view, listed, sources, config)


def plan_run(
    view: LiveView,
    listed: Sequence[Source],
    sources: Sequence[Source],
    config: CurateConfig,
    retry_mode: pending.RetryMode = "none",
    source_keys: Collection[str] | None = None,
) -> CurateReport:
    """Plan each stage as if those before it had run, and had found no copies."""
    wanted = wanted_scorers(view.dataset.commits, config.analyze.scorers)
    analyses = equal_analyses(view.dataset.commits, config.analyze)
    plans = [plan_analyze(view, listed, sources, config.analyze, analyses)]
    scored = None
    if wanted:
        check_columns(view, wanted)
        unscored = to_score(view, wanted, retry_mode)
        scored = unscored["clip_id"]
        plans.append(plan_score(view, unscored, wanted))
    dedup_round = pending_round(view, config)
    plans.append(plan_dedup(view, dedup_round, config.dedup))
    compared = dedup_round.clips.filter(dedup_round.clips["is_new"])["clip_id"]
    planned = view.with_rows("duplicates", resolve(dedup_round, MATCHES.empty_table()))
    del dedup_round
    to_select = pending.to_select(planned, config.select, config.dedup, source_keys)
    plans.append(plan_select(view, to_select, config.select, scored))
    planned = planned.with_rows("selections", select(to_select, config.select))
    del to_select
    to_cut = pending.to_cut(planned, config.cut, retry_mode, source_keys)
    plans.append(plan_cut(planned, to_cut, config.cut, compared))
    units = {plan.stage: plan.units for plan in plans}
    return CurateReport(
        listed=len(listed),
        already_done=len(listed) - len(sources),
        scored=units.get("score", 0),
        compared=units["dedup"],
        decided=units["select"],
        to_cut=units["cut"],
        dry_run=True,
        plan=tuple(plans),
    )
