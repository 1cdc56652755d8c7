"""Questions about kept clips, outside Ray: rows, failures, what is left to ask, and what they select."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chat_server import Answer, completion, serve
from small_dataset import write_dataset

from captioner.captions import ClipFrames
from captioner.config import CaptionerConfig, EndpointConfig
from captioner.protocol import CaptionAnswer, CaptioningStopped, CaptionRequest, DeviceLost, Provenance
from captioner.questions import Question
from kinora.commands import ask as command
from kinora.review.rules import LastRules
from manifests import conservation
from manifests.dataset import Commit, Dataset
from manifests.live_view import LiveView
from manifests.records import Outcome
from manifests.scores import ASK_STAGE
from pipeline.ask.batch import BY_WORDS, AskJob, answer_columns
from pipeline.ask.load import ask_spec, load_model
from pipeline.ask.stage import AskActor
from pipeline.ask.units import AskSpec, AskUnit
from pipeline.caption.actor import record_lost
from pipeline.config import AskConfig, CaptionConfig, CurateConfig, SelectConfig, config_digest
from pipeline.jobs.ask import AskStageConfig
from pipeline.jobs.score import check_columns
from pipeline.jobs.select import select_clips
from pipeline.planning.asking import ask_units, asked_before, count_clips, to_ask
from pipeline.planning.limits import check_limits
from pipeline.runtime.context import StageContext
from pipeline.runtime.failures import TaskLost
from pipeline.runtime.units import TaskResult

SLIDES = Question(name="slideshow", ask="Is it a slideshow?", of="videos")
SPLIT = Question(name="split", ask="Is it split?")
MEDIUM = Question(name="medium", ask="Which is it?", choices={"live": "filmed", "drawn": "drawn"})
SPEC = AskSpec(questions=(SLIDES, SPLIT, MEDIUM), engine="e1")
CONFIG = AskConfig(
    captioner=CaptionerConfig(kind="endpoint", endpoint=EndpointConfig(url="http://x/v1", model="tiny")),
    batch_clips=2,
    max_frames=8,
)
Say = Callable[[CaptionRequest], CaptionAnswer]


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return write_dataset(tmp_path)


def answer(request: CaptionRequest, text: str | None = "yes", **more: Any) -> CaptionAnswer:
    return CaptionAnswer(
        **{
            "clip_id": request.clip_id,
            "prompt_digest": request.prompt.digest,
            "outcome": Outcome.OK,
            "text": text,
            "raw": text or "",
            "frames_shown": (0,),
            "provenance": Provenance(captioner="vlm", model="m", revision="r", decoding="{}"),
            **more,
        }
    )


class Model:
    """Answers each request by a function, in reverse order."""

    def __init__(self, say: Say) -> None:
        self.say, self.asked = say, list[CaptionRequest]()

    def caption(self, requests: Sequence[CaptionRequest]) -> list[CaptionAnswer]:
        self.asked += requests
        return [self.say(request) for request in reversed(requests)]


def by_question(answers: Mapping[str, CaptionAnswer | Exception | dict[str, Any]]) -> Model:
    """Return a model with one answer to each question."""

    def say(request: CaptionRequest) -> CaptionAnswer:
        found = answers[request.prompt.name]
        if isinstance(found, Exception):
            raise found
        assert isinstance(found, dict)
        return answer(request, **found)

    return Model(say)


def run(dataset: Dataset, model: Any, spec: AskSpec = SPEC, config: AskConfig = CONFIG) -> TaskResult:
    """Ask about all clips that lack answers, in one task, and commit the result."""
    units = [*ask_units(to_ask(LiveView(dataset), spec.requests))]
    attempts = f"{Path(dataset.uri).parent}/attempts-{dataset.number}"
    context = StageContext(dataset_uri=dataset.uri, attempts_uri=attempts)
    rows = {"units": json.dumps([asdict(unit) for unit in units]), "task": 0}
    actor = AskActor(config, context, spec, lambda _: model)
    outcomes = [*actor(rows | {"unit_index": [*range(len(units))]})]
    assert not any(outcome["error"] for outcome in outcomes), outcomes
    (result,) = map(TaskResult.from_row, outcomes)
    return result


def commit(dataset: Dataset, result: TaskResult, spec: AskSpec = SPEC, config: AskConfig = CONFIG) -> Dataset:
    stage = AskStageConfig(
        settings=config,
        questions=spec.questions,
        requests=tuple(asdict(each) for each in spec.requests.values()),
    )
    return dataset.commit(Commit(stage=ASK_STAGE, added=result.parts, config=asdict(stage)))


GOOD = {
    "slideshow": {"text": "yes", "chances": {"yes": 0.6, "no": 0.2, "unsure": 0.2}},
    "split": {"text": "no"},
    "medium": {"text": "B", "chances": {"A": 0.1, "B": 0.9}},
}


def test_answers_are_scores_of_the_kept_clips(dataset: Dataset) -> None:
    model = by_question(GOOD)
    result = run(dataset, model)
    assert result.units == 3
    assert result.counts == {"ok": 9, BY_WORDS: 3}
    assert [request.prompt.name for request in model.asked[:3]] == ["slideshow", "split", "medium"]
    before = dataset.number
    dataset = commit(dataset, result)
    view = LiveView(dataset)
    clips = {row["clip_id"]: row for row in view.clips.to_pylist()}
    kept = {*view.media["clip_id"].to_pylist()}
    assert len(kept) == 3 < len(clips)
    for clip_id, row in clips.items():
        values = (
            row["question_slideshow"],
            row["question_slideshow_answer"],
            row["question_split"],
            row["question_medium"],
            row["question_medium_chance"],
        )
        if clip_id in kept:
            assert values == (pytest.approx(0.75), "yes", 0.0, "drawn", 0.9)
        else:
            assert values == (None,) * 5
    counts = {"scored": 3, "failed": 0, "to_do": 0}
    assert conservation.funnel(dataset)["scores"] == dict.fromkeys(SPEC.requests, counts)
    assert conservation.violations(dataset) == []
    assert to_ask(view, SPEC.requests).num_rows == 0
    older = LiveView(Dataset(dataset.storage, dataset.commits[: before + 1]))
    assert "question_split" not in older.columns("clips")


def test_what_is_no_answer_is_a_failure_with_its_kind_and_the_rest_is_kept(dataset: Dataset) -> None:
    refused = {"text": None, "outcome": Outcome.REFUSED, "detail": "refuses: 'I cannot'"}
    dataset = commit(dataset, result := run(dataset, by_question(GOOD | {"split": refused})))
    assert result.counts == {"ok": 6, "failed REFUSED": 3}
    view = LiveView(dataset)
    failures = view.failures.to_pylist()
    mine = [row for row in failures if row["stage"] == "score question:split"]
    assert {row["unit"] for row in mine} == {*view.media["clip_id"].to_pylist()}
    assert {(row["code"], row["message"]) for row in mine} == {("REFUSED", "refuses: 'I cannot'")}
    assert {row["config"] for row in mine} == {SPEC.requests["question:split"].digest}
    scores = conservation.funnel(dataset)["scores"]
    assert scores["question:split"] == {"scored": 0, "failed": 3, "to_do": 0}
    assert scores["question:medium"] == {"scored": 3, "failed": 0, "to_do": 0}
    assert to_ask(view, SPEC.requests).num_rows == 0
    again = [*ask_units(to_ask(view, SPEC.requests, "failed"))]
    assert [unit.questions for unit in again] == [("split",)] * 3


def test_an_error_of_one_clip_stays_with_it(dataset: Dataset) -> None:
    bad = to_ask(LiveView(dataset), SPEC.requests)["clip_id"].to_pylist()[1]

    def say(request: CaptionRequest) -> CaptionAnswer:
        if request.clip_id == bad:
            raise RuntimeError("out of memory")
        return answer(request, **GOOD[request.prompt.name])

    result = run(dataset, Model(say))
    assert result.counts == {"ok": 6, "failed INTERNAL": 3, BY_WORDS: 2}
    failures = LiveView(commit(dataset, result)).failures.to_pylist()
    assert {(row["unit"], row["stage"].split(":")[0]) for row in failures if "question" in row["stage"]} == {
        (bad, "score question")
    }


def test_missing_and_repeated_answers_are_errors(dataset: Dataset) -> None:
    class Careless(Model):
        def caption(self, requests: Sequence[CaptionRequest]) -> list[CaptionAnswer]:
            found = super().caption(requests)
            twice = [each for each in found if each.prompt_digest == SPLIT.prompt.digest]
            return [each for each in found if each.prompt_digest != MEDIUM.prompt.digest] + twice

    result = run(dataset, Careless(lambda request: answer(request)))
    assert result.counts == {"ok": 3, "failed ERROR": 6, BY_WORDS: 3}
    failures = LiveView(commit(dataset, result)).failures.to_pylist()
    messages = {row["stage"]: row["message"] for row in failures}
    assert messages["score question:split"] == "2 answers to this question, expected one"
    assert messages["score question:medium"] == "0 answers to this question, expected one"


def test_a_model_that_stops_leaves_the_rest_for_the_next_run(dataset: Dataset) -> None:
    class Stops(Model):
        def caption(self, requests: Sequence[CaptionRequest]) -> list[CaptionAnswer]:
            raise CaptioningStopped("no more credit", [answer(each) for each in requests[:4]])

    result = run(dataset, Stops(answer))
    assert result.counts == {"ok": 3, "failed DEGENERATE": 1, BY_WORDS: 3, "left no more credit": 2}
    dataset = commit(dataset, result)
    left = {unit.clip_id: unit.questions for unit in ask_units(to_ask(LiveView(dataset), SPEC.requests))}
    assert sorted(map(len, left.values())) == [2, 3]
    assert conservation.funnel(dataset)["scores"]["question:slideshow"]["to_do"] == 1


def test_a_lost_task_is_a_failure_of_each_question(dataset: Dataset) -> None:
    units = [*ask_units(to_ask(LiveView(dataset), SPEC.requests))]
    context = StageContext(dataset_uri=dataset.uri)
    result = record_lost(AskJob(config=CONFIG, spec=SPEC), units, context, TaskLost("the machine is gone"))
    assert result.counts == {"ok": 0, "failed LOST": 9}
    dataset = commit(dataset, result)
    lost = {"scored": 0, "failed": 3, "to_do": 0}
    assert conservation.funnel(dataset)["scores"] == dict.fromkeys(SPEC.requests, lost)


def test_a_gpu_that_is_lost_ends_the_process_and_blames_no_clip(dataset: Dataset) -> None:
    units = [*ask_units(to_ask(LiveView(dataset), SPEC.requests))]
    job = AskJob(config=CONFIG, spec=SPEC)
    clips = [job.read(unit, dataset.storage) for unit in units]
    with pytest.raises(DeviceLost):
        job.run(units, clips, by_question(dict.fromkeys(GOOD, DeviceLost("cuda"))))


def test_a_question_of_videos_is_null_for_a_still_and_not_asked(dataset: Dataset) -> None:
    unit = next(iter(ask_units(to_ask(LiveView(dataset), SPEC.requests))))
    frame = ClipFrames(
        clip_id=unit.key, media_id="m", frames_THWC=np.zeros((1, 8, 8, 3), np.uint8), times_s=(0.0,)
    )
    model = by_question(GOOD)
    done = AskJob(config=CONFIG, spec=SPEC).run([unit], [frame], model)
    assert [request.prompt.name for request in model.asked] == ["split", "medium"]
    assert "the whole picture" in model.asked[0].prompt.text
    rows = {row["scorer"]: row for row in done.rows}
    assert rows["question:slideshow"]["question_slideshow"] is None
    assert rows["question:split"]["question_split"] == 0.0
    assert (done.num_ok, done.failures) == (3, [])


def test_a_clip_of_several_windows_is_shown_whole_with_times_of_the_clip(dataset: Dataset) -> None:
    first, second, _ = ask_units(to_ask(LiveView(dataset), SPEC.requests))
    windows = first.windows + second.windows
    unit = replace(first, windows=windows, starts_s=(0.0, 4.0))
    unit = AskUnit.from_fields(json.loads(json.dumps(asdict(unit))))
    clip = AskJob(config=replace(CONFIG, max_frames=8), spec=SPEC).read(unit, dataset.storage)
    times = [*clip.times_s]
    assert len(clip.frames_THWC) == len(times) <= 8
    assert (times[0], times) == (0.0, sorted(times))
    assert sum(time_s >= 4.0 for time_s in times) == len(times) // 2
    assert unit.num_frames == sum(window.num_frames for window in windows)


def test_scores_are_probabilities_where_the_model_tells_them() -> None:
    def columns(question: Question, text: str, **chances: float) -> tuple[Any, ...]:
        request = CaptionRequest(
            clip_id="c",
            media_id="m",
            frames_THWC=np.zeros((1, 2, 2, 3), np.uint8),
            times_s=(0.0,),
            prompt=question.prompt,
        )
        return tuple(answer_columns(question, answer(request, text, chances=chances)).values())

    assert columns(SPLIT, "yes", yes=0.5, no=0.3, unsure=0.2) == (pytest.approx(0.625), "yes")
    assert columns(SPLIT, "no", yes=0.25, no=0.75) == (0.25, "no")
    assert columns(SPLIT, "unsure", yes=0.3, no=0.2, unsure=0.5) == (None, "unsure")
    assert [columns(SPLIT, text) for text in ("yes", "no", "unsure")] == [
        (1.0, "yes"),
        (0.0, "no"),
        (None, "unsure"),
    ]
    assert columns(MEDIUM, "A", A=0.7, B=0.3) == ("live", 0.7)
    assert columns(MEDIUM, "A") == ("live", None)


def test_scores_drop_and_mark_clips_and_a_dropped_clip_is_asked_nothing_more(dataset: Dataset) -> None:
    clip_ids = to_ask(LiveView(dataset), SPEC.requests)["clip_id"].to_pylist()
    yes = dict(zip(clip_ids, (0.1, 0.6, 0.95), strict=True))

    def say(request: CaptionRequest) -> CaptionAnswer:
        if request.prompt.name != "split":
            return answer(request, **GOOD[request.prompt.name])
        chance = yes[request.clip_id]
        return answer(request, "yes" if chance > 0.5 else "no", chances={"yes": chance, "no": 1 - chance})

    dataset = commit(dataset, run(dataset, Model(say)))
    view = LiveView(dataset)
    select = SelectConfig(
        min_side_px=16,
        limits={"question_split": (None, 0.8)},
        review={"question_split": (None, 0.5)},
        where="coalesce(question_medium, '') <> 'live'",
    )
    config = CurateConfig(select=select)
    check_limits(view, config)
    dataset, _ = select_clips(view, config, None)
    rows = {row["clip_id"]: row for row in LiveView(dataset).selections.to_pylist()}
    low, middle, high = (rows[clip_id] for clip_id in clip_ids)
    assert (low["reason"], low["review"]) == ("kept", "")
    assert (middle["reason"], middle["review"], middle["detail"]) == (
        "kept",
        "question_split",
        "0.6 > 0.5 question_split",
    )
    assert (high["reason"], high["detail"]) == ("question_split", "0.95 > 0.8 question_split")
    funnel = conservation.funnel(dataset)
    assert funnel["selection"]["review"] == {"question_split": 1}
    assert funnel["selection"]["dropped"]["question_split"] == 1
    near = LastRules(dataset).nearest(LiveView(dataset).read("clips", [*LastRules(dataset).columns]))
    assert any("question_split" in (detail or "") for detail in near["detail"].to_pylist())

    other = AskSpec(questions=(SLIDES,), engine="e2")  # another model: only kept clips are asked about
    asked = to_ask(LiveView(dataset), other.requests)["clip_id"].to_pylist()
    assert clip_ids[2] not in asked
    assert {*clip_ids[:2]} <= {*asked}
    done = commit(dataset, TaskResult(parts=(), units=0), other)
    scores = conservation.funnel(done)["scores"]["question:slideshow"]
    assert scores == {"scored": 0, "failed": 0, "to_do": count_clips(LiveView(done))}


def test_another_model_counts_from_then_on_and_earlier_answers_are_found_again(dataset: Dataset) -> None:
    dataset = commit(dataset, run(dataset, by_question(GOOD)))
    other = replace(SPEC, engine="e2")
    dataset = commit(dataset, run(dataset, by_question(GOOD | {"split": {"text": "yes"}}), other), other)

    def split(dataset: Dataset) -> set[float | None]:
        view = LiveView(dataset)
        rows = view.read("clips", ["clip_id", "question_split"]).to_pylist()
        return {row["question_split"] for row in rows if row["clip_id"] in view.media["clip_id"].to_pylist()}

    assert split(dataset) == {1.0}
    assert to_ask(LiveView(dataset), SPEC.requests).num_rows == 0
    dataset = commit(dataset, TaskResult(parts=(), units=0))
    assert split(dataset) == {0.0}
    mine = replace(SPEC, questions=(replace(SPLIT, name="mine"),))
    dataset = commit(dataset, run(dataset, by_question({"mine": {"text": "yes"}}), mine), mine)
    view = LiveView(dataset)
    assert split(dataset) == {0.0}
    assert {"question_mine", "question_split"} <= {*view.columns("clips")}
    earlier = [*asked_before(dataset)]
    assert [[question.name for question in asked.questions] for asked in earlier] == [
        ["mine"],
        ["slideshow", "split", "medium"],
    ]
    assert earlier[1].questions == SPEC.questions
    assert earlier[1].settings == CONFIG


def test_a_question_keeps_the_type_of_its_column(dataset: Dataset) -> None:
    dataset = commit(dataset, run(dataset, by_question(GOOD)))
    typed = AskSpec(questions=(replace(MEDIUM, name="split"),), engine="e1")
    with pytest.raises(
        ValueError,
        match=r"question:split: its column question_split is string, and this dataset holds float64",
    ):
        check_columns(LiveView(dataset), typed.requests)


def test_only_what_changes_answers_changes_the_scorers() -> None:
    def digests(**more: Any) -> dict[str, str]:
        spec = ask_spec(replace(CONFIG, **more))
        return {name: each.digest for name, each in spec.requests.items()}

    def asking(**more: Any) -> CaptionerConfig:
        endpoint = replace(CONFIG.captioner.endpoint, **more)  # type: ignore[type-var]
        return replace(CONFIG.captioner, endpoint=endpoint)

    plain = digests()
    assert len(plain) == 8
    assert plain == digests(batch_clips=1, actors=1, captioner=asking(url="http://y/v1", concurrency=2))
    assert {*digests(only=("split_screen",)).items()} == {
        ("question:split_screen", plain["question:split_screen"])
    }
    for other in (
        digests(max_frames=4),
        digests(max_answer_tokens=99),
        digests(captioner=asking(model="x")),
        digests(captioner=asking(logprobs=False)),
    ):
        assert not {*other.values()} & {*plain.values()}
    with pytest.raises(ValueError, match="only: there is no question slides; there are slideshow, "):
        digests(only=("slides",))
    with pytest.raises(ValueError, match="kind is auto, which answers no questions: set it to vlm"):
        digests(captioner=CaptionerConfig())
    with pytest.raises(ValueError, match=r"endpoint, but captioner\.endpoint\.url"):
        digests(captioner=CaptionerConfig(kind="endpoint"))


def test_probabilities_of_answers_change_no_caption_version() -> None:
    def digest(**more: Any) -> str:
        endpoint = EndpointConfig(url="http://x/v1", model="m", **more)
        return config_digest(CaptionConfig(captioner=CaptionerConfig(kind="endpoint", endpoint=endpoint)))

    assert digest() != digest(logprobs=False)  # so that `True` can be left out of the digest, as before
    assert digest() == digest(logprobs=True)


def test_a_server_is_asked_about_every_clip_with_the_answer_limit(dataset: Dataset) -> None:
    def script(number: int, body: dict[str, Any]) -> Answer:
        asked = body["messages"][0]["content"][-1]["text"]
        word = "B" if "letter" in asked else "Yes"
        return completion(word, likely=[(word, {word: 0.9, "No": 0.1})], tokens=(1000, 10))

    with serve(script) as server:
        captioner = replace(CONFIG.captioner, endpoint=EndpointConfig(url=server.url, model="tiny", frames=2))
        config = replace(CONFIG, captioner=captioner)
        result = run(dataset, load_model(config), ask_spec(config), config)
        assert len(server.bodies) == 1 + 3 * 8
        assert {body["max_tokens"] for body in server.bodies[1:]} == {16}
        assert all(body["logprobs"] for body in server.bodies)
    assert result.counts == {"ok": 24, "input tokens": 25_000, "output tokens": 250}
    clips = LiveView(commit(dataset, result, ask_spec(config), config)).clips.to_pylist()
    assert sorted(row["question_slideshow"] or 0 for row in clips) == pytest.approx([0, 0.9, 0.9, 0.9])
    assert {row["question_medium"] for row in clips} == {"drawn", None}


def test_the_report_says_what_came_of_it() -> None:
    report = command.AskReport(
        clips=4,
        already_done=1,
        ok=20,
        failed={"REFUSED": 1},
        by_words=3,
        answers={"split": {"no": 3, "yes": 1}},
        left=1,
        stopped="no more credit",
        input_tokens=70,
        output_tokens=7,
        cost=0.5,
        seconds=2.0,
    )
    text = "\n".join(str(part) for part in command.describe(report, "data").renderables[:-1])
    assert "asked about 3 of 4 clips in 2.0 s: 20 answers" in text
    assert "no answer: 1 REFUSED; see `kinora failures --dataset data`" in text
    assert "3 of the answers came without probabilities" in text
    assert "stopped: no more credit; 1 clips are left, the same command goes on" in text
    assert "77 tokens (70 read, 7 written), cost 0.5000" in text
    assert report.failed_share == pytest.approx(1 / 21)
