"""The vLLM captioner against engines that answer, end and stay away by a script."""

import asyncio
import json
from collections.abc import Callable
from math import log
from typing import Any

import numpy as np
import pytest

from captioner.config import VllmConfig
from captioner.markup import Markup
from captioner.prompts import Prompt
from captioner.protocol import CaptionAnswer, CaptioningStopped, CaptionRequest, ReplyToken
from captioner.vllm_client import MAX_DEATHS, VllmCaptioner
from captioner.vllm_protocol import EngineGone, EngineInfo, EngineLost, EngineRequest, Generation
from manifests.records import LENGTHS, PARTS, Outcome

DENSE = Prompt(name="dense", text="Describe the clip.")
SHORT = Prompt(name="short", text="Describe the clip in ten words.")
JOINT = Prompt(name="lengths", text="Describe it thrice.", lengths=LENGTHS)
GOOD = "A red ball rolls over a green field."


def request(clip_id: str, prompt: Prompt = DENSE, frames: int = 5, step_s: float = 0.4) -> CaptionRequest:
    pixels = np.zeros((frames, 32, 48, 3), np.uint8)
    pixels += np.arange(frames, dtype=np.uint8)[:, None, None, None]
    return CaptionRequest(
        clip_id=clip_id,
        media_id=f"m-{clip_id}",
        frames_THWC=pixels,
        times_s=tuple(step_s * k for k in range(frames)),
        prompt=prompt,
    )


def prompts_about(clip_id: str, *prompts: Prompt) -> list[CaptionRequest]:
    first = request(clip_id)
    return [
        CaptionRequest(
            clip_id=clip_id,
            media_id=first.media_id,
            frames_THWC=first.frames_THWC,
            times_s=first.times_s,
            prompt=prompt,
        )
        for prompt in prompts
    ]


def answers_with(text: str = GOOD, **more: Any) -> Callable[[EngineRequest], list[Generation]]:
    made = {"ended": True, "confidence": 0.5, "input_tokens": 100, "output_tokens": 10, **more}
    return lambda asked: [Generation(text=text, **made) for _ in asked.prompts]


class ScriptedEngine:
    """An engine that notes what it is asked, and how many clips at a time."""

    info = EngineInfo(revision="r1", markup=Markup(), vllm_version="0.0")

    def __init__(self, script: Callable[[EngineRequest], list[Generation]]) -> None:
        self.script = script
        self.asked: list[EngineRequest] = []
        self.alone: list[str] = []
        self.most_at_once = self._at_once = 0

    async def answer(self, request: EngineRequest) -> list[Generation]:
        self.asked.append(request)
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        await asyncio.sleep(0.01)
        self._at_once -= 1
        return self.script(request)

    async def answer_alone(self, request: EngineRequest) -> list[Generation]:
        assert self._at_once == 0
        self.alone.append(request.clip_id)
        return self.script(request)


def load(*engines: ScriptedEngine, max_bytes: int = 2**20, **more: Any) -> VllmCaptioner:
    return VllmCaptioner(VllmConfig(model="tiny", **more), engines, max_bytes=max_bytes)


def by_clip(answers: list[CaptionAnswer]) -> dict[str, CaptionAnswer]:
    assert len({answer.clip_id for answer in answers}) == len(answers)
    return {answer.clip_id: answer for answer in answers}


def test_an_engine_sees_the_chosen_frames_with_their_times_once_for_all_prompts() -> None:
    engine = ScriptedEngine(answers_with(cached_tokens=60))
    captioner = load(engine, frames=3)
    answers = captioner.caption(prompts_about("a", DENSE, SHORT))
    (asked,) = engine.asked
    assert asked.frames_THWC[:, 0, 0, 0].tolist() == [0, 2, 4]
    assert asked.times_s == pytest.approx((0.0, 0.8, 1.6))
    assert [prompt.text for prompt in asked.prompts] == [DENSE.text, SHORT.text]
    assert [(prompt.schema, prompt.num_alternatives) for prompt in asked.prompts] == [(None, 1)] * 2
    assert len({prompt.seed for prompt in asked.prompts}) == 2
    assert [answer.prompt_digest for answer in answers] == [DENSE.digest, SHORT.digest]
    assert {answer.outcome for answer in answers} == {Outcome.OK}
    assert {answer.text for answer in answers} == {GOOD}
    assert {answer.frames_shown for answer in answers} == {(0, 2, 4)}
    assert {answer.confidence for answer in answers} == {0.5}
    used = captioner.usage
    assert (used.input_tokens, used.cached_tokens, used.output_tokens, used.cost) == (200, 120, 20, 0.0)


def test_provenance_names_the_weights_and_what_changes_answers() -> None:
    provenance = load(ScriptedEngine(answers_with()), tensor_parallel_size=2, frames=4).provenance
    assert (provenance.captioner, provenance.model, provenance.revision) == ("vllm", "tiny", "r1")
    decoding = json.loads(provenance.decoding)
    assert decoding["frames"] == 4
    assert "tensor_parallel_size" not in decoding


def test_a_rate_gives_frames_and_times_of_that_rate_or_an_error() -> None:
    engine = ScriptedEngine(answers_with())
    dense, sparse = request("dense", step_s=0.24, frames=9), request("sparse", step_s=1.0)
    answers = by_clip(load(engine, fps=4.0, frames=4).caption([dense, sparse]))
    (asked,) = engine.asked
    assert asked.frames_THWC[:, 0, 0, 0].tolist() == [0, 1, 2, 3]
    assert asked.times_s == pytest.approx((0.0, 0.25, 0.5, 0.75))
    assert answers["dense"].outcome is Outcome.OK
    assert answers["sparse"].outcome is Outcome.ERROR
    assert "at least 4 per second" in answers["sparse"].detail


