"""Claims of captions: splitting, checking by measurement and by a model, and deleting."""

import re
from collections.abc import Sequence
from dataclasses import replace
from random import Random

import cv2
import numpy as np
import pytest

from captioner.captions import ClipFrames
from captioner.claims.check import check_measured
from captioner.claims.claim import CheckedClaim, ClaimTally, ClaimVerdict, merge_verdicts, tally
from captioner.claims.measures import COLORS, MIN_SHARE, measure_clip, terms_of
from captioner.claims.questions import MAX_CLAIMS, ask_about_claims, read_verdicts, stratified_sample
from captioner.claims.refine import refine
from captioner.claims.split import split_claims, split_sentences
from captioner.protocol import CaptionAnswer, CaptionRequest, Provenance
from manifests.records import Outcome

DOG = (
    "A golden retriever runs across a grassy field toward two children in blue shirts. The dog is brown. "
    'A white house with a sign that reads "FOR SALE. CALL NOW" stands beside tall trees. The camera pans '
    "slowly to the left, while a drone hovers above. There are no clouds in the sky."
)
SUPPORTED, CONTRADICTED, UNSEEN = ClaimVerdict.SUPPORTED, ClaimVerdict.CONTRADICTED, ClaimVerdict.UNSEEN


def found(text: str) -> set[tuple[str, str, str]]:
    return {(claim.kind, claim.subject, claim.value) for claim in split_claims(text)}


def test_a_caption_gives_claims_of_every_kind():
    assert found(DOG) >= {
        ("subject", "retriever", "retriever"),
        ("attribute", "retriever", "golden"),
        ("action", "retriever", "run"),
        ("count", "children", "2"),
        ("attribute", "shirts", "blue"),
        ("relation", "children", "in shirts"),
        ("attribute", "dog", "brown"),
        ("text", "text", "FOR SALE. CALL NOW"),
        ("camera", "", "the camera pans slowly to the left"),
        ("action", "drone", "hover"),
        ("attribute", "trees", "tall"),
    }


def test_what_is_denied_is_no_claim():
    assert not {value for _, subject, value in found(DOG) if subject == "clouds" or value == "clouds"}


def test_claims_say_where_they_stand():
    for claim in split_claims(DOG):
        part = DOG[claim.start : claim.end].lower()
        assert claim.kind == "camera" or claim.value.split()[0][:3].lower() in part or claim.kind == "count"
        (inside,) = [each for each in split_sentences(DOG) if each.start <= claim.start < each.end]
        assert claim.end <= inside.end


@pytest.mark.parametrize("text", ["", "...", "名前はまだ無い。", "<b>x</b> & ;'--", "a" * 100_000, '"' * 999])
def test_strange_texts_are_split_without_an_error(text):
    assert all(0 <= claim.start < claim.end <= len(text) for claim in split_claims(text))


def test_a_full_stop_in_a_quotation_ends_no_sentence():
    assert [each.text for each in split_sentences('It reads "No. Go." in red. Next!')] == [
        'It reads "No. Go." in red.',
        "Next!",
    ]


def clip(color=(200, 30, 30), step=0, frames=9, size=96, things=1, ground=(8, 8, 8)) -> np.ndarray:
    """Return frames_THWC of a square that moves `step` pixels a frame to the right."""
    frames_THWC = np.full((frames, size, size, 3), ground, np.uint8)
    for index in range(frames):
        left = 10 + step * index
        frames_THWC[index, 30:60, left : left + 30] = color
    return frames_THWC


def verdicts(text: str, frames_THWC: np.ndarray, read=None) -> dict[str, ClaimVerdict | None]:
    times = [index / 8 for index in range(len(frames_THWC))]
    checked = check_measured(split_claims(text), measure_clip(frames_THWC, times), read)
    return {each.claim.text: each.verdict for each in checked}


def test_colors_are_checked_against_the_pixels():
    checked = verdicts("A red square stands on a black floor beside a green cube.", clip())
    assert checked["red square"] is SUPPORTED
    assert checked["black floor"] is SUPPORTED
    assert checked["green cube"] is UNSEEN
    assert checked["square"] is None


