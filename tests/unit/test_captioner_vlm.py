"""The transformers captioner runs real model classes, built here with random weights: no hub, no network."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_captioner import TINY
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    CLIPImageProcessor,
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
    Qwen2VLForConditionalGeneration,
)

from captioner.captions import ClipFrames, caption_clips
from captioner.choices import YES_NO, chance_of_yes
from captioner.config import VlmConfig
from captioner.prompts import Prompt
from captioner.protocol import CaptionRequest
from captioner.train.build import build_model, build_processor, build_tokenizer, save_pretrained
from captioner.vlm import TransformersCaptioner
from manifests.records import Outcome

WORDS = "a red circle moves left over the gray background."
PROMPT = Prompt(name="short", text="red circle")


def request(clip_id: str, *, frames: int = 6, size: tuple[int, int] = (40, 64), fps: float = 8.0):
    pixels = np.random.default_rng(len(clip_id)).integers(0, 255, (frames, *size, 3), dtype=np.uint8)
    times = tuple(k / fps for k in range(frames))
    return CaptionRequest(
        clip_id=clip_id, media_id=f"m-{clip_id}", frames_THWC=pixels, times_s=times, prompt=PROMPT
    )


@pytest.fixture(scope="module")
def qwen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Qwen2-VL: its processor takes videos, and it has a chat template."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("qwen")
    size = replace(TINY, frames=4, pixels=(1600, 1600), vision_width=24)
    tokenizer = build_tokenizer([WORDS])
    save_pretrained(build_model(tokenizer, size), build_processor(tokenizer, size), folder)
    return folder


@pytest.fixture(scope="module")
def llava(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A LLaVA: its processor takes images only, and it has no chat template."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("llava")
    special = ["<pad>", "<unk>", "</s>", "<image>"]
    words = {word: i for i, word in enumerate([*special, *WORDS.rstrip(".").split(), "."])}
    core = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core, pad_token="<pad>", unk_token="<unk>", eos_token="</s>"
    )
    tokenizer.add_special_tokens({"additional_special_tokens": ["<image>"]})
    vision = CLIPVisionConfig(
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=32,
        patch_size=16,
    )
    text = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
    )
    text.pad_token_id, text.bos_token_id, text.eos_token_id = 0, None, 2
    config = LlavaConfig(vision_config=vision, text_config=text, image_token_id=words["<image>"])  # pyright: ignore[reportCallIssue]
    LlavaForConditionalGeneration(config).save_pretrained(folder)
    pixels = CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    LlavaProcessor(
        image_processor=pixels,
        tokenizer=tokenizer,
        patch_size=16,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
    ).save_pretrained(folder)
    return folder


def test_a_video_model_sees_a_video_and_a_llava_several_images(qwen: Path, llava: Path) -> None:
    for folder, video in ((qwen, True), (llava, False)):
        captioner = TransformersCaptioner(VlmConfig(model=str(folder), frames=3, max_new_tokens=5))
        asked = [request(f"clip-{i}", frames=3 + i) for i in range(3)]
        assert captioner.shows_video is video
        inputs = captioner._inputs(asked, [(0, 1, 2)] * 3)
        assert ("pixel_values_videos" in inputs) is video
        answers = captioner.caption(asked)
        assert {a.clip_id for a in answers} == {"clip-0", "clip-1", "clip-2"}
        assert all(len(a.frames_shown) == 3 for a in answers)
        assert all(a.outcome is not Outcome.ERROR for a in answers), [a.detail for a in answers]


def test_a_batch_answers_like_one_at_a_time(qwen: Path, llava: Path) -> None:
    for folder in (qwen, llava):
        asked = [request(f"clip{'-' * i}", size=(40, 40 + 24 * i)) for i in range(3)]
        raw = {}
        for size in (1, 3):
            config = VlmConfig(
                model=str(folder), frames=4, max_new_tokens=6, batch_size=size, dtype="float32"
            )
            raw[size] = {a.clip_id: a.raw for a in TransformersCaptioner(config).caption(asked)}
        assert raw[1] == raw[3]


def test_all_lengths_and_the_parts_are_answered_from_one_reading(
    qwen: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    captioner = TransformersCaptioner(VlmConfig(model=str(qwen), max_new_tokens=3, dtype="float32"))
    assert captioner.shares_reading
    read, batches = captioner._read, list[int]()

    def count(batch, indices):
        batches.append(len(batch))
        return read(batch, indices)

    monkeypatch.setattr(captioner, "_read", count)
    texts = {"dense": "a red circle moves", "short": "gray background", "medium": "moves left"}
    prompts: dict[str, Any] = {name: Prompt(name=name, text=text) for name, text in texts.items()}
    prompts["parts"] = Prompt(name="parts", text="over the gray background", asks_parts=True)
    asked = [request(name) for name in ("a", "b")]
    clips = [
        ClipFrames(clip_id=r.clip_id, media_id=r.media_id, frames_THWC=r.frames_THWC, times_s=r.times_s)
        for r in asked
    ]
    rows = caption_clips(captioner, clips, **prompts)
    assert batches == [2]
    assert [row.clip_id for row in rows] == ["a", "b"]


def test_a_random_model_does_not_end_and_that_is_no_caption(qwen: Path) -> None:
    model = Qwen2VLForConditionalGeneration.from_pretrained(qwen)
    captioner = TransformersCaptioner(VlmConfig(model=str(qwen), max_new_tokens=3))
    captioner.model.generation_config.eos_token_id = model.config.text_config.vocab_size - 1  # pyright: ignore
    answer = captioner.caption([request("a")])[0]
    assert answer.outcome in (Outcome.TRUNCATED, Outcome.EMPTY)
    assert answer.text is None
    assert answer.confidence is not None
    assert 0 < answer.confidence <= 1


def test_one_bad_request_costs_only_its_own_answer(qwen: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    captioner = TransformersCaptioner(VlmConfig(model=str(qwen), max_new_tokens=3, batch_size=4))
    whole = captioner._inputs

    def choke(batch, shown):
        if any(r.clip_id == "bad" for r in batch):
            raise RuntimeError("out of memory")
        return whole(batch, shown)

    monkeypatch.setattr(captioner, "_inputs", choke)
    outcomes = {a.clip_id: a for a in captioner.caption([request(n) for n in ("a", "bad", "c", "d")])}
    assert len(outcomes) == 4
    assert outcomes["bad"].outcome is Outcome.ERROR
    assert "out of memory" in outcomes["bad"].detail
    assert sum(a.outcome is Outcome.ERROR for a in outcomes.values()) == 1


def test_frames_too_far_apart_for_a_fixed_rate_are_an_error_not_a_wrong_speed(qwen: Path) -> None:
    captioner = TransformersCaptioner(VlmConfig(model=str(qwen), fps=4.0, max_new_tokens=2))
    answers = {a.clip_id: a for a in captioner.caption([request("dense"), request("sparse", fps=1.0)])}
    assert answers["sparse"].outcome is Outcome.ERROR
    assert "at least 4 per second" in answers["sparse"].detail
    assert answers["dense"].outcome is not Outcome.ERROR


def test_provenance_names_the_weights_and_the_decoding(qwen: Path) -> None:
    captioner = TransformersCaptioner(VlmConfig(model=str(qwen), max_new_tokens=2))
    other = TransformersCaptioner(VlmConfig(model=str(qwen), max_new_tokens=3))
    assert captioner.provenance.revision == other.provenance.revision != ""
    assert captioner.provenance.decoding != other.provenance.decoding
    assert '"rate_hz": null' in captioner.provenance.decoding  # the name that stored captions have


def test_a_question_has_the_probability_of_yes_that_the_model_gives_it(tmp_path: Path) -> None:
    torch.manual_seed(1)
    tokenizer = build_tokenizer([WORDS, "yes no unsure Is it red? Which is it?"])
    size = replace(TINY, frames=4, pixels=(1600, 1600), vision_width=24)
    save_pretrained(build_model(tokenizer, size), build_processor(tokenizer, size), tmp_path)
    config = VlmConfig(model=str(tmp_path), frames=4, max_new_tokens=3, dtype="float32", batch_size=3)
    captioner = TransformersCaptioner(config)
    yes, no = (tokenizer.convert_tokens_to_ids(f"▁{word}") for word in ("yes", "no"))
    head = torch.zeros_like(captioner.model.lm_head.weight)
    head[yes] = torch.randn(head.shape[1]) / 4
    head[no] = -head[yes]  # so that one of both is always the likeliest
    captioner.model.lm_head.weight = torch.nn.Parameter(head)

    is_red = Prompt(name="red", text="Is it red?", choices=YES_NO)
    which = Prompt(name="which", text="Which is it?", choices=("A", "B"))
    asked = [replace(request(f"clip{'-' * i}"), prompt=is_red) for i in range(3)]
    answers = captioner.caption([*asked, *(replace(each, prompt=which) for each in asked)])
    for clip in asked:
        one, other = (a for a in answers if a.clip_id == clip.clip_id)
        reading, _ = captioner._read([clip], [(0, 2, 3, 5)])
        with torch.inference_mode():
            scores_BV = reading.answer(config, max_new_tokens=1).first_scores_BV
        assert scores_BV is not None
        scores_V = scores_BV[0].double().softmax(-1)
        expected = float(scores_V[yes] / (scores_V[yes] + scores_V[no]))
        assert one.frames_shown == (0, 2, 3, 5)
        assert (one.outcome, one.text) == (Outcome.OK, "yes" if expected > 0.5 else "no")
        assert chance_of_yes(one.chances) == pytest.approx(expected, abs=1e-4)
        assert sum(one.chances.values()) == pytest.approx(1)
        assert (other.outcome, other.text, other.chances) == (Outcome.TRUNCATED, None, {})
        assert other.detail.startswith(f"none of A, B before the token limit: '{one.text}")
    assert len({round(chance_of_yes(a.chances) or 0, 6) for a in answers if a.chances}) == 3
