"""Scores of caption versions, their comparison, and AutoDQ with a scripted judge."""

import json
import re

import pytest
import worlds_dataset as made

from captioner.claims.autodq import score_descriptions
from kinora.captions.score import f1
from kinora.cli.main import main
from worlds import families

COUNT = 24


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> made.WorldsDataset:
    found = made.write_dataset(tmp_path_factory.mktemp("score"), COUNT, version="right")
    made.write_captions(found, [families.short_caption(world, 0) for world in found.worlds], "brief")
    texts = made.dense_captions(found.worlds)
    texts[0] = re.sub(r"\b(red|orange|yellow|green|cyan|blue|purple|pink)\b", "violet", texts[0])
    made.write_captions(found, made.swapped_in_batch(texts, first=8, size=4), "wrong")
    return found


def score(dataset: made.WorldsDataset, capsys, *arguments: str) -> dict:
    command = [
        "captions",
        "score",
        *arguments,
        "--dataset",
        dataset.uri,
        "--truth",
        str(dataset.truth),
        "--json",
    ]
    assert main(command) == 0
    return json.loads(capsys.readouterr().out)


def test_right_captions_have_f1_1_in_every_family(dataset, capsys):
    found = score(dataset, capsys, "right")["versions"]["right"]
    assert found["claim_f1"] == 1.0
    assert found["unsupported_rate"] == 0.0
    assert {*found["families"]} == {*families.FAMILIES}
    assert found["outcomes"] == {"ok": COUNT}
    assert found["repeating"] == 0.0
    assert 60 <= found["words_50"] <= 135


def test_short_captions_are_precise_and_incomplete(dataset, capsys):
    found = score(dataset, capsys, "brief")["versions"]["brief"]
    assert found["claim_precision"] == 1.0
    assert found["claim_recall"] < 0.95


def test_two_versions_are_compared_on_the_same_clips(dataset, capsys):
    found = score(dataset, capsys, "right", "wrong", "--n", "6")
    by_measure = {each["measure"]: each for each in found["differences"]}
    difference = by_measure["claim_f1"]
    low, high = difference["interval"]
    assert low <= difference["difference"] <= high < 0
    places = [dataset.media_ids.index(each["media_id"]) for each in found["examples"]]
    assert len(places) == 6
    assert {*range(8, 12)} <= {*places}
    assert found["examples"][0]["first"] > found["examples"][0]["second"]


def test_the_printed_table_names_what_is_unsupported(dataset, capsys):
    command = ["captions", "score", "right", "wrong", "--dataset", dataset.uri, "--truth", str(dataset.truth)]
    assert main(command) == 0
    printed = capsys.readouterr().out
    assert "claim f1, worlds" in printed
    assert "wrong minus right" in printed


def test_unknown_versions_are_named(dataset, capsys):
    assert main(["captions", "score", "none", "--dataset", dataset.uri]) == 2
    assert "there are brief, right, wrong" in capsys.readouterr().err


def test_f1_of_nothing_is_0():
    assert f1(0, 0, 5) == 0.0
    assert f1(2, 4, 2) == pytest.approx(2 * 0.5 * 1 / 1.5)


def judge(prompts):
    """Lists sentences as events; an event is entailed if the description has it word for word."""
    answers = []
    for prompt in prompts:
        if "Events:" not in prompt:
            sentences = [
                part.strip() for part in prompt.split("Description:\n")[1].split(".") if part.strip()
            ]
            answers.append(f"```json\n{json.dumps(sentences)}\n```")
        else:
            text, events = prompt.split("Description:\n")[1].split("\n\nEvents:\n")
            listed = re.findall(r"^\d+\. (.+)$", events, re.MULTILINE)
            answers.append(json.dumps(["entailment" if event in text else "neutral" for event in listed]))
    return answers


def test_autodq_counts_entailed_events_both_ways():
    found = score_descriptions(
        ["A dog runs. A cat sleeps.", "A bird sings."], ["A dog runs.", "A bird sings. It flies."], judge
    )
    assert found.n == 2
    assert found.precision == pytest.approx((1 / 2 + 1) / 2)
    assert found.recall == pytest.approx((1 + 1 / 2) / 2)
    assert found.f1 == pytest.approx(0.75)


def test_autodq_leaves_out_what_the_judge_garbled():
    def garbled(prompts):
        answers = judge(prompts)
        return [
            None if "GARBLE" in prompt else answer for prompt, answer in zip(prompts, answers, strict=True)
        ]

    found = score_descriptions(["GARBLE it.", "A bird sings."], ["A dog runs.", "A bird sings."], garbled)
    assert (found.n, found.unreadable) == (1, 1)
    assert found.scores[0].problem
    assert found.f1 == 1.0
    short = score_descriptions(
        ["A dog runs."], ["A dog runs."], lambda prompts: ['["entailment", 3]' for _ in prompts]
    )
    assert short.unreadable == 1
    assert short.precision is None


def test_autodq_of_an_empty_description():
    found = score_descriptions(
        [""],
        ["A dog runs."],
        lambda prompts: [
            "[]" if "empty" in p and "Events" not in p else a
            for p, a in zip(prompts, judge(prompts), strict=True)
        ],
    )
    assert found.precision is None
    assert found.recall == 0.0
