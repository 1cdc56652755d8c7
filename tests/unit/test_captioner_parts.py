"""Parts of a picture are read from JSON, validated, and an outcome where there are none."""

import json

import pytest

from captioner.answers import read_reply
from captioner.markup import Markup
from captioner.parts import MAX_ITEMS, NotParts, parts_schema, read_parts
from captioner.prompts import load_prompt
from manifests.records import LIST_PARTS, PARTS, Outcome

PROMPT = load_prompt("parts", asks_parts=True, stills=True).expecting("English")
FOUND = {
    "subjects": ["a grey heron on a wet branch", "a dark pond below it"],
    "actions": ["the heron lands", "it folds its wings", "it looks down"],
    "setting": "a pond in a forest",
    "camera": "still, at eye level",
    "style": "film",
    "light": "soft daylight",
    "visible_text": ["NO FISHING"],
}


def read(raw: str, *, ended: bool = True):
    return read_reply(raw, PROMPT, ended=ended, markup=Markup())


@pytest.mark.parametrize(
    "raw",
    [
        json.dumps(FOUND),
        f"Sure! Here it is:\n```json\n{json.dumps(FOUND, indent=1)}\n```\nLet me know if you need more.",
        f"<think>a bird</think>{json.dumps({'parts': FOUND})}<|im_end|>",
        json.dumps({name.replace("_", " ").title(): value for name, value in FOUND.items()}),
    ],
)
def test_parts_are_read_from_json_alone_or_among_other_words(raw: str) -> None:
    answer = read(raw)
    assert (answer.outcome, answer.detail) == (Outcome.OK, "")
    assert json.loads(answer.text or "") == FOUND
    assert [*json.loads(answer.text or "")] == [*PARTS]


def test_texts_and_lists_are_taken_for_each_other_and_what_is_lacking_is_named() -> None:
    raw = {
        "subjects": [{"name": "heron", "colour": "grey"}, None],
        "actions": "the heron  lands",
        "camera": ["still", "low"],
        "style": "n/a",
        "visible_text": ["None."],
    }
    answer = read(json.dumps(raw))
    assert json.loads(answer.text or "") == {
        "subjects": ["heron, grey"],
        "actions": ["the heron lands"],
        "setting": "",
        "camera": "still; low",
        "style": "",
        "light": "",
        "visible_text": [],
    }
    assert answer.detail == "the parts lack setting, light"


@pytest.mark.parametrize(
    ("raw", "ended", "outcome", "detail"),
    [
        (json.dumps(FOUND)[:-40], True, Outcome.DEGENERATE, "parts: no complete JSON object"),
        (json.dumps(FOUND)[:-40], False, Outcome.TRUNCATED, "parts: stopped at the token limit after"),
        ("A heron lands on a branch.", True, Outcome.DEGENERATE, "parts: no JSON object"),
        ('{"short": "A heron."}', True, Outcome.DEGENERATE, "parts: a JSON object without any of subjects,"),
        ('{"actions": {"a": 1, "b": [2]}}', True, Outcome.EMPTY, "parts: no words"),
        ('{"actions": [1, 2]}', True, Outcome.DEGENERATE, "parts: actions holds 1, which is no text"),
        (json.dumps({"actions": [f"step {n}" for n in range(MAX_ITEMS + 1)]}), True, Outcome.DEGENERATE,
         f"parts: actions has {MAX_ITEMS + 1} items"),
        (json.dumps({"actions": ["it hops"] * 5}), True, Outcome.DEGENERATE,
         "parts: actions repeats 'it hops'"),
        (json.dumps({name: [] for name in PARTS}), True, Outcome.EMPTY, "parts: no words"),
        ("I'm sorry, I can't describe this video.", True, Outcome.REFUSED, "parts: refuses"),
        ('{"setting": "Sorry, I cannot describe this video."}', True, Outcome.REFUSED, "parts: refuses"),
        ('{"subjects": ["each main thing: what it is, its colour, size and place"]}', True,
         Outcome.DEGENERATE, "parts: repeats the prompt"),
        ('{"setting": "ein dunkler Wald hinter einer grünen Wiese mit einem Haus"}', True, Outcome.DEGENERATE,
         "parts: is in German, not in English"),
        ("", True, Outcome.EMPTY, "parts: no words"),
        ("<html><body>502</body></html>", True, Outcome.DEGENERATE, "parts: no JSON object"),
        ("{" * 100_000, True, Outcome.EMPTY, "parts: no words"),
        ('{"subjects":' + "[" * 50_000 + "]" * 50_000 + "}", True, Outcome.DEGENERATE,
         "parts: no complete JSON object"),
    ],
)  # fmt: skip
def test_an_answer_without_parts_has_an_outcome(raw: str, ended: bool, outcome: Outcome, detail: str) -> None:
    answer = read(raw, ended=ended)
    assert (answer.outcome, answer.text) == (outcome, None)
    assert answer.detail.startswith(detail)


def test_what_is_read_in_the_picture_is_no_answer() -> None:
    sign = "Sorry, I cannot help you"
    answer = read(json.dumps(FOUND | {"visible_text": [sign, "Heute leider geschlossen wegen Krankheit"]}))
    assert json.loads(answer.text or "")["visible_text"][0] == sign


def test_the_schema_asks_for_what_is_read() -> None:
    schema = parts_schema()
    assert [*schema["properties"]] == schema["required"] == [*PARTS]
    assert {name for name, each in schema["properties"].items() if each["type"] == "array"} == {*LIST_PARTS}
    assert read_parts(json.dumps(FOUND))[0] == FOUND


def test_a_text_that_is_no_object_says_so() -> None:
    with pytest.raises(NotParts, match="no JSON object"):
        read_parts("[1, 2]")


def test_stills_have_parts_of_their_own() -> None:
    assert PROMPT.still is not None
    assert PROMPT.still.asks_parts
    assert "picture" in PROMPT.for_frames(1).text
    assert PROMPT.still.language == "English"
