"""Expanded prompts keep every fact and contradict none, or stay as they were."""

import json
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
from chat_server import Answer, completion, serve

from captioner import chat_client
from captioner.text_config import TextModelConfig
from captioner.text_model import TextModelError, load_text_model
from captioner.upsample import LONG_WORDS, lost_facts, upsample
from kinora.cli.main import main
from kinora.prompts.worlds_upsampler import lost_claims, upsample_worlds
from worlds import families

PROMPT = "A red car drives to the left past two trees at night. The camera pans left."
GOOD = (
    "At night, a red car drives to the left along an empty road, past two trees whose leaves hang still "
    "in the cold air. Its headlights throw pale cones over the wet asphalt, and the road markings flash by. "
    "The camera pans left and keeps the car in the middle of the picture, while houses pass behind it."
)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (("red car", "car"), "lacks “red car”"),
        (("car", "bus"), "lacks “car”"),
        (("two trees", "trees"), "lacks “two trees”"),
        (("two trees", "three trees"), "says “three trees”"),
        (("to the left along", "along"), "lacks “car drives to the left past two trees at night”"),
        (("drives", "stands"), "lacks"),
        (
            ("The camera pans left", "The camera pans right"),
            "says camera right where the prompt says camera left",
        ),
        (("At night", "In bright sunlight"), "lacks"),
        (("an empty road", "an empty road, a blue car"), "says “blue car”"),
    ],
)
def test_lost_and_changed_facts_are_found(change, problem):
    assert lost_facts(PROMPT, GOOD) == []
    assert any(problem in each for each in lost_facts(PROMPT, GOOD.replace(*change)))


def test_quotations_and_denials_are_facts():
    assert lost_facts('A sign that says "Open".', 'A wooden sign that says "OPEN" hangs on a door.') == []
    assert lost_facts('A sign that says "Open".', 'A wooden sign that says "Shut" hangs on a door.')
    assert lost_facts("A street without cars.", "A long street with three parked cars.")


class Script:
    """Answers as told, in order."""

    def __init__(self, *answers: str | None) -> None:
        self.answers, self.asked = [*answers], list[str]()

    def __call__(self, prompts: Sequence[str]) -> list[str | None]:
        self.asked += prompts
        return [self.answers.pop(0) for _ in prompts]


def test_a_good_answer_becomes_the_prompt():
    (found,) = upsample([PROMPT], Script(f"Sure! Here is the description:\n\n{GOOD}"))
    assert (found.text, found.note) == (GOOD, "")


def test_a_bad_answer_is_asked_again_with_what_was_wrong():
    script = Script(GOOD.replace("red", "blue"), GOOD)
    (found,) = upsample([PROMPT], script)
    assert found.text == GOOD
    assert "An earlier answer was wrong" in script.asked[1]
    assert "red car" in script.asked[1]


@pytest.mark.parametrize(
    "answer", [GOOD.replace("red", "blue"), "", None, "I'm sorry, I can't help.", "A car.", "<html>" * 99]
)
def test_bad_answers_leave_the_prompt_with_a_word(answer):
    (found,) = upsample([PROMPT], Script(answer, answer))
    assert found.text == PROMPT
    assert not found.is_expanded
    assert found.note.startswith("kept as it was: ")


def test_long_prompts_are_neither_cut_nor_sent():
    long = " ".join(f"word{number}" for number in range(LONG_WORDS))
    script = Script()
    (found,) = upsample([long], script)
    assert found.text == long
    assert script.asked == []
    things = (
        "fence",
        "barn",
        "mill",
        "field",
        "hill",
        "river",
        "bridge",
        "tower",
        "church",
        "shop",
        "lamp",
        "bench",
    )
    more = [f"Behind a {one} a {other} can be seen in the moonlight." for one, other in pairwise(things)]
    many = " ".join([GOOD, *more])
    assert len(many.split()) > LONG_WORDS + 30
    (found,) = upsample([PROMPT], Script(many))
    assert found.text == many


def short_prompts() -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for family in families.FAMILIES:
        for seed in (3, 4):
            world = families.sample(family, seed, width=64, height=64, fps=8, num_frames=24)
            found.append((family, families.short_caption(world, seed)))
    return found


@pytest.mark.parametrize(("family", "prompt"), short_prompts())
def test_prompts_about_worlds_are_expanded_without_a_model(family, prompt):
    (found,) = upsample_worlds([prompt])
    assert found.is_expanded, found.note
    assert lost_claims(family, prompt, found.text) == ()
    assert len(found.text.split()) > 3 * len(prompt.split())
    assert upsample_worlds([prompt]) == [found]


