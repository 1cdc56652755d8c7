"""Score the clips that lack scores of the enabled scorers. Nothing else is decoded or measured again."""

from collections.abc import Mapping
from dataclasses import asdict, replace

import ray.data

from manifests import schemas
from manifests.dataset import Commit, Dataset
from manifests.digest import digest_parts
from manifests.live_view import LiveView
from manifests.records import Clip
from manifests.scores import STAGE, STAGES, ScorerRequest
from pipeline.analyze.clip_frames import read_clip_frames
from pipeline.analyze.signals.columns import SCORE_COLUMNS
from pipeline.config import AnalyzeConfig, CurateConfig
from pipeline.planning.pending import RetryMode
from pipeline.planning.scoring import score_units, to_score, wanted_scorers
from pipeline.runtime.context import Stage, StageContext, new_context
from pipeline.runtime.progress import Progress
from pipeline.runtime.run_stage import StageResult
from pipeline.runtime.session import RaySession
from pipeline.runtime.units import batch_units
from pipeline.runtime.waves import run_in_waves
from pipeline.score import needs
from pipeline.score.stage import ScoreConfig, add_score_clips, record_lost
from pipeline.score.unit import ScoreUnit
from pipeline.sources.uri import file_uri

_TASK_CLIPS = 512


def request_scores(view: LiveView, config: CurateConfig, *, new_sources: bool) -> Dataset:
    """Record which scores count from now on, unless these do already.

    Args:
        new_sources: whether sources will be analysed.

    Raises ValueError for a column that the dataset holds with another type.
    """
    dataset = view.dataset
    wanted = wanted_scorers(dataset.commits, config.analyze.scorers)
    check_columns(view, wanted)
    now = view.scorer_requests
    if all(now.get(name) == request for name, request in wanted.items()):
        return dataset
    same = all(name not in now or now[name].digest == each.digest for name, each in wanted.items())
    if same and not new_sources and not to_score(view, wanted).num_rows:
        return dataset
    stage = _config(config, wanted)
    commit = Commit(stage=STAGE, config=asdict(stage), config_digest=_digest(wanted), counts={"units": 0})
    return dataset.commit(commit, rebase=True)


def score_clips(
    view: LiveView, config: CurateConfig, mode: RetryMode, session: RaySession, progress: Progress
) -> tuple[Dataset, StageResult]:
    """Score the clips that lack scores; in a retry, those that a scorer failed on."""
    dataset, scorers = view.dataset, config.analyze.scorers
    wanted = wanted_scorers(dataset.commits, scorers)
    clips = to_score(view, wanted, mode)
    if not clips.num_rows:
        return dataset, StageResult()
    units = score_units(clips)
    files = [file_uri(units[index].uri) for index in sorted({0, len(units) // 2, len(units) - 1})]
    session.check(("score",), [dataset.uri], files, {"score": needs.required_packages(scorers)})
    progress("score", 0, clips.num_rows)
    pool, cpus = config.ray.score, session.cpus
    pool = replace(pool, max_size=pool.max_size or max(cpus, pool.min_size))
    batches = batch_units(units, cpus=cpus, max_weight=_TASK_CLIPS, weight=lambda unit: unit.num_clips)
    with new_context(dataset.uri, pool, config.ray, config.sandbox) as context:
        return run_in_waves(dataset, _stage(config, wanted), batches, context, progress)


def check_columns(view: LiveView, wanted: Mapping[str, ScorerRequest]) -> None:
    """Raise ValueError if a column of an own scorer or a question is taken, or stored with another type."""
    names = [*schemas.arrow_schema(Clip).names, *(column.name for column in SCORE_COLUMNS)]
    owner = dict.fromkeys(names, "Kinora")
    types: dict[str, str] = {}
    for commit in view.dataset.commits:
        for each in commit.config.get("requests", ()) if commit.stage in STAGES else ():
            types |= each["columns"]
    for request in [each for each in wanted.values() if ":" in each.scorer]:
        for name, kind in request.columns.items():
            problem = f"is also a column of {owner[name]}" if name in owner else ""
            if types.get(name, kind) != kind:
                problem = f"is {kind}, and this dataset holds {types[name]} of that name"
            if problem:
                raise ValueError(f"{request.scorer}: its column {name} {problem}: choose another name")
            owner[name] = request.scorer


def _config(config: CurateConfig, wanted: Mapping[str, ScorerRequest]) -> ScoreConfig:
    return ScoreConfig(scorers=config.analyze.scorers, requests=tuple(map(asdict, wanted.values())))


def _digest(wanted: Mapping[str, ScorerRequest]) -> str:
    return digest_parts("scorers", *(f"{each.scorer} {each.digest}" for each in wanted.values()))


def _stage(config: CurateConfig, wanted: Mapping[str, ScorerRequest]) -> Stage[ScoreUnit]:
    def apply(rows: ray.data.Dataset, _: ScoreConfig, context: StageContext) -> ray.data.Dataset:
        return add_score_clips(rows, analyze, context, read_clip_frames)

    analyze: AnalyzeConfig = config.analyze
    return Stage(
        name=STAGE,
        config=_config(config, wanted),
        config_digest=_digest(wanted),
        apply=apply,
        on_lost=record_lost,
    )
