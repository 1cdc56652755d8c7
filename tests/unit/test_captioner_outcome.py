"""What an answer is, and the caption in it, are decided by the answer and the model's own tokens."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from captioner.markup import Markup
from captioner.outcome import classify, read_answer, read_lengths, refusal
from captioner.phrasebook import normalize
from manifests.records import LENGTHS, Outcome

DENSE = (
    "The video shows a red circle and a blue square over a plain gray background. "
    "There are two objects in the scene. "
    "The red circle moves to the left at a slow speed, and its path is a straight line. "
    "The red circle is round and has no corners. "
    "The blue square stays still, in the same place, during the whole clip. "
    "The blue square has four equal sides and four corners. The camera is fixed, with no zoom and no cuts."
)
ANSWERS = yaml.safe_load(Path(__file__).with_name("answers.yaml").read_text(encoding="utf-8"))
BIRD = "A heron lands on a wet branch."


def answers(kind: str) -> list[Any]:
    return [
        pytest.param(text, id=f"{code}{n}")
        for code in ANSWERS[kind]
        for n, text in enumerate(ANSWERS[kind][code])
    ]


@pytest.mark.parametrize(
    ("raw", "ended", "outcome"),
    [
        (DENSE, True, Outcome.OK),
        ("", True, Outcome.EMPTY),
        (" \n.", True, Outcome.EMPTY),
        ("…", False, Outcome.EMPTY),
        ("null", True, Outcome.EMPTY),
        ("N/A.", True, Outcome.EMPTY),
        ("None of the boats moves.", True, Outcome.OK),
        (DENSE[:200], False, Outcome.TRUNCATED),
        ("a red red red red circle", True, Outcome.DEGENERATE),
        ("The cat sits there. " * 3, True, Outcome.DEGENERATE),
        ("A dog. " + "and then the dog runs on " * 12, False, Outcome.DEGENERATE),
    ],
)
def test_outcome(raw: str, ended: bool, outcome: Outcome) -> None:
    found, detail = classify(raw, ended=ended)
    assert found is outcome
    assert (detail == "") == (outcome is Outcome.OK)


@pytest.mark.parametrize(
    "raw",
    [
        "<html><body><h1>502 Bad Gateway</h1></body></html>",
        '<!DOCTYPE html>\n<html lang="en"><head><title>A heron</title></head>',
        "```html\n<body>\n<p>A heron lands on a wet branch.</p>\n</body>\n```",
        "&lt;html&gt;&lt;body&gt;A heron lands.&lt;/body&gt;&lt;/html&gt;",
        f"<think>a page</think><script>alert(1)</script>{BIRD}",
        json.dumps({"dense": f"<html><body>{BIRD}</body></html>"}),
    ],
)
def test_a_page_of_html_is_no_caption(raw: str) -> None:
    assert read_answer(raw, ended=True).outcome is Outcome.DEGENERATE
    found, texts = read_lengths(raw, ended=True, lengths=LENGTHS)
    assert (found.outcome, found.text, texts) == (Outcome.DEGENERATE, None, {})


def test_a_caption_about_html_or_with_a_tag_is_a_caption() -> None:
    shown = 'A monitor shows the line "<html><body>" in green letters on black.'
    assert read_answer(shown, ended=True).text == shown
    assert read_answer(f"<p>{BIRD}</p>", ended=True).text == BIRD


@pytest.mark.parametrize("text", answers("refusals"))
def test_a_refusal_in_any_of_the_languages_is_refused(text: str) -> None:
    assert classify(text, ended=True)[0] is Outcome.REFUSED
    assert read_answer(f"assistant\n{text}<|im_end|>", ended=True).outcome is Outcome.REFUSED


@pytest.mark.parametrize("text", answers("captions"))
def test_a_caption_is_no_refusal_and_stays_as_it_is(text: str) -> None:
    assert classify(text, ended=True) == (Outcome.OK, "")
    assert read_answer(text, ended=True).text == text


def test_there_are_enough_captions_and_languages_to_measure_false_alarms() -> None:
    assert sum(map(len, ANSWERS["captions"].values())) >= 100
    assert len(ANSWERS["captions"]) >= 25
    assert len(ANSWERS["refusals"]) >= 35


def test_a_refusal_in_a_quotation_is_part_of_the_caption() -> None:
    phrase = "I'm sorry, I cannot describe this video."
    for quoted in (f'"{phrase}"', f"“{phrase}”", f"«{phrase}»", f"「{phrase}」", f"„{phrase}“"):
        assert refusal(f"{quoted} is written on a wall.") == ""
    assert refusal(phrase) != ""
    assert read_answer(f'"{phrase}"', ended=True).outcome is Outcome.REFUSED  # all of the answer is quoted


@pytest.mark.parametrize(
    "raw",
    [
        f"<think>The user wants a caption. I see a bird.</think>\n\n{BIRD}",
        f"<thinking>A bird?\nOr a plane?</thinking>{BIRD}",
        f"<think></think>\n{BIRD}",
        f"<think>a bird\n</think\n{BIRD}",
        f"< think >a bird< /think >{BIRD}",
        f"<observe>a bird</observe><think>it lands</think>{BIRD}",
        f"<|thinking_start|>a bird<|thinking_end|>{BIRD}",
        f"analysisThe user wants a bird.assistantfinal{BIRD}",
        f"Thinking...\nA bird.\n...done thinking.\n\n{BIRD}",
        f"...done thinking.\n\n{BIRD}",
        f"**Reasoning:** There is a bird.\n\n**Caption:** {BIRD}",
        f"<CAPTION>bird</CAPTION><REASONING>bird</REASONING><CONCLUSION>{BIRD}</CONCLUSION>",
        f"So there is a bird, and it lands.\n</think>\n\n{BIRD}",
        f"<reasoning>a</reasoning><reflection>b</reflection>{BIRD}",
        f"◁think▷a bird◁/think▷{BIRD}",
        f"[THINK]a bird[/THINK]{BIRD}</s>",
        f"<|START_THINKING|>a bird<|END_THINKING|><|START_RESPONSE|>{BIRD}<|END_RESPONSE|>",
        f"<|begin_of_thought|>a bird<|end_of_thought|>\n<|begin_of_solution|>{BIRD}<|end_of_solution|>",
        "<|channel|>analysis<|message|>A bird.<|end|><|start|>assistant<|channel|>final<|message|>"
        f"{BIRD}<|return|>",
        f"<seed:think>a bird</seed:think>{BIRD}<seed:eos>",
        f"<answer>{BIRD}</answer>",
        f"Thought about it. <answer>{BIRD}</answer> Done.",
        f"<|begin_of_box|>{BIRD}<|end_of_box|>",
        f"\\boxed{{{BIRD}}}",
        f"<image><image> {BIRD}",
        f"<s> {BIRD}</s>",
        f"{BIRD}<|im_end|>",
        f"{BIRD}<|im_end|>\n<|im_start|>user\nAnd now?",
        f"<|im_start|>assistant\n{BIRD}<|im_end|>",
        f"<|start_header_id|>assistant<|end_header_id|>\n\n{BIRD}<|eot_id|>",
        f"<start_of_turn>model\n{BIRD}<end_of_turn>",
        f"[INST] Describe. [/INST] {BIRD}".removeprefix("[INST] Describe. "),
        f"assistant\n{BIRD}",
        f"ASSISTANT: {BIRD} USER: What else?",
        f"Assistant: {BIRD}\nUser: What else?\nAssistant: Nothing.",
        f"### Response:\n{BIRD}",
        "A heron lands<loc_12><loc_90> on a wet branch.",
        "<ref>A heron</ref> lands on a wet branch.",
        f"```\n{BIRD}\n```",
        f"```text\n{BIRD}\n```\nLet me know if you need anything else!",
        f"# Caption\n\n{BIRD}",
        f"# {BIRD}",
        "A **heron** lands on a *wet branch*.",
        f"**Caption:** {BIRD}",
        f"Video description - {BIRD}",
        f'"{BIRD}"',
        f"Sure! {BIRD}",
        f"Sure! Here is a description of the video:\n\n{BIRD}",
        f"Okay, here's a one-sentence caption: “{BIRD}”",
        f"Here is a caption for the video. {BIRD}",
        f"Based on the frames provided, here's the description: {BIRD}",
        f"¡Claro! Aquí tienes una descripción del video: {BIRD}",
        f"Bien sûr ! Voici une légende : {BIRD}",
        f"Natürlich! Hier ist eine Beschreibung des Videos:\n{BIRD}\n\nIch hoffe, das hilft dir weiter!",
        f"Certo! Ecco una descrizione del video: {BIRD}",
        f"Claro! Aqui está a legenda: {BIRD} Espero que ajude!",
        f"Конечно! Вот описание видео: {BIRD}",
        f"好的，以下是视频的描述：{BIRD}",
        f"はい、こちらが動画の説明です：{BIRD}",
        f"물론입니다! 다음은 영상 설명입니다: {BIRD}",
        f"بالتأكيد! إليك وصف الفيديو: {BIRD}",
        f"ज़रूर! यहाँ वीडियो का विवरण है: {BIRD}",
        f"Tentu! Berikut deskripsi video: {BIRD}",
        f"Bai horixe, hona hemen bideoaren deskribapena:\n\n{BIRD}",  # Basque has no phrasebook: by structure
        f"{BIRD} Would you like a longer description?",
        f"GPT4 Correct Assistant: {BIRD}",
        f"User: Describe the clip.\nAssistant: {BIRD}",
        f"<|user|>Describe the clip.<|assistant|>{BIRD}",
        f"<s>[INST] <<SYS>> Be brief. <</SYS>> Describe the clip. [/INST] {BIRD}</s>",
        f"<｜Assistant｜>{BIRD}<｜end▁of▁sentence｜>",
        f"<unused94>thought\nA bird.<unused95>{BIRD}",
        f'<tool_call>{{"name": "look"}}</tool_call>{BIRD}',
        f"Reasoning:\n- a bird\n- a branch\n\nCaption: {BIRD}",
        f'{{"caption": "{BIRD}"}}',
        f'```json\n{{"caption": "{BIRD}"}}\n```',
        f"- {BIRD}",
        f"\\[ {BIRD} \\]",
        f"{BIRD} #heron #nature",
        f"Caption 1: {BIRD}\nCaption 2: A bird on a branch.",
        f"Of course! I'd be happy to describe the video. {BIRD}",
        f"{BIRD} (This caption was generated by an AI.)",
        f"{BIRD}\n\nNote: the description is based on the frames alone.",
    ],
)
def test_what_surrounds_a_caption_is_taken_off_and_is_no_caption_as_it_stands(raw: str) -> None:
    answer = read_answer(raw, ended=True)
    assert (answer.outcome, answer.text) == (Outcome.OK, BIRD)
    if raw.strip('"') != BIRD:
        assert classify(raw, ended=True)[0] is Outcome.DEGENERATE


@pytest.mark.parametrize(
    "raw",
    [
        "<think>The user wants a caption. I see",
        "◁think▷A bird",
        "<|channel|>analysis<|message|>A bird",
        "analysisThe user wants a bird",
        "Thinking...\nA bird",
    ],
)
def test_a_thought_without_an_answer_is_no_caption(raw: str) -> None:
    assert read_answer(raw, ended=True).outcome is Outcome.EMPTY
    assert read_answer(raw, ended=False).outcome is Outcome.TRUNCATED
    assert classify(raw, ended=True)[0] is not Outcome.OK


@pytest.mark.parametrize(
    "raw",
    [
        "The user wants a caption of the clip. I see a heron on a branch.",
        "Okay, let me look at the frames. There is a heron.",
        "让我先看一下这些画面。有一只鸟。",
        "A heron lands on a br�nch.",
        "A heron &lt;b&gt;lands&lt;/b&gt; on a branch.",
        "▁A▁heron▁lands▁on▁a▁branch.",
        '{"short": "A heron lands on a branch",',
    ],
)
def test_thinking_aloud_and_damage_are_no_captions(raw: str) -> None:
    assert classify(raw, ended=True)[0] is Outcome.DEGENERATE


LOOPS = {
    "word": "A dog runs runs runs runs over the grass.",
    "sentence": "A dog runs over grass. A cat sleeps. " * 4,
    "phrase": "A man walks and the man turns " + "and walks on and on to the door " * 6,
    "numbers": " ".join(f"Frame {n}: a dog stands on the grass." for n in range(1, 12)),
    "list": ", ".join(["a red ball"] * 12),
    "zh": "一只狗在草地上奔跑，" * 4,
    "zh short": "画面中有一个人，" + "他在走，" * 10,
    "zh character": "一只狗" + "跑" * 20,
    "ja": "犬が走っています。" * 4,
    "th": "สุนัขกำลังวิ่งบนสนามหญ้า" * 4,
    "ko": "개가 잔디 위를 달린다. " * 4,
    "ar": "يركض كلب بني فوق العشب. " * 4,
    "hi": "एक कुत्ता घास पर दौड़ रहा है। " * 4,
    "km": "ឆ្កែកំពុងរត់លើស្មៅ" * 4,
    "letters": "A dog runs " + "a" * 40,
    "pieces": "The man says " + "la-la " * 20,
    "long unit": DENSE * 3,
}


@pytest.mark.parametrize("name", LOOPS)
def test_a_loop_is_found_in_any_language_by_measure(name: str) -> None:
    outcome, detail = classify(LOOPS[name], ended=True)
    assert (outcome, detail[:7]) == (Outcome.DEGENERATE, "repeats")
    assert classify(LOOPS[name][:-3], ended=False)[0] is Outcome.DEGENERATE


@pytest.mark.parametrize(
    "text",
    [
        "A really, really, really big dog sleeps.",
        "A banner reads “GO GO GO GO GO GO GO GO GO” above the stands.",
        "他慢慢慢慢地走过去，推开了门。",
        "A train with 100000000 lights passes.",
        "The ball goes left, the ball goes right, the ball goes up and stays there.",
    ],
)
def test_emphasis_is_no_loop(text: str) -> None:
    assert classify(text, ended=True) == (Outcome.OK, "")


@pytest.mark.parametrize("raw", ["[" * 100_000, "." * 100_000 + BIRD, "- " * 50_000, "-=" * 50_000 + BIRD])
def test_a_long_run_of_signs_is_read_once(raw: str) -> None:
    """It took minutes when each sign was compared with all that follow."""
    assert read_answer(raw, ended=True).text in (None, BIRD)


class Tokenizer(SimpleNamespace):
    """What `Markup.of` looks at."""


def test_the_models_own_tokens_and_roles_are_taken_off() -> None:
    added = {
        0: SimpleNamespace(content="@@stop@@", special=True),
        1: SimpleNamespace(content="<unused94>", special=False),
        2: SimpleNamespace(content="heron", special=False),
        3: SimpleNamespace(content="\n\n", special=False),
    }
    template = "{% for m in messages %}@@turn@@{{ m.role }}{% endfor %}@@turn@@narrator\n"
    tokenizer = Tokenizer(
        all_special_tokens=["@@stop@@", "@@turn@@"], added_tokens_decoder=added, chat_template=template
    )
    markup = Markup.of(tokenizer)
    assert markup.tokens == {"@@stop@@", "@@turn@@", "<unused94>"}
    assert "narrator" in markup.roles
    raw = f"@@turn@@narrator\n{BIRD}@@stop@@"
    assert read_answer(raw, ended=True, markup=markup).text == BIRD
    assert classify(f"{BIRD}@@stop@@", ended=True, markup=markup)[0] is Outcome.DEGENERATE
    assert classify(f"{BIRD}@@stop@@", ended=True)[0] is Outcome.OK  # of another model, it is text


TEXTS = {"short": "A heron lands.", "medium": BIRD, "dense": f"{BIRD} It folds its grey wings."}


@pytest.mark.parametrize(
    "raw",
    [
        '{"short": "%(short)s", "medium": "%(medium)s", "dense": "%(dense)s"}',
        'Sure!\n```json\n{"short": "%(short)s",\n "medium": "%(medium)s",\n "dense": "%(dense)s"}\n```\nOk.',
        '<think>{"short": "no"}</think>{"Short caption": "%(short)s", "MEDIUM": "%(medium)s", '
        '"dense_caption": "%(dense)s"}',
        "Short: %(short)s\nMedium: %(medium)s\nDense: %(dense)s",
        "## Short\n%(short)s\n\n## Medium\n%(medium)s\n\n## Dense\n%(dense)s",
        "**Short:** %(short)s\n\n**Medium:** %(medium)s\n\n**Dense (100 words):** %(dense)s<|im_end|>",
        "1. Short caption: %(short)s\n2. Medium caption: %(medium)s\n3. Dense caption: %(dense)s",
    ],
)
def test_an_answer_of_several_lengths_is_split(raw: str) -> None:
    answer, texts = read_lengths(raw % TEXTS, ended=True, lengths=LENGTHS)
    assert (answer.outcome, answer.detail) == (Outcome.OK, "")
    assert texts == TEXTS


def test_what_no_file_can_hold_is_taken_off_also_where_json_spells_it() -> None:
    assert read_answer("\ufeffA heron\x00 lands on \ud83da wet branch.", ended=True).text == BIRD
    raw = '{"short": "A bird \\ud83dlands.", "dense": "A \\u0000bird \\ud83d\\udc26 lands."}'
    _, texts = read_lengths(raw, ended=True, lengths=LENGTHS)
    assert texts == {"short": "A bird lands.", "dense": "A bird 🐦 lands."}
    assert read_answer('{"caption": "A heron lands on a wet branch.\\udc26"}', ended=True).text == BIRD


def test_a_length_that_is_missing_is_named_and_one_that_is_no_caption_decides() -> None:
    answer, texts = read_lengths(
        '{"short": "A bird.", "dense": "A bird lands."}', ended=True, lengths=LENGTHS
    )
    assert (answer.detail, texts) == (
        "the answer has no medium",
        {"short": "A bird.", "dense": "A bird lands."},
    )
    raw = '{"short": "A bird.", "dense": "I am sorry, I cannot describe the video."}'
    answer, texts = read_lengths(raw, ended=True, lengths=LENGTHS)
    assert (answer.outcome, answer.detail[:6], texts) == (Outcome.REFUSED, "dense:", {})
    answer, _ = read_lengths("I'm sorry, I can't help with that.", ended=True, lengths=LENGTHS)
    assert answer.outcome is Outcome.REFUSED
    nested = '{"short":' + "[" * 50_000 + "]" * 50_000 + "}"
    assert read_lengths(nested, ended=True, lengths=LENGTHS)[0].outcome is Outcome.DEGENERATE
    answer, _ = read_lengths(BIRD, ended=True, lengths=LENGTHS)
    assert (answer.outcome, "headed short, medium, dense" in answer.detail) == (Outcome.DEGENERATE, True)
    answer, _ = read_lengths('{"short": "A bird.", "dense": "A bi', ended=False, lengths=LENGTHS)
    assert answer.outcome is Outcome.TRUNCATED


def test_text_is_compared_without_case_accents_and_invisible_characters() -> None:
    assert normalize("DÉSOLÉ, “ça”") == 'desole, "ca"'
    assert normalize("نمی‌توانم") == "نمیتوانم"