def test_a_small_thing_of_a_color_counts():
    side = int(np.ceil((MIN_SHARE * 96 * 96) ** 0.5)) + 2
    frames_THWC = np.zeros((1, 96, 96, 3), np.uint8)
    frames_THWC[:, 20 : 20 + side, 20 : 20 + side] = COLORS["yellow"][0]
    assert verdicts("A yellow dot.", frames_THWC)["yellow dot"] is SUPPORTED


def test_motion_and_camera_are_checked():
    moving = clip(step=4)
    assert verdicts("The square moves to the right.", moving) == {
        "square": None,
        "square moves to the right": SUPPORTED,
    }
    assert verdicts("The square moves to the left.", moving)["square moves to the left"] is CONTRADICTED
    assert verdicts("The square moves to the left.", clip())["square moves to the left"] is UNSEEN
    rng = np.random.default_rng(0)
    wide = cv2.resize(rng.integers(0, 255, (8, 16, 3), np.uint8), (192, 96), interpolation=cv2.INTER_CUBIC)
    panned = np.stack([wide[:, 4 * index : 4 * index + 96] for index in range(9)])
    assert verdicts("The camera pans to the right.", panned)["The camera pans to the right"] is SUPPORTED
    assert verdicts("The camera pans to the left.", panned)["The camera pans to the left"] is CONTRADICTED
    assert verdicts("The camera is fixed.", panned)["The camera is fixed"] is CONTRADICTED
    assert verdicts("The camera is fixed.", clip())["The camera is fixed"] is SUPPORTED


def test_quotations_are_read_once_and_only_if_there_are_some():
    calls: list[int] = []

    def read() -> list[str]:
        calls.append(1)
        return ["F0R SALE", "call now"]

    checked = verdicts('A sign reads "For sale" and "Call now" and "Closed".', clip(), read)
    assert checked['the text "For sale"'] is SUPPORTED
    assert checked['the text "Call now"'] is SUPPORTED
    assert checked['the text "Closed"'] is UNSEEN
    verdicts("A red square.", clip(), read)
    assert len(calls) == 1


def test_terms_that_are_denied_do_not_count():
    assert terms_of("no red car, and a blue one") == {"blue"}
    assert "camera still" in terms_of("The camera does not move.")


class ScriptedModel:
    """Answers each statement as told, by its words."""

    def __init__(self, answers: dict[str, str]) -> None:
        self.answers, self.prompts = answers, list[str]()

    def caption(self, requests: Sequence[CaptionRequest]) -> list[CaptionAnswer]:
        self.prompts += [request.prompt.text for request in requests]
        return [self._answer(request) for request in requests]

    def _answer(self, request: CaptionRequest) -> CaptionAnswer:
        lines = re.findall(r"^(\d+)\. (.+)$", request.prompt.text, re.MULTILINE)
        raw = "\n".join(f"{n}. {self.answers[text]}" for n, text in lines if text in self.answers)
        return CaptionAnswer(
            clip_id=request.clip_id,
            prompt_digest=request.prompt.digest,
            outcome=Outcome.OK,
            text=raw,
            raw=raw,
            frames_shown=(0,),
            provenance=Provenance(captioner="vlm", model="m", revision="r", decoding="{}"),
        )


def frames_of(name: str) -> ClipFrames:
    frames_THWC = clip()
    times = tuple(index / 8 for index in range(len(frames_THWC)))
    return ClipFrames(clip_id=name, media_id=name, frames_THWC=frames_THWC, times_s=times)


def test_a_model_answers_about_the_claims_of_several_clips():
    texts = {"a": "A red square. A cat.", "b": "A dog."}
    claims = {name: split_claims(text) for name, text in texts.items()}
    model = ScriptedModel({"square": "yes", "red square": "Yes, it is.", "cat": "no", "dog": "Cannot tell."})
    checked = ask_about_claims(model, [frames_of("a"), frames_of("b")], claims)
    assert [each.verdict for each in checked["a"]] == [SUPPORTED, SUPPORTED, CONTRADICTED]
    assert [each.verdict for each in checked["b"]] == [UNSEEN]


