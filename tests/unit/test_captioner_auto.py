"""Flat worlds get the embedded model, everything else `facts`, and the row says why."""

from collections.abc import Sequence

import cv2
import numpy as np
import pytest

from captioner.auto import AutoCaptioner
from captioner.domain import flat_stats, is_simulated_world
from captioner.prompts import Prompt
from captioner.protocol import CaptionAnswer, CaptionRequest, Provenance
from manifests.records import Outcome
from worlds.shapes.draw import render
from worlds.shapes.family import sample_world

ASKED, OWN = Prompt(name="dense", text="Describe it."), Prompt(name="worlds_dense", text="dense")


class Canned:
    """Answers everything with one confidence and outcome, and remembers which prompts it saw."""

    def __init__(self, name: str, confidence: float | None = None, outcome: Outcome = Outcome.OK) -> None:
        self.name, self.confidence, self.outcome, self.seen = name, confidence, outcome, []

    def caption(self, requests: Sequence[CaptionRequest]) -> list[CaptionAnswer]:
        self.seen += [r.prompt.name for r in requests]
        return [
            CaptionAnswer(
                clip_id=r.clip_id,
                prompt_digest=r.prompt.digest,
                outcome=self.outcome,
                text=self.name,
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


def world(seed: int) -> np.ndarray:
    return render(sample_world(seed, width=160, height=90, fps=8.0, num_frames=6))


def test_worlds_look_like_worlds_and_photographs_do_not() -> None:
    noise = np.random.default_rng(0)
    for seed in range(12):
        rough = np.clip(world(seed) + noise.normal(0, 4, (6, 90, 160, 3)), 0, 255).astype(np.uint8)
        assert is_simulated_world(rough)[0], is_simulated_world(rough)[1]
        assert flat_stats(photo_like(seed)[0]).flat_share < 0.8


@pytest.mark.parametrize("text", ["", "The End", "a film by nobody"])
def test_title_cards_and_plain_frames_are_flat_but_no_worlds(text: str) -> None:
    card = np.full((3, 180, 320, 3), 10, np.uint8)
    for frame_HWC in card:
        cv2.putText(frame_HWC, text, (40, 100), 0, 1.2, (250, 250, 250), 3)
    assert flat_stats(card[0]).flat_share > 0.95
    assert not is_simulated_world(card)[0]


def test_each_clip_gets_its_captioner_and_keeps_its_prompt() -> None:
    embedded, facts = Canned("embedded", confidence=0.97), Canned("facts")
    auto = AutoCaptioner(embedded, facts, {ASKED.digest: OWN})
    answers = {a.clip_id: a for a in auto.caption([ask(world(1), "world"), ask(photo_like(1), "photo")])}
    assert answers["world"].provenance.captioner == "embedded"
    assert answers["photo"].provenance.captioner == "facts"
    assert {a.prompt_digest for a in answers.values()} == {ASKED.digest}
    assert (embedded.seen, facts.seen) == (["worlds_dense"], ["dense"])
    assert "three colours cover" in answers["photo"].detail


@pytest.mark.parametrize(
    "embedded", [Canned("embedded", confidence=0.3), Canned("embedded", 0.99, Outcome.TRUNCATED)]
)
def test_an_answer_of_low_confidence_falls_back_to_facts(embedded: Canned) -> None:
    [answer] = AutoCaptioner(embedded, Canned("facts"), {ASKED.digest: OWN}).caption([ask(world(2), "a")])
    assert answer.provenance.captioner == "facts"
    assert "was rejected" in answer.detail
