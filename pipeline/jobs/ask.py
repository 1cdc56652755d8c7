"""Kept clips to answers of a model, as scores; nothing is cut, analysed or captioned again."""

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import ray.data

from captioner.questions import Question
from manifests.arrow import pc
from manifests.dataset import Commit, Dataset
from manifests.digest import digest_parts
from manifests.live_view import LiveView
from manifests.scores import ASK_STAGE, ScorerRequest
from pipeline.ask.batch import BY_WORDS, AskJob
from pipeline.ask.load import with_limit
from pipeline.ask.stage import add_ask
from pipeline.ask.units import AskSpec, AskUnit, columns_of
from pipeline.caption.actor import LoadCaptioner, record_lost
from pipeline.caption.engines import running_engines, with_room_for_frames
from pipeline.config import AskConfig, RayConfig
from pipeline.errors import NothingToDo
from pipeline.jobs.caption import most_actors, usage
from pipeline.jobs.score import check_columns
from pipeline.planning.asking import ask_units, count_clips, to_ask
from pipeline.planning.dry_run import StagePlan, plan_score
from pipeline.planning.pending import RetryMode
from pipeline.runtime.context import Stage, StageContext, new_context
from pipeline.runtime.progress import Progress, no_progress
from pipeline.runtime.session import RaySession
from pipeline.runtime.units import TaskResult, batch_units
from pipeline.runtime.waves import run_in_waves

_TASK_CLIPS = 512


@dataclass(frozen=True, kw_only=True)
class AskStageConfig:
    """What was asked, as commits record it."""

    settings: AskConfig
    questions: tuple[Question, ...]
    requests: tuple[dict[str, Any], ...]
    """`manifests.scores.ScorerRequest` of each question."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AskReport:
    """The result of `ask`."""

    clips: int
    """Kept clips that are cut."""
    already_done: int
    """Of these, the clips about which nothing was left to ask."""
    ok: int = 0
    """Questions of this run with an answer."""
    failed: Mapping[str, int] = field(default_factory=dict)
    """Questions of this run without one, by code."""
    by_words: int = 0
    """Answers of this run without probabilities: their scores are 1 and 0."""
    answers: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Of each question, the clips by answer, of this run and earlier ones."""
    left: int = 0
    """Clips that were not asked about because the model stopped; the next run goes on with them."""
    stopped: str = ""
    """Why it stopped."""
    input_tokens: int = 0
    """Tokens that a server or vLLM read, and wrote; 0 for other models."""
    output_tokens: int = 0
    cached_tokens: int = 0
    """Tokens read that were in the cache of an earlier prompt, where the server says so."""
    cost: float = 0.0
    """By the prices of the configuration."""
    unloaded: tuple[str, ...] = ()
    """The error of each model that could not be loaded, while others worked."""
    seconds: float = 0.0
    dry_run: bool = False
    plan: tuple[StagePlan, ...] = ()
    """Of a dry run: the work, its expected time, and the reasons for it."""

    @property
    def nothing_left(self) -> bool:
        """Whether all questions were asked about all clips before this run."""
        return not self.dry_run and self.already_done == self.clips

    @property
    def failed_share(self) -> float:
        """Questions without an answer over all questions of this run."""
        failed = sum(self.failed.values())
        return failed / max(1, self.ok + failed)


