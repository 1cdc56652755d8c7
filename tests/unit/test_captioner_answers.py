"""An answer that repeats its prompt or is in another language is no caption; an opening is taken off."""

import json
from pathlib import Path

import pytest
import yaml

from captioner.answers import read_reply, without_opening
from captioner.echo import echo
from captioner.language import language_code, other_language
from captioner.markup import Markup
from captioner.prompts import Prompt, load_prompt
from manifests.records import LENGTHS, Outcome
from worlds import families

SHORT = load_prompt("short").expecting("English")
JOINT = load_prompt("lengths", lengths=LENGTHS).expecting("English")
FRENCH = load_prompt("short", language="French")
CAPTIONS = yaml.safe_load(Path(__file__).with_name("answers.yaml").read_text(encoding="utf-8"))["captions"]
BIRD = "A heron lands on a wet branch."


def read(raw: str, prompt: Prompt = SHORT, *, ended: bool = True):
    return read_reply(raw, prompt, ended=ended, markup=Markup())


@pytest.mark.parametrize(
    ("raw", "detail"),
    [
        (
            "Describe this video in one sentence of about ten words.",
            "repeats the prompt: 'describe this video in one sentence of about'",
        ),
        (
            f"{BIRD} The main thing, what it does, and where.",
            "repeats the prompt: 'the main thing what it does and where'",
        ),
        (f"{SHORT.text} {SHORT.text}", "repeats the prompt: 'describe this video in one sentence of about'"),
        ("Un chien noir court sur une pelouse verte.", "is in French, not in English"),
        ("一只黑色的狗在绿色的草地上奔跑。", "is in Chinese, not in English"),
        ("Ein schwarzer Hund läuft über eine grüne Wiese.", "is in German, not in English"),
    ],
)
def test_what_does_not_fit_the_prompt_is_no_caption(raw: str, detail: str) -> None:
    answer = read(raw)
    assert (answer.outcome, answer.text, answer.texts) == (Outcome.DEGENERATE, None, {})
    assert answer.detail == detail


def test_a_prompt_before_its_answer_is_taken_off() -> None:
    assert read(f"\n{SHORT.text}\n{BIRD}").text == BIRD


def test_a_length_that_does_not_fit_decides_for_all() -> None:
    texts = {
        "short": BIRD,
        "medium": "one sentence of about ten words: the main thing, what it does",
        "dense": BIRD,
    }
    answer = read(json.dumps(texts), JOINT)
    assert (answer.outcome, answer.texts) == (Outcome.DEGENERATE, {})
    assert answer.detail.startswith("medium: repeats the prompt: 'one sentence of about ten words")


def test_the_language_that_was_asked_for_is_expected() -> None:
    french = "Un chien noir court sur une pelouse verte."
    assert read(french, FRENCH).text == french
    assert read("A black dog runs over a green lawn.", FRENCH).detail == "is in English, not in French"
    own = Prompt(name="own", text="Décris la vidéo en allemand.")
    assert read(french, own).text == french  # nobody said in which language answers must be


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("The video shows a dog on a lawn.", "A dog on a lawn."),
        ("This image depicts the red car at night.", "The red car at night."),
        ("In this video, we can see two men at a table.", "Two men at a table."),
        ("In the clip a kite rises.", "A kite rises."),
    ],
)
def test_an_opening_that_names_the_medium_is_taken_off_and_recorded(raw: str, text: str) -> None:
    answer = read(raw)
    assert (answer.outcome, answer.text) == (Outcome.OK, text)
    assert answer.detail == f"taken off: {raw[: len(raw) - len(text)].strip()!r}"


@pytest.mark.parametrize(
    "text",
    [
        "The video shows that a lock can be opened with a hairpin.",
        "The picture hangs on a white wall.",
        "In the picture frame, a cat sleeps.",
        "The video game shows a map.",
    ],
)
def test_what_is_no_opening_stays(text: str) -> None:
    assert without_opening(text, "English") == (text, "")
    assert read(text).text == text


def test_openings_stay_where_english_was_not_asked_for() -> None:
    own = Prompt(name="own", text="Describe the video.")
    assert read("The video shows a dog on a lawn.", own).text == "The video shows a dog on a lawn."


def test_no_caption_of_a_list_is_in_another_language_than_its_own() -> None:
    codes = [code for code in CAPTIONS if len(code) == 2]
    names = {code: name for code in codes for name in ("English", "Spanish", "French", "German", "Portuguese",
             "Italian", "Dutch", "Swedish", "Danish", "Finnish", "Polish", "Czech", "Hungarian", "Romanian",
             "Russian", "Ukrainian", "Greek", "Turkish", "Arabic", "Persian", "Hebrew", "Hindi", "Bengali",
             "Tamil", "Thai", "Vietnamese", "Indonesian", "Swahili", "Chinese", "Japanese", "Korean")
             if language_code(name) == code}  # fmt: skip
    assert [*names] == codes
    wrong = [text for code in codes for text in CAPTIONS[code] if other_language(text, names[code])]
    assert wrong == []
    english = [text for code in codes if code != "en" for text in CAPTIONS[code]]
    found = sum(bool(other_language(text, "English")) for text in english)
    assert found / len(english) > 0.95


def test_captions_of_worlds_are_english_and_no_echo() -> None:
    for family in families.FAMILIES:
        for seed in range(3):
            world = families.sample(family, seed, width=64, height=64, fps=8.0, num_frames=24)
            text = families.dense_caption(world, seed)
            assert other_language(text, "English") == ""
            assert echo(text, load_prompt("dense").text) == ""


def test_a_quotation_may_be_in_any_language_and_repeat_anything() -> None:
    sign = "Describe this video in one sentence of about ten words"
    assert read(f'A sign reads "{sign}".').text == f'A sign reads "{sign}".'
    assert other_language('A sign reads "Heute wegen Krankheit leider geschlossen".', "English") == ""


def test_an_echo_is_found_without_spaces_between_words() -> None:
    prompt = "请用一句话描述这个视频的主要内容，只说画面中能看到的东西。"
    assert echo("请用一句话描述这个视频的主要内容，只说", prompt) != ""
    assert echo("一只狗在草地上奔跑，只说画面。", prompt) == ""


def test_names_of_languages() -> None:
    assert language_code("Brazilian Portuguese") == "pt"
    assert language_code("Chinese (Traditional)") == "zh"
    assert language_code("Klingon") == ""
    assert other_language("Ein Hund läuft über eine Wiese.", "Klingon") == ""