def test_many_claims_take_several_prompts():
    claims = split_claims(" ".join(f"A red thing{letter}." for letter in "abcdefghijklmnopqrstuvw"))
    model = ScriptedModel({each.text: "yes" for each in claims})
    checked = ask_about_claims(model, [frames_of("a")], {"a": claims})
    assert len(claims) > MAX_CLAIMS
    assert len(model.prompts) == 2
    assert {each.verdict for each in checked["a"]} == {SUPPORTED}


def test_answers_that_are_missing_strange_or_double_give_no_verdict():
    answer = "Sure!\n1) yes\n2: No.\n3. maybe\n4. yes\n4. no\n<b>5. yes</b>\n9. no\n**6.** Can't tell"
    assert read_verdicts(answer, 6) == [SUPPORTED, CONTRADICTED, None, None, SUPPORTED, UNSEEN]
    assert read_verdicts("yes " * 30_000, 2) == [None, None]


def test_samples_take_as_many_of_each_stratum_on_every_machine():
    strata = {f"clip-{number}": "many" if number % 10 == 0 else "clean" for number in range(100)}
    chosen = stratified_sample(strata, 5)
    assert [strata[name] for name in chosen].count("many") == 5
    assert len(chosen) == 10
    assert chosen == stratified_sample(dict(reversed(strata.items())), 5)


def test_a_tally_rates_what_was_checked_alone():
    checked = [
        CheckedClaim(claim=claim, verdict=verdict)
        for claim, verdict in zip(
            split_claims("A red car, a cat and a dog."), [SUPPORTED, UNSEEN, None, CONTRADICTED], strict=True
        )
    ]
    assert tally(checked) == ClaimTally(supported=1, contradicted=1, unseen=1, unchecked=1)
    assert tally(checked).unsupported_rate == 2 / 3
    assert tally([]).unsupported_rate is None
    silent = [replace(each, verdict=None) for each in checked]
    assert merge_verdicts(silent, checked) == [checked[0], checked[1], silent[2], checked[3]]
    assert merge_verdicts(checked, silent) == checked


def test_refining_deletes_adjectives_and_sentences():
    text = "A red car waits. A green bird sings. The red car is old, and the big red car shines."
    checked = [
        CheckedClaim(
            claim=claim,
            verdict=CONTRADICTED if claim.value == "red" or claim.subject == "bird" else SUPPORTED,
        )
        for claim in split_claims(text)
    ]
    assert refine(text, checked) == "A car waits. The car is old, and the big car shines."
    assert refine(text, [replace(each, verdict=SUPPORTED) for each in checked]) == text
    assert refine(text, [replace(each, verdict=UNSEEN) for each in checked]) == ""


def test_an_article_fits_the_word_that_follows():
    text = "An orange car and a red owl."
    checked = [
        CheckedClaim(claim=claim, verdict=UNSEEN if claim.value in ("orange", "red") else SUPPORTED)
        for claim in split_claims(text)
    ]
    assert refine(text, checked) == "A car and an owl."


def test_refining_never_adds_a_word():
    rng = Random(0)
    for _ in range(300):
        claims = split_claims(DOG)
        checked = [
            CheckedClaim(claim=each, verdict=rng.choice([SUPPORTED, UNSEEN, CONTRADICTED, None]))
            for each in claims
        ]
        refined = refine(DOG, checked)
        old, new = re.findall(r"\w+", DOG.lower()), re.findall(r"\w+", refined.lower())
        rest = iter([word for word in old if word not in ("a", "an")])
        assert all(word in rest for word in new if word not in ("a", "an"))  # a subsequence
        kept = {(each.kind, each.value) for each in split_claims(refined) if each.kind in ("count", "text")}
        assert kept <= {(each.kind, each.value) for each in claims}