def test_what_worlds_do_not_know_stays_as_it_is():
    for prompt in ("a dog runs on the beach", "a red circle on a bicycle", "four red circles"):
        (found,) = upsample_worlds([prompt])
        assert not found.is_expanded
        assert found.note


def test_the_command_expands_a_file(tmp_path, capsys):
    file, out = tmp_path / "prompts.jsonl", tmp_path / "out.jsonl"
    file.write_text('{"prompt": "a red circle moves left over a gray background", "seed": 7}\na dog\n')
    assert main(["prompts", "upsample", "--prompts", str(file), "-o", str(out), "--json"]) == 0
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert rows[0]["seed"] == 7
    assert "red circle" in rows[0]["prompt"]
    assert len(rows[0]["prompt"].split()) > 50
    assert rows[1] == {"prompt": "a dog"}
    data = json.loads(capsys.readouterr().out)["prompts"]
    assert [each["expanded"] for each in data] == [True, False]


def test_the_command_says_what_is_missing(tmp_path, capsys):
    assert main(["prompts", "upsample"]) == 3
    assert main(["prompts", "upsample", "a", "--prompts", "b"]) == 2
    assert main(["prompts", "upsample", "a dog", "--endpoint", "http://localhost:1/v1"]) == 2
    assert "name the model that the endpoint serves" in capsys.readouterr().err
    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"text": "x"}\n')
    assert main(["prompts", "upsample", "--prompts", str(bad)]) == 2
    assert "bad.jsonl, line 1: has no text under `prompt`" in capsys.readouterr().err


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chat_client, "_BACKOFF_S", 0.001)


def ask(*answers: Answer, **settings: Any) -> list[str | None]:
    """Ask a server that answers by a script."""
    with serve(lambda number, body: answers[number]) as server:
        config = TextModelConfig(model="m", endpoint=f"{server.url}/", **settings)
        return load_text_model(config).answer(["?"])


def test_an_endpoint_is_asked_again_when_it_is_busy():
    busy = Answer(status=429), Answer(status=503), Answer(body="{half"), Answer(body="<html>")
    assert ask(*busy, completion("yes")) == ["yes"]
    assert ask(completion("cut off her", finish="length")) == [None]


def test_a_folder_that_is_no_language_model_is_named_in_one_line(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "qwen2_vl"}')
    with pytest.raises(TextModelError, match="cannot be loaded as a language model") as refused:
        load_text_model(TextModelConfig(model=str(tmp_path)))
    assert str(tmp_path) in str(refused.value)
    assert len(str(refused.value)) < 500 + len(str(tmp_path))


def test_a_file_of_prompts_that_is_no_utf8_is_named(tmp_path, capsys):
    (tmp_path / "prompts.txt").write_bytes("a café".encode("latin-1"))
    assert main(["prompts", "upsample", "--prompts", str(tmp_path / "prompts.txt")]) == 2
    assert "prompts.txt: byte 5 is no UTF-8; save the file as UTF-8" in capsys.readouterr().err


def test_a_prompt_in_json_may_hold_any_break_but_a_line_feed(tmp_path, capsys):
    prompt = "a red circle\u2028on a blue ground"
    (tmp_path / "in.jsonl").write_text(json.dumps({"prompt": prompt}, ensure_ascii=False) + "\n")
    assert main(["prompts", "upsample", "--prompts", str(tmp_path / "in.jsonl"), "--json"]) == 0
    assert [each["prompt"] for each in json.loads(capsys.readouterr().out)["prompts"]] == [prompt]


def test_an_endpoint_that_refuses_is_an_error_with_a_remedy():
    with pytest.raises(TextModelError, match=r"HTTP 401 .*; check that the server runs and serves m"):
        ask(Answer(status=401))
    with pytest.raises(TextModelError, match=r"HTTP 500 .*\(after 3 tries\)"):
        ask(*[Answer(status=500)] * 3, retries=2)
    with pytest.raises(TextModelError, match="not a chat completion"):
        ask(Answer(body='{"object": "list"}'), retries=0)
    with pytest.raises(ValueError, match="give a URL"):
        load_text_model(TextModelConfig(model="m", endpoint="file:///etc/passwd"))


def test_prompts_keep_their_order_and_few_requests_run_at_once():
    def echo(number: int, body: dict[str, Any]) -> Answer:
        answer = completion(body["messages"][0]["content"].upper())
        return Answer(body=answer.body, delay_s=0.02 * (3 - number % 4))

    with serve(echo) as server:
        config = TextModelConfig(model="m", endpoint=server.url, max_requests=2)
        assert load_text_model(config).answer(["a", "b", "c", "d"]) == ["A", "B", "C", "D"]
        assert server.most_at_once <= 2