def test_what_is_no_caption_has_its_outcome_and_no_text() -> None:
    texts = {"short": "A red ball.", "medium": "A red ball rolls over a field.", "dense": GOOD}
    cases: tuple[tuple[Prompt, dict[str, Any], Outcome], ...] = (
        (JOINT, {"text": json.dumps(texts), "confidence": None}, Outcome.OK),
        (JOINT, {"text": '{"short": "A red ba', "ended": False}, Outcome.TRUNCATED),
        (DENSE, {"ended": False}, Outcome.TRUNCATED),
        (DENSE, {"text": "", "ended": False, "timed_out": True}, Outcome.TIMEOUT),
        (DENSE, {"text": "I'm sorry, I cannot describe this video."}, Outcome.REFUSED),
        (DENSE, {"text": "", "error": "ValueError: the prompt is too long"}, Outcome.ERROR),
    )
    for prompt, generation, outcome in cases:
        engine = ScriptedEngine(answers_with(**generation))
        (answer,) = load(engine, timeout_s=3.0).caption([request("a", prompt)])
        assert answer.outcome is outcome, generation
        assert (answer.text is not None) == (outcome is Outcome.OK)
        if outcome is Outcome.OK:
            assert answer.texts == texts
        if outcome is Outcome.ERROR:
            assert answer.detail == "ValueError: the prompt is too long"


def test_lengths_and_parts_are_guided_by_schema_unless_that_is_off() -> None:
    parts = Prompt(name="parts", text="List the parts.", asks_parts=True)
    engine = ScriptedEngine(answers_with())
    load(engine).caption(prompts_about("a", JOINT, parts))
    load(engine, json_schema=False).caption(prompts_about("a", JOINT, parts))
    guided, free = engine.asked
    required = [(prompt.schema or {})["required"] for prompt in guided.prompts]
    assert required == [[*LENGTHS], [*PARTS]]
    assert [prompt.schema for prompt in free.prompts] == [None, None]


def test_a_choice_has_the_probabilities_of_the_place_where_it_stands() -> None:
    question = Prompt(name="q", text="Is it a dog?", choices=("yes", "no"))
    tokens = (
        ReplyToken(
            text="Yes", alternatives={"Yes": log(0.6), " no": log(0.2), "No": log(0.1), "A": log(0.1)}
        ),
        ReplyToken(text=".", alternatives={".": log(0.9), " no": log(0.1)}),
    )
    engine = ScriptedEngine(answers_with("Yes.", tokens=tokens))
    (answer,) = load(engine).caption([request("a", question)])
    assert engine.asked[0].prompts[0].num_alternatives == 20
    assert (answer.outcome, answer.text) == (Outcome.OK, "yes")
    assert answer.chances == pytest.approx({"yes": 2 / 3, "no": 1 / 3})


def test_frames_in_flight_are_bounded_and_clips_spread_over_the_engines() -> None:
    engines = [ScriptedEngine(answers_with()) for _ in range(2)]
    clips = [request(f"clip-{k}") for k in range(24)]
    size = clips[0].frames_THWC[0].nbytes * 2
    answers = load(*engines, frames=2, max_bytes=6 * size).caption(clips)
    assert len(by_clip(answers)) == 24
    assert sum(engine.most_at_once for engine in engines) <= 8
    assert engines[0].most_at_once + engines[1].most_at_once >= 6
    assert min(len(engine.asked) for engine in engines) >= 6
    again = [ScriptedEngine(answers_with()) for _ in range(2)]
    load(*again).caption(clips)  # the same clip goes to the same engine
    assert [{asked.clip_id for asked in engine.asked} for engine in again] == [
        {asked.clip_id for asked in engine.asked} for engine in engines
    ]


def test_only_the_clip_that_ends_an_engine_fails() -> None:
    good = answers_with()

    def ends(asked: EngineRequest) -> list[Generation]:
        if asked.clip_id == "bad" or (asked.clip_id == "near" and not engine.alone):
            raise EngineLost("it ended")
        return good(asked)

    engine = ScriptedEngine(ends)
    answers = by_clip(load(engine).caption([request(name) for name in ("a", "bad", "near", "z")]))
    assert answers["bad"].outcome is Outcome.ERROR
    assert answers["bad"].detail == f"ended vLLM's process {MAX_DEATHS} times, alone in it: it ended"
    assert {answers[name].outcome for name in ("a", "near", "z")} == {Outcome.OK}
    assert sorted(engine.alone) == ["bad"] * MAX_DEATHS + ["near"]


def test_an_engine_that_is_gone_stops_the_run_and_blames_no_clip() -> None:
    good = answers_with()

    def goes(asked: EngineRequest) -> list[Generation]:
        if len(engine.asked) > 3:
            raise EngineGone("out of memory at load")
        return good(asked)

    engine = ScriptedEngine(goes)
    captioner = load(engine, frames=2, max_bytes=1)
    with pytest.raises(CaptioningStopped, match="out of memory at load") as stopped:
        captioner.caption([request(f"clip-{k}") for k in range(8)])
    assert len(stopped.value.answers) == 3
    assert {answer.outcome for answer in stopped.value.answers} == {Outcome.OK}
    assert len(engine.asked) == 4
