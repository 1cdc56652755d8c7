"""Flat worlds get the embedded model where it says what shows, everything else `facts`, with the reason."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import cv2
import numpy as np
import pytest

from captioner.auto import AutoCaptioner
from captioner.captions import ClipFrames, caption_clips
from captioner.domain import (
    GROUNDS,
    THINGS,
    ShownColors,
    color_mismatch,
    is_simulated_world,
    shown_colors,
    world_stats,
)
from captioner.prompts import Prompt
from captioner.protocol import CaptionAnswer, CaptionRequest, Provenance
from kinora.training.caption_score import encode_and_decode
from manifests.records import Outcome
from worlds import families, palette
from worlds.shapes.captions import dense_caption, short_caption
from worlds.shapes.draw import render
from worlds.shapes.family import sample_world

ASKED, OWN = Prompt(name="dense", text="Describe it."), Prompt(name="worlds_dense", text="dense")


class Canned:
    """Answers everything with one confidence and outcome, and remembers which prompts it saw.

    Its text is its name, or that of the prompt and clip where there is one.
    """

    def __init__(
        self,
        name: str,
        confidence: float | None = None,
        outcome: Outcome = Outcome.OK,
        texts: Mapping[tuple[str, str], str] | None = None,
    ) -> None:
        self.name, self.confidence, self.outcome = name, confidence, outcome
        self.texts, self.seen = texts or {}, []

    def caption(self, requests: Sequence[CaptionRequest]) -> list[CaptionAnswer]:
        self.seen += [r.prompt.name for r in requests]
        return [
            CaptionAnswer(
                clip_id=r.clip_id,
                prompt_digest=r.prompt.digest,
                outcome=self.outcome,
                text=self.texts.get((r.prompt.name, r.clip_id), self.name),
                raw=self.name,
                frames_shown=(0,),
                provenance=Provenance(captioner=self.name, model="", revision="", decoding="{}"),
                confidence=self.confidence,
            )
            for r in requests
        ]


def photo_like(seed: int) -> np.ndarray:
    """Frames with the soft shading of a photograph, and no flat colour."""
    coarse = np.random.default_rng(seed).integers(0, 255, (9, 16, 3), dtype=np.uint8)
    return np.stack([cv2.resize(coarse, (160, 90), interpolation=cv2.INTER_CUBIC)] * 3)


def ask(frames_THWC: np.ndarray, clip_id: str) -> CaptionRequest:
    times = tuple(k / 8 for k in range(len(frames_THWC)))
    return CaptionRequest(
        clip_id=clip_id, media_id=f"m-{clip_id}", frames_THWC=frames_THWC, times_s=times, prompt=ASKED
    )


def shown_of(*names: str) -> ShownColors:
    return ShownColors(patches=frozenset(names), glimpsed=frozenset(names))


def world(seed: int) -> np.ndarray:
    return render(sample_world(seed, width=160, height=90, fps=8.0, num_frames=6))


def test_worlds_look_like_worlds_and_photographs_do_not() -> None:
    noise = np.random.default_rng(0)
    for seed in range(12):
        rough = np.clip(world(seed) + noise.normal(0, 4, (6, 90, 160, 3)), 0, 255).astype(np.uint8)
        assert is_simulated_world(rough)[0], is_simulated_world(rough)[1]
        assert not is_simulated_world(photo_like(seed))[0]
        assert world_stats(photo_like(seed)[0]).palette_share < 0.5


def test_the_palette_is_that_of_the_worlds() -> None:
    assert (THINGS, GROUNDS) == (palette.COLORS, palette.BACKGROUNDS)


@pytest.mark.parametrize("family", families.FAMILIES)
@pytest.mark.parametrize("size", [(64, 64), (160, 90), (90, 160)])
def test_worlds_of_every_family_look_like_worlds(family: str, size: tuple[int, int]) -> None:
    width, height = size
    for seed in range(2):
        drawn = families.sample(family, seed, width=width, height=height, fps=8.0, num_frames=24)
        frames_THWC = encode_and_decode(families.render(drawn), 8.0, "clip", crf=28).frames_THWC
        found, reason = is_simulated_world(frames_THWC[[0, len(frames_THWC) // 2, -1]])
        assert found, reason


def test_a_pale_sky_over_grass_is_no_room() -> None:
    sky_HWC = np.full((20, 160, 3), (213, 222, 228), np.uint8)
    grass_HWC = np.random.default_rng(0).integers((40, 90, 30), (90, 150, 70), (70, 160, 3)).astype(np.uint8)
    frame_HWC = np.concatenate([sky_HWC, grass_HWC])
    assert not is_simulated_world(frame_HWC[None])[0]


@pytest.mark.parametrize("text", ["", "The End", "a film by nobody"])
def test_title_cards_and_plain_frames_are_flat_but_no_worlds(text: str) -> None:
    card = np.full((3, 180, 320, 3), 10, np.uint8)
    for frame_HWC in card:
        cv2.putText(frame_HWC, text, (40, 100), 0, 1.2, (250, 250, 250), 3)
    assert world_stats(card[0]).palette_share > 0.9
    assert not is_simulated_world(card)[0]


def test_each_clip_gets_its_captioner_and_keeps_its_prompt() -> None:
    truth = dense_caption(sample_world(1, width=160, height=90, fps=8.0, num_frames=6), 0)
    embedded = Canned("embedded", confidence=0.97, texts={("worlds_dense", "world"): truth})
    facts = Canned("facts")
    auto = AutoCaptioner(embedded, facts, {ASKED.digest: OWN})
    answers = {a.clip_id: a for a in auto.caption([ask(world(1), "world"), ask(photo_like(1), "photo")])}
    assert answers["world"].provenance.captioner == "embedded"
    assert answers["photo"].provenance.captioner == "facts"
    assert {a.prompt_digest for a in answers.values()} == {ASKED.digest}
    assert (embedded.seen, facts.seen) == (["worlds_dense"], ["dense"])
    assert "flat colours of worlds cover" in answers["photo"].detail


@pytest.mark.parametrize(
    ("embedded", "reason"),
    [
        (Canned("embedded", confidence=0.3), "confidence 0.30"),
        (Canned("embedded"), "no confidence"),
        (Canned("embedded", 0.99, Outcome.TRUNCATED), "truncated"),
        (Canned("embedded", 0.99), "leaves out"),
    ],
)
def test_an_answer_that_is_not_sure_or_not_seen_falls_back_to_facts(embedded: Canned, reason: str) -> None:
    [answer] = AutoCaptioner(embedded, Canned("facts"), {ASKED.digest: OWN}).caption([ask(world(2), "a")])
    assert answer.provenance.captioner == "facts"
    assert f"the embedded model's answer was rejected ({reason}" in answer.detail


@pytest.mark.parametrize("family", families.FAMILIES)
def test_true_captions_name_the_colors_that_show_and_those_of_another_world_do_not(family: str) -> None:
    size = {"width": 128, "height": 128, "fps": 8.0, "num_frames": 16}
    drawn = [families.sample(family, 40 + seed, **size) for seed in range(12)]
    shown = [shown_colors(families.render(each)) for each in drawn]
    texts = [families.dense_caption(each, number) for number, each in enumerate(drawn)]
    assert [color_mismatch(text, colors) for text, colors in zip(texts, shown, strict=True)] == [""] * 12
    foreign = [color_mismatch(text, colors) for text, colors in zip(texts[1:], shown, strict=False)]
    assert sum(bool(reason) for reason in foreign) >= 9


def test_a_mismatch_says_what_is_left_out_and_what_is_not_there() -> None:
    shown = shown_of("white", "gray", "red")
    assert color_mismatch("A red star passes a grey wall on a white background.", shown) == ""
    wrong = color_mismatch("A pink star over a white background.", shown)
    assert wrong == "leaves out gray, red and names unseen pink"


def test_a_short_answer_about_a_game_need_not_name_all_that_shows() -> None:
    drawn = families.sample("grid", 5, width=96, height=96, fps=8.0, num_frames=24)
    request = ask(families.render(drawn), "game")
    short = replace(request, prompt=Prompt(name="short", text="In short."))
    dense_text, short_text = families.dense_caption(drawn, 0), families.short_caption(drawn, 0)
    shown = shown_colors(request.frames_THWC)
    assert color_mismatch(short_text, shown).startswith("leaves out")
    assert color_mismatch(short_text, shown, whole=False) == ""
    texts = {("worlds_dense", "game"): dense_text, ("worlds_short", "game"): short_text}
    prompts = {ASKED.digest: OWN, short.prompt.digest: Prompt(name="worlds_short", text="short")}
    auto = AutoCaptioner(Canned("embedded", confidence=0.97, texts=texts), Canned("facts"), prompts)
    assert {answer.text for answer in auto.caption([request, short])} == {dense_text, short_text}
    wrong = Canned("embedded", confidence=0.97, texts=texts | {("worlds_short", "game"): "a zany pink pig"})
    answers = AutoCaptioner(wrong, Canned("facts"), prompts).caption([request, short])
    assert {answer.provenance.captioner for answer in answers} == {"facts"}


def test_sky_and_brushes_need_no_word_and_small_things_no_patch() -> None:
    shown = shown_of("white", "brown", "red")
    assert color_mismatch("A red box on a floor of brown tiles.", shown) == ""
    assert color_mismatch("A red star over a brown background.", shown) == "leaves out white"
    assert color_mismatch("A blue box on brown tiles.", shown) == "leaves out red and names unseen blue"
    small = ShownColors(patches=shown.patches, glimpsed=shown.patches | {"pink"})
    assert color_mismatch("An arrow opens the red box and the pink door on a brown floor.", small) == ""
    assert color_mismatch("A pink and a red star over a brown and white wall.", small) == "names unseen pink"


def test_the_texts_of_a_clip_are_of_one_captioner() -> None:
    drawn = sample_world(3, width=160, height=90, fps=8.0, num_frames=6)
    right = {("worlds_dense", clip): dense_caption(drawn, 0) for clip in ("a", "b")}
    right[("worlds_short", "a")] = short_caption(drawn, 0)
    short, own_short = Prompt(name="short", text="In short?"), Prompt(name="worlds_short", text="short")
    auto = AutoCaptioner(
        Canned("embedded", 0.9, texts=right), Canned("facts"), {ASKED.digest: OWN, short.digest: own_short}
    )
    frames_THWC = render(drawn)
    times = tuple(k / 8 for k in range(len(frames_THWC)))
    clips = [
        ClipFrames(clip_id=name, media_id=f"m-{name}", frames_THWC=frames_THWC, times_s=times)
        for name in ("a", "b")
    ]
    first, second = caption_clips(auto, clips, dense=ASKED, short=short)
    assert (first.captioner, first.text) == ("embedded", dense_caption(drawn, 0))
    assert (second.captioner, second.text, second.short) == ("facts", "facts", "facts")
