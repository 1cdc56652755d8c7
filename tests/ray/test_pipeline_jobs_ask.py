"""`kinora ask` on Ray: a server that refuses at times, broken-off runs, and a clip that kills its actor."""

import json
import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from chat_server import Answer, completion, serve  # pyright: ignore[reportMissingImports]  # in tests/unit
from small_dataset import write_dataset  # pyright: ignore[reportMissingImports]

from captioner.config import CaptionerConfig, EndpointConfig
from captioner.protocol import CaptionAnswer, CaptionRequest, Provenance
from captioner.questions import Question
from kinora.cli.main import main
from manifests import conservation
from manifests.dataset import Dataset
from manifests.live_view import LiveView
from manifests.records import Outcome
from pipeline.ask.units import AskSpec
from pipeline.config import AskConfig, RayConfig
from pipeline.jobs.ask import ask

MINE = """
night:
  ask: Is it night?
indoors:
  ask: Is it indoors?
"""


class BrokenOff(BaseException):
    """As when a person stops the command."""


def test_answers_of_a_server_become_scores_and_what_failed_is_asked_again(tmp_path, capsys):
    uri = write_dataset(tmp_path).uri
    mine = tmp_path / "mine.yaml"
    mine.write_text(MINE)
    refuses = True

    def script(number: int, body: dict[str, Any]) -> Answer:
        if refuses and "indoors" in body["messages"][0]["content"][-1]["text"]:
            return completion("I'm sorry, but I can't help with this video.")
        return completion("Yes", likely=[("Yes", {"Yes": 0.75, "No": 0.25})])

    with serve(script) as server:
        engine = ["--captioner.kind", "endpoint", "--captioner.endpoint.url", server.url]
        engine += ["--captioner.endpoint.model", "tiny", "--captioner.endpoint.frames", "2"]
        command = ["ask", "--dataset", uri, "--questions", str(mine), *engine, "--json"]
        assert main([*command, "--dry-run"]) == 0
        (plan,) = json.loads(capsys.readouterr().out)["plan"]
        assert (plan["units"], plan["of"]) == (3, 3)
        assert plan["why"] == {"not scored by question:night, question:indoors": 3}
        assert not server.bodies
        assert main(command) == 10
        report = json.loads(capsys.readouterr().out)
        assert (report["clips"], report["ok"], report["failed"]) == (3, 3, {"REFUSED": 3})
        assert report["answers"] == {"night": {"yes": 3}, "indoors": {}}
        assert len(server.bodies) == 1 + 6
        assert main(command) == 0
        assert json.loads(capsys.readouterr().out)["already_done"] == 3
        assert len(server.bodies) == 7
        mine.unlink()  # a retry asks what the log holds
        refuses = False
        assert main(["retry", "--dataset", uri, "--max-failed", "0", "--audit", "false", "--json"]) == 0
        data = json.loads(capsys.readouterr().out)
        assert [(each["ok"], each["failed"]) for each in data["ask"]] == [(3, {})]
        assert "curate" not in data
        assert [b["messages"][0]["content"][-1]["text"] for b in server.bodies if "logprobs" in b][-1].count(
            "Is it indoors?"
        )
        assert len(server.bodies) == 7 + 1 + 3
    dataset = Dataset.open(uri)
    assert conservation.violations(dataset) == []
    scores = conservation.funnel(dataset)["scores"]
    assert scores == {
        name: {"scored": 3, "failed": 0, "to_do": 0} for name in ("question:night", "question:indoors")
    }
    clips = LiveView(dataset).read("clips", ["question_night", "question_indoors"]).to_pylist()
    assert sum(row["question_night"] == 0.75 == row["question_indoors"] for row in clips) == 3
    assert main(["status", "--dataset", uri]) == 0
    assert "score question:night" in capsys.readouterr().out


CONFIG = AskConfig(captioner=CaptionerConfig(kind="endpoint", endpoint=EndpointConfig(url="u", model="m")))
SPEC = AskSpec(questions=(Question(name="night", ask="Is it?"), Question(name="day", ask="Not?")), engine="e")


class Answers:
    """Answers yes, and writes down what it was asked; ends its process at a clip that `deadly` names."""

    def __init__(self, log: Path, deadly: str = "") -> None:
        self.log, self.deadly = log, deadly

    def caption(self, requests: Sequence[CaptionRequest]) -> list[CaptionAnswer]:
        for request in requests:
            if request.clip_id == self.deadly:
                os.kill(os.getpid(), signal.SIGKILL)
        with self.log.open("a") as out:
            out.writelines(f"{request.clip_id} {request.prompt.name}\n" for request in requests)
        return [
            CaptionAnswer(
                clip_id=request.clip_id,
                prompt_digest=request.prompt.digest,
                outcome=Outcome.OK,
                text="yes",
                raw="yes",
                frames_shown=(0,),
                provenance=Provenance(captioner="vlm", model="m", revision="1", decoding="{}"),
            )
            for request in requests
        ]


def rows(uri: str) -> list[tuple[str, str, float]]:
    table = Dataset.open(uri).read("scores").to_pylist()
    return sorted(
        (row["clip_id"], row["scorer"], row["question_night"] or row["question_day"]) for row in table
    )


def test_a_run_that_is_broken_off_goes_on_and_asks_nothing_twice(tmp_path):
    uri, log = write_dataset(tmp_path).uri, tmp_path / "log"

    def stop(stage: str, done: int, total: int | None = None) -> None:
        if done:
            raise BrokenOff

    def answers(_: AskConfig) -> Answers:
        return Answers(log)

    ray_config = RayConfig(commit_every_s=0)
    with pytest.raises(BrokenOff):
        ask(uri, CONFIG, ray_config, SPEC, answers, progress=stop)
    assert 0 < len(rows(uri)) < 6
    report = ask(uri, CONFIG, ray_config, SPEC, answers)
    assert 0 < report.already_done < 3
    assert len(rows(uri)) == 6 == len({*rows(uri)})
    assert {value for _, _, value in rows(uri)} == {1.0}
    assert report.answers == {"night": {"yes": 3}, "day": {"yes": 3}}
    assert ask(uri, CONFIG, ray_config, SPEC, answers).nothing_left
    assert conservation.violations(Dataset.open(uri)) == []


@pytest.mark.slow
def test_a_clip_that_ends_its_process_is_a_failure_of_each_question(tmp_path):
    dataset = write_dataset(tmp_path)
    uri, log = dataset.uri, tmp_path / "log"
    deadly = LiveView(dataset).media["clip_id"].to_pylist()[1]
    report = ask(uri, CONFIG, RayConfig(), SPEC, lambda _: Answers(log, deadly))
    assert (report.ok, report.failed) == (4, {"CRASHED": 2})
    failures = [row for row in LiveView(Dataset.open(uri)).failures.to_pylist() if "question" in row["stage"]]
    assert {(row["unit"], row["quarantined"]) for row in failures} == {(deadly, True)}
    assert ask(uri, CONFIG, RayConfig(), SPEC, lambda _: Answers(log)).nothing_left
    assert ask(uri, CONFIG, RayConfig(), SPEC, lambda _: Answers(log), mode="failed").ok == 0
    assert ask(uri, CONFIG, RayConfig(), SPEC, lambda _: Answers(log), mode="all").ok == 2
    assert conservation.violations(Dataset.open(uri)) == []