def ask(
    dataset_uri: str,
    config: AskConfig,
    ray_config: RayConfig,
    spec: AskSpec,
    load_model: LoadCaptioner,
    *,
    mode: RetryMode = "none",
    dry_run: bool = False,
    progress: Progress = no_progress,
    command: str = "",
) -> AskReport:
    """Ask about all kept clips what was not asked under this configuration; in a retry, what failed.

    The answers of this configuration count from now on. Those to other questions stay.

    Args:
        command: the command line that repeats this run, for the log.

    Raises:
        NothingToDo: no clip is cut.
        ValueError: a question has a column that the dataset holds with another type.
    """
    begin = time.monotonic()
    dataset = Dataset.open(dataset_uri).with_command(command)
    view = LiveView(dataset)
    wanted = spec.requests
    check_columns(view, wanted)
    if not (num_clips := count_clips(view)):
        raise NothingToDo(f"{dataset_uri}: no clip was cut; run `kinora curate`, or see `kinora status`")
    clips = to_ask(view, wanted, mode)
    report = AskReport(clips=num_clips, already_done=num_clips - clips.num_rows, dry_run=dry_run)
    if dry_run:
        plan = plan_score(view, clips, wanted, stage=ASK_STAGE, num_clips=num_clips)
        return replace(report, plan=(plan,))
    stage = _stage(config, spec, load_model)
    if clips.num_rows:
        units = ask_units(clips)
        model = with_limit(config)
        with RaySession(with_room_for_frames(ray_config, model)) as session:
            session.check((ASK_STAGE,), [dataset.uri])
            actors = min(config.actors or most_actors(config, session.cpus), session.cpus)
            pool = replace(ray_config.ask, max_size=ray_config.ask.max_size or actors)
            batches = batch_units(units, cpus=actors, max_weight=_TASK_CLIPS)
            progress(ASK_STAGE, 0, len(units))
            with (
                running_engines(model, ASK_STAGE, pool, load_model) as load,
                new_context(dataset.uri, pool, ray_config) as context,
            ):
                stage = _stage(config, spec, load)
                dataset, result = run_in_waves(dataset, stage, batches, context, progress)
        counts = result.counts
        report = replace(
            report,
            ok=counts.get("ok", 0),
            failed=result.failed,
            by_words=counts.get(BY_WORDS, 0),
            unloaded=result.unloaded,
            **usage(counts),
        )
    dataset = _request(dataset, stage, wanted)
    answers = _answers(LiveView(dataset), spec)
    return replace(report, answers=answers, seconds=round(time.monotonic() - begin, 2))


def _request(dataset: Dataset, stage: Stage[AskUnit], wanted: Mapping[str, ScorerRequest]) -> Dataset:
    """Record which answers count from now on, unless these do already."""
    now = LiveView(dataset).scorer_requests
    if all(now.get(name) == request for name, request in wanted.items()):
        return dataset
    commit = Commit(
        stage=ASK_STAGE, config=asdict(stage.config), config_digest=stage.config_digest, counts={"units": 0}
    )
    return dataset.commit(commit, rebase=True)


def _answers(view: LiveView, spec: AskSpec) -> dict[str, dict[str, int]]:
    """Return the number of kept clips by answer, for each question."""
    kept = pc.unique(view.read("media", ["clip_id"])["clip_id"])
    columns = {each.name: columns_of(each)[0 if each.choices else 1].name for each in spec.questions}
    clips = view.read("clips", ["clip_id", *columns.values()])
    clips = clips.filter(pc.is_in(clips["clip_id"], value_set=kept))
    return {
        question: dict(Counter(pc.drop_null(clips[name]).to_pylist()).most_common())
        for question, name in columns.items()
    }


def _stage(config: AskConfig, spec: AskSpec, load_model: LoadCaptioner) -> Stage[AskUnit]:
    def apply(clips: ray.data.Dataset, _: AskStageConfig, context: StageContext) -> ray.data.Dataset:
        return add_ask(clips, config, context, spec, load_model)

    def on_lost(
        units: list[AskUnit], _: AskStageConfig, context: StageContext, error: Exception
    ) -> TaskResult:
        return record_lost(AskJob(config=config, spec=spec), units, context, error)

    requests = spec.requests
    return Stage(
        name=ASK_STAGE,
        config=AskStageConfig(
            settings=config, questions=spec.questions, requests=tuple(map(asdict, requests.values()))
        ),
        config_digest=digest_parts("ask", *(each.digest for each in requests.values())),
        apply=apply,
        on_lost=on_lost,
    )
