"""Questions of files, and what answers to them are read as: pure functions."""

from math import log

import pytest

from captioner.choices import (
    YES_NO,
    answer_position,
    chance_of_yes,
    chances_of_logprobs,
    read_choice,
    token_groups,
)
from captioner.questions import BUILT_IN, load_questions
from manifests.records import Outcome

ANSWERS = {
    "yes": "yes",
    "Yes.": "yes",
    "YES, it shows slides": "yes",
    "**No**": "no",
    "no": "no",
    "Answer: no": "no",
    "The answer is: Yes.": "yes",
    '{"answer": "yes"}': "yes",
    "<think>It might be no, or yes.</think>\n\nNo": "no",
    "it may be yes </think> no": "no",
    "Unsure": "unsure",
    "Not sure.": "unsure",
    "I": None,
    "No idea": "unsure",
    "Cannot tell": "unsure",
    "Nothing moves": None,
    "Yesterday": None,
    "A man walks": None,
}


@pytest.mark.parametrize("raw", ANSWERS)
def test_an_answer_is_the_word_it_begins_with(raw):
    answer = read_choice(raw, YES_NO, ended=True)
    assert answer.text == ANSWERS[raw]
    assert (answer.outcome is Outcome.OK) == (ANSWERS[raw] is not None)


@pytest.mark.parametrize(
    ("raw", "ended", "outcome"),
    [
        ("", True, Outcome.EMPTY),
        ("N/A", True, Outcome.EMPTY),
        ("I'm sorry, I can't help with this video.", True, Outcome.REFUSED),
        ("maybe " * 60, True, Outcome.OK),
        ("red red red " * 60, True, Outcome.DEGENERATE),
        ("The video shows", False, Outcome.TRUNCATED),
        ("<think>The video shows", False, Outcome.TRUNCATED),
        ("<think>The video shows", True, Outcome.EMPTY),
        ("The video shows slides.", True, Outcome.DEGENERATE),
    ],
)
def test_an_answer_that_is_none_has_an_outcome(raw, ended, outcome):
    assert read_choice(raw, YES_NO, ended=ended).outcome is outcome


def test_letters_are_no_words():
    letters = ("A", "B", "C")
    for raw, letter in {"B": "B", "B.": "B", "(C)": "C", "A. Live action": "A", "B: drawn": "B"}.items():
        assert read_choice(raw, letters, ended=True).text == letter
    for raw in ("A man walks", "b", "D", "Both"):
        assert read_choice(raw, letters, ended=True).text is None


def test_tokens_are_choices_in_any_case_and_with_a_space_before_them():
    vocabulary = {"▁yes": 1, "Yes": 2, "ĠYES": 3, "yesterday": 4, "no": 5, "▁No": 6, "A": 7, "a": 8, "▁A": 9}
    assert token_groups(vocabulary, YES_NO) == {"yes": [1, 2, 3], "no": [5, 6], "unsure": []}
    assert token_groups(vocabulary, ("A", "B")) == {"A": [7, 9], "B": []}


@pytest.mark.parametrize(
    ("tokens", "choice", "index"),
    [
        (["Yes", "."], "yes", 0),
        (["**", "No", "**"], "no", 1),
        (["<think>", "no", ", ", "yes", "</think>", "\n", "no"], "no", 6),
        (["The", " answer", " is", " yes"], "yes", 3),
        (["no", " and", " no", " more"], "no", 0),
        (["ye", "s"], "yes", None),
    ],
)
def test_the_answer_begins_after_thoughts_and_marks(tokens, choice, index):
    def join(first: int) -> str:
        return "".join(tokens[first:])

    assert answer_position(tokens, join, choice, YES_NO) == index


def test_probabilities_are_of_yes_against_no():
    found = chances_of_logprobs({"Yes": log(0.5), " yes": log(0.1), "No": log(0.2), "A": log(0.2)}, YES_NO)
    assert found == pytest.approx({"yes": 0.75, "no": 0.25, "unsure": 0.0})
    assert chance_of_yes(found) == pytest.approx(0.75)
    assert chance_of_yes({}) is None
    assert chances_of_logprobs({"Perhaps": 0.0}, YES_NO) == {}
    assert chance_of_yes(chances_of_logprobs({"yes": 0.0, "no": -9999.0}, YES_NO)) == 1.0


def test_the_built_in_questions_ask_for_one_word():
    questions = {question.name: question for question in load_questions()}
    assert [*questions] == [
        "slideshow", "screen_recording", "visual_effects", "text_heavy", "zoomed_still", "split_screen",
        "unnatural_speed", "medium",
    ]  # fmt: skip
    assert {name for name, each in questions.items() if each.of == "videos"} == {
        "slideshow",
        "zoomed_still",
        "unnatural_speed",
    }
    prompt = questions["split_screen"].prompt
    assert prompt.choices == YES_NO
    assert "Look at the whole video" in prompt.text
    assert "Look at the whole picture" in prompt.for_frames(1).text
    assert "{" not in prompt.text
    medium = questions["medium"]
    assert medium.prompt.choices == tuple("ABCDEFG")
    assert "A. live action: filmed with a camera\nB. drawn: " in medium.prompt.text
    assert (medium.answer("A"), medium.answer("G")) == ("live_action", "other")
    assert len({each.digest for each in questions.values()}) == len(questions)
    assert BUILT_IN.is_file()


FAULTS = {
    "[]": "holds no questions",
    "a: [": "is no YAML",
    "Slide Show: {ask: Is it}": "question Slide Show: a name is lower-case letters",
    "a: Is it": "question a: give it fields",
    "a: {ask: ''}": "question a: ask: write the question",
    "a: {ask: Is it, max: 0.5}": "question a: unknown field max; there are ask, choices, of",
    "a: {ask: Is it, of: stills}": "question a: of: 'stills' is none of all, videos",
    "a: {ask: Which, choices: {one: first}}": "question a: choices: give 2 to 26 of them, not 1",
    "a: {ask: Which, choices: [one, two]}": "question a: choices: give each a name",
    "a: {ask: Which, choices: {yes: it is, two: it is not}}": "write yes and no in quotation marks",
    "a: {ask: Which, choices: {one: first, two: }}": "choices: two: write what it means",
}


@pytest.mark.parametrize("text", FAULTS)
def test_a_file_with_a_fault_is_refused_with_the_question_and_the_field(tmp_path, text):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=FAULTS[text]) as raised:
        load_questions(str(path))
    assert str(path) in str(raised.value)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"--questions .*none\.yaml: no such file"):
        load_questions(str(tmp_path / "none.yaml"))


def test_the_wording_is_part_of_a_question_and_its_name_is_not(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("a: {ask: Is it red}\nb: {ask: Is it red}\nc: {ask: Is it blue}")
    one, two, three = load_questions(str(path))
    assert one.digest == two.digest != three.digest
