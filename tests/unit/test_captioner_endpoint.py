"""The endpoint captioner against a server that fails in every way that servers fail."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from chat_server import Answer, completion, serve

from captioner import chat_client
from captioner.choices import YES_NO, chance_of_yes
from captioner.config import EndpointConfig
from captioner.endpoint import EndpointCaptioner
from captioner.prompts import Prompt
from captioner.protocol import CaptioningStopped, CaptionRequest
from manifests.records import LENGTHS, Outcome

PROMPT = Prompt(name="dense", text="Describe the clip.")
JOINT = Prompt(name="lengths", text="Describe it thrice.", lengths=LENGTHS)
GOOD = "A red ball rolls over a green field."


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chat_client, "_BACKOFF_S", 0.001)


def request(clip_id: str, prompt: Prompt = PROMPT, frames: int = 3) -> CaptionRequest:
    pixels = np.full((frames, 32, 48, 3), 128, np.uint8)
    times = tuple(0.4 * k for k in range(frames))
    return CaptionRequest(
        clip_id=clip_id, media_id=f"m-{clip_id}", frames_THWC=pixels, times_s=times, prompt=prompt
    )


def load(url: str, **more: Any) -> EndpointCaptioner:
    return EndpointCaptioner(
        EndpointConfig(**{"url": url, "model": "tiny", "timeout_s": 5.0, "tries": 2, **more})
    )


def after_trial(script: Callable[[int, dict[str, Any]], Answer]) -> Callable[[int, dict[str, Any]], Answer]:
    """Answer the trial request, which is the first."""
    return lambda number, body: script(number - 1, body) if number else completion("ok")


def answered(answer: Answer, prompt: Prompt = PROMPT, **more: Any) -> tuple[Outcome, str, int]:
    """Return outcome, detail and number of tries where the server answers each request the same."""
    with serve(after_trial(lambda number, body: answer)) as server:
        found = load(server.url, **more).caption([request("a", prompt)])
        return found[0].outcome, found[0].detail, len(server.bodies) - 1


def test_the_server_sees_the_chosen_frames_with_their_times_then_the_prompt() -> None:
    with serve(after_trial(lambda number, body: completion(GOOD))) as server:
        captioner = load(server.url, frames=2)
        answer = captioner.caption([request("a", frames=4)])[0]
        content = server.bodies[1]["messages"][0]["content"]
    assert [part["type"] for part in content] == ["text", "image_url", "text", "image_url", "text"]
    assert [part["text"] for part in content if part["type"] == "text"] == ["0.00 s", "1.20 s", PROMPT.text]
    assert all(p["image_url"]["url"].startswith("data:image/jpeg;base64,") for p in content[1::2])
    assert (answer.outcome, answer.text, answer.frames_shown) == (Outcome.OK, GOOD, (0, 3))
    assert answer.provenance.captioner == "endpoint"
    assert '"frames": 2' in answer.provenance.decoding
    assert (captioner.usage.input_tokens, captioner.usage.output_tokens) == (200, 20)


def test_answers_in_another_order_go_to_their_clips_and_few_requests_run_at_once() -> None:
    def late(number: int, body: dict[str, Any]) -> Answer:
        text = body["messages"][0]["content"][-1]["text"]
        answer = completion(f"A clip for {text}")
        return Answer(body=answer.body, delay_s=0.02 * (7 - number % 8))

    with serve(after_trial(late)) as server:
        captioner = load(server.url, concurrency=4)
        prompts = [Prompt(name="p", text=f"question {k}") for k in range(8)]
        answers = captioner.caption([request(f"clip-{k}", prompt) for k, prompt in enumerate(prompts)])
        assert {a.clip_id: a.text for a in answers} == {
            f"clip-{k}": f"A clip for question {k}" for k in range(8)
        }
        assert server.most_at_once <= 4


TRANSIENT = {
    "429": Answer(status=429, body='{"error": {"message": "slow down"}}', headers={"Retry-After": "0"}),
    "500": Answer(status=500, body='{"error": {"message": "oops"}, "choices": null}'),
    "503": Answer(status=503, body="Service Unavailable"),
    "closed": Answer(body='{"choices": [', close=True),
    "html": Answer(body="<html><body>Sign in</body></html>"),
    "half JSON": Answer(body='{"choices": [{"message": {"content": "A red'),
    "no choices": Answer(body='{"choices": []}'),
    "garbage": Answer(body="\x00\x01 \ud83d".encode("utf-8", "replace").decode()),
    "a list": Answer(body="[1, 2]"),
    "late": Answer(body=completion(GOOD).body, delay_s=0.6),
}


@pytest.mark.parametrize("name", TRANSIENT)
def test_what_may_pass_is_tried_again_and_then_an_outcome(name: str) -> None:
    bad = TRANSIENT[name]
    with serve(after_trial(lambda number, body: completion(GOOD) if number == 1 else bad)) as server:
        captioner = load(server.url, timeout_s=0.3 if name == "late" else 5.0)
        assert captioner.caption([request("a")])[0].outcome is Outcome.OK
        failed = captioner.caption([request("a")])[0]
    assert failed.outcome is (Outcome.TIMEOUT if name == "late" else Outcome.ERROR)
    assert "(after 2 tries)" in failed.detail
    assert failed.text is None
    assert len(failed.detail) < 400


def test_a_server_that_asks_to_wait_is_left_alone_for_so_long() -> None:
    wait = Answer(status=429, headers={"Retry-After": "0.2"})
    with serve(after_trial(lambda number, body: completion(GOOD) if number else wait)) as server:
        assert load(server.url).caption([request("a")])[0].outcome is Outcome.OK
        assert server.arrived_s[2] - server.arrived_s[1] >= 0.19
    assert chat_client._retry_after_s("Wed, 21 Oct 2015 07:28:00 GMT") == 0.0
    assert chat_client._retry_after_s("soon") is None


@pytest.mark.parametrize("status", [400, 413, 422])
def test_what_is_wrong_with_one_request_is_not_tried_again(status: int) -> None:
    outcome, detail, tries = answered(
        Answer(status=status, body='{"error": {"message": "At most 4 image(s)"}}')
    )
    assert (outcome, tries) == (Outcome.ERROR, 1)
    assert f"HTTP {status}" in detail
    assert "At most 4 image(s)" in detail


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (completion("A ball. " * 12_500), Outcome.DEGENERATE),
        (completion("word " * 300), Outcome.DEGENERATE),
        (completion("A red ball rolls", finish="length"), Outcome.TRUNCATED),
        (completion(None), Outcome.EMPTY),
        (completion("I'm sorry, but I can't describe this image."), Outcome.REFUSED),
        (completion("", finish="content_filter"), Outcome.REFUSED),
        (completion([{"type": "text", "text": GOOD}]), Outcome.OK),
        (completion("<html><body><h1>502</h1></body></html>"), Outcome.DEGENERATE),
    ],
)
def test_an_answer_that_is_no_caption_has_its_outcome(answer: Answer, outcome: Outcome) -> None:
    assert answered(answer)[0] is outcome


def test_several_lengths_come_as_json_by_schema() -> None:
    texts = {"short": "A red ball.", "medium": "A red ball rolls over a field.", "dense": GOOD}
    with serve(after_trial(lambda number, body: completion(json.dumps(texts)))) as server:
        answer = load(server.url).caption([request("a", JOINT)])[0]
        plain = load(server.url, json_schema=False).caption([request("a", JOINT)])[0]
        schema = server.bodies[1]["response_format"]["json_schema"]["schema"]
        assert "response_format" not in server.bodies[-1]
    assert answer.texts == plain.texts == texts
    assert schema["required"] == [*LENGTHS]
    assert not any("maxLength" in part for part in schema["properties"].values())
    assert answered(completion('{"short": "A red ba'), JOINT)[0] is not Outcome.OK
    assert answered(completion('{"short": "A red ball."', finish="length"), JOINT)[0] is Outcome.TRUNCATED


def test_parts_come_as_json_by_schema() -> None:
    parts = {"subjects": ["a red ball"], "actions": ["it rolls", "it stops"], "visible_text": []}
    parts |= {"setting": "a field", "camera": "still", "style": "film", "light": "daylight"}
    prompt = Prompt(name="parts", text="List the parts.", asks_parts=True)
    with serve(after_trial(lambda number, body: completion(json.dumps(parts)))) as server:
        answer = load(server.url).caption([request("a", prompt)])[0]
        schema = server.bodies[1]["response_format"]["json_schema"]["schema"]
    assert json.loads(answer.text or "") == parts
    assert schema["properties"]["actions"]["items"] == {"type": "string"}
    assert answered(completion(json.dumps(parts)[:60]), prompt)[0] is Outcome.DEGENERATE
    assert answered(completion(json.dumps(parts)[:60], finish="length"), prompt)[0] is Outcome.TRUNCATED


def test_a_wrong_setting_fails_before_there_is_work(monkeypatch: pytest.MonkeyPatch) -> None:
    with serve(lambda number, body: Answer(status=401, body='{"error": "bad key"}')) as server:
        with pytest.raises(ValueError, match=r"trial request with 8 pictures failed.*HTTP 401.*bad key"):
            load(server.url)
        with pytest.raises(ValueError, match=r"api_key_env: the environment has no KINORA_TEST_KEY"):
            load(server.url, api_key_env="KINORA_TEST_KEY")
        with pytest.raises(ValueError, match=r"max_cost needs prices"):
            load(server.url, max_cost=1.0)
    with serve(lambda number, body: completion("ok", tokens=None)) as server:
        monkeypatch.setenv("KINORA_TEST_KEY", "secret")
        load(server.url, api_key_env="KINORA_TEST_KEY")
        assert server.headers[0]["authorization"] == "Bearer secret"
        with pytest.raises(ValueError, match=r"reports no token usage"):
            load(server.url, max_cost=1.0, output_price=1.0)
    with pytest.raises(ValueError, match=r"ConnectError"):
        load(server.url)  # nobody listens any more


def test_it_stops_before_max_cost_and_keeps_what_is_done() -> None:
    with serve(lambda number, body: completion(GOOD, tokens=(1000, 100))) as server:
        prices = {"input_price": 1000.0, "output_price": 10_000.0}  # 2 a request, at most 1 + 1.5
        captioner = load(server.url, max_cost=9.0, max_new_tokens=150, concurrency=3, **prices)
        with pytest.raises(CaptioningStopped, match=r"max_cost \(9\)") as stopped:
            captioner.caption([request(f"clip-{k:02}") for k in range(12)])
        done = len(stopped.value.answers)
        assert done == len(server.bodies) - 1
        assert 0 < done < 12
        assert all(answer.outcome is Outcome.OK for answer in stopped.value.answers)
        assert captioner.usage.cost == pytest.approx(2.0 * (done + 1))
        assert captioner.usage.cost <= 9.0
        with pytest.raises(CaptioningStopped):
            captioner.caption([request("more")])
        assert len(server.bodies) == done + 1


def test_a_server_that_is_gone_ends_the_run_and_blames_no_clip() -> None:
    with serve(after_trial(lambda number, body: Answer(status=503))) as server:
        captioner = load(server.url, concurrency=2, tries=1)
        with pytest.raises(CaptioningStopped, match="HTTP 503") as stopped:
            captioner.caption([request(f"clip-{k:02}") for k in range(20)])
        assert len(stopped.value.answers) <= 5
    with serve(after_trial(lambda number, body: Answer(status=404, body="no such model"))) as server:
        with pytest.raises(CaptioningStopped, match="no such model") as stopped:
            load(server.url, concurrency=1).caption([request(f"clip-{k}") for k in range(3)])
        assert not stopped.value.answers
        assert len(server.bodies) == 2


QUESTION = Prompt(name="slideshow", text="Is it a slideshow?", choices=YES_NO)


@pytest.mark.parametrize(
    ("text", "likely", "choice", "yes"),
    [
        ("Yes", [("Yes", {"Yes": 0.6, " yes": 0.1, "No": 0.2, "Perhaps": 0.1})], "yes", 0.7 / 0.9),
        ("no.", [("no", {"no": 0.9, "yes": 0.1}), (".", {".": 1.0})], "no", 0.1),
        ("**No**", [("**", {"**": 1.0}), ("No", {"No": 1.0}), ("**", {"**": 1.0})], "no", 0.0),
        ("Unsure", [("Unsure", {"Unsure": 0.5, "yes": 0.25, "no": 0.25})], "unsure", 0.5),
        ("Yes", [], "yes", None),  # a server that gives no probabilities
    ],
)
def test_a_question_has_the_probabilities_of_its_choices_where_the_answer_begins(text, likely, choice, yes):
    with serve(after_trial(lambda number, body: completion(text, likely=likely))) as server:
        answer = load(server.url).caption([request("a", QUESTION)])[0]
        body = server.bodies[1]
    assert (body["logprobs"], body["top_logprobs"], "response_format" in body) == (True, 20, False)
    assert (answer.outcome, answer.text) == (Outcome.OK, choice)
    assert chance_of_yes(answer.chances) == (pytest.approx(yes) if yes is not None else None)


def test_what_is_no_answer_to_a_question_is_an_outcome():
    found = {
        "A man walks.": Outcome.DEGENERATE,
        "": Outcome.EMPTY,
        "I'm sorry, but I cannot help with that video.": Outcome.REFUSED,
        "<html><body>Sign in</body></html>": Outcome.DEGENERATE,
    }
    for text, outcome in found.items():
        assert answered(completion(text), QUESTION)[0] is outcome, text
    assert answered(completion("The video", finish="length"), QUESTION)[0] is Outcome.TRUNCATED
    assert answered(completion("Yes, it", finish="length"), QUESTION)[0] is Outcome.OK


def test_a_server_that_refuses_probabilities_is_found_at_the_trial_and_can_be_asked_without():
    def script(number: int, body: dict[str, Any]) -> Answer:
        if "logprobs" in body:
            return Answer(status=400, body='{"error": {"message": "logprobs are not supported"}}')
        return completion("yes")

    with serve(script) as server:
        config = EndpointConfig(url=server.url, model="tiny")
        with pytest.raises(ValueError, match=r"logprobs are not supported.*set logprobs to false"):
            EndpointCaptioner(config, trial=QUESTION)
        answer = EndpointCaptioner(replace(config, logprobs=False), trial=QUESTION).caption(
            [request("a", QUESTION)]
        )[0]
    assert (answer.text, answer.chances) == ("yes", {})
