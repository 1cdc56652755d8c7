"""Model types behind `AutoModelForImageTextToText` are captioned rightly, or refused at load."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES
from vlm_checks import TYPES, check, clip
from vlm_models import build

from captioner.config import VlmConfig
from captioner.vlm import TransformersCaptioner
from captioner.vlm_types import NOT_CAPTIONERS, model_type

QUICK = ("blip-2", "gemma3", "qwen3_vl", "t5gemma2")
"""A model of one image, one whose template writes the begin token, one of videos, an encoder-decoder."""
HELD = [name for name in TYPES if name not in QUICK]
NEEDS = {"inkling_mm_model": "scipy", "smolvlm": "num2words"}
"""Packages that transformers asks for by type, and that Kinora does not install."""


@pytest.mark.parametrize("name", QUICK)
def test_a_representative_type_is_captioned_alike_alone_and_in_a_batch(name: str, tmp_path: Path) -> None:
    check(name, tmp_path)


@pytest.mark.filterwarnings("ignore:__array:DeprecationWarning")  # processors hand tensors to NumPy 2
@pytest.mark.slow
@pytest.mark.parametrize("name", HELD)
def test_a_type_is_captioned_alike_alone_and_in_a_batch(name: str, tmp_path: Path) -> None:
    if name in NEEDS:
        pytest.importorskip(NEEDS[name])
    check(name, tmp_path)


def test_frames_have_the_times_that_they_have(tmp_path: Path) -> None:
    build("qwen3_vl", tmp_path)
    config = VlmConfig(model=str(tmp_path), frames=4, max_new_tokens=1, dtype="float32", device="cpu")
    uneven = clip("a", 4, (64, 64), 0)[0]  # at 0, 0.4, 1.5 and 1.7 s; each pair of frames has its middle
    assert times(TransformersCaptioner(config), uneven) == ["<0.2 seconds>", "<1.6 seconds>"]
    fixed = TransformersCaptioner(VlmConfig(**{**vars(config), "fps": 4.0}))
    assert times(fixed, uneven) == ["<0.1 seconds>", "<0.6 seconds>"]


def test_a_fixed_rate_is_kept_past_the_end_of_a_short_clip(tmp_path: Path) -> None:
    build("qwen3_vl", tmp_path)
    config = VlmConfig(
        model=str(tmp_path), frames=8, fps=4.0, max_new_tokens=1, dtype="float32", device="cpu"
    )
    short = replace(clip("a", 4, (64, 64), 0)[0], times_s=(0.0, 0.25, 0.5, 0.75))
    told = times(TransformersCaptioner(config), short)
    assert told == ["<0.1 seconds>", "<0.6 seconds>", "<1.1 seconds>", "<1.6 seconds>"]


def test_a_template_that_writes_the_begin_token_gives_one(tmp_path: Path) -> None:
    build("gemma3", tmp_path)
    config = VlmConfig(model=str(tmp_path), frames=2, max_new_tokens=1, dtype="float32", device="cpu")
    captioner = TransformersCaptioner(config)
    ids = captioner._inputs([clip("a", 2, (64, 64), 0)[0]], [(0, 1)])["input_ids"][0].tolist()
    begin = captioner.processor.tokenizer.bos_token_id
    assert (ids[0], ids.count(begin)) == (begin, 1)


def times(captioner: TransformersCaptioner, request) -> list[str]:
    """Return the times in the prompt that the model reads."""
    inputs = captioner._inputs([request], [captioner.sample_indices(request)])
    text = captioner.processor.tokenizer.decode(inputs["input_ids"][0])
    return re.findall(r"<[\d.]+ seconds>", text)


def test_a_model_that_cannot_caption_is_refused_at_load_with_what_to_use(tmp_path: Path) -> None:
    build("blip-2", tmp_path)
    with pytest.raises(
        ValueError, match=r"captioner\.vlm\.frames is 8, but .*type blip-2.* takes 1 per prompt"
    ):
        TransformersCaptioner(VlmConfig(model=str(tmp_path), frames=8, device="cpu"))
    for name in NOT_CAPTIONERS:
        assert name in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES
        with pytest.raises(ValueError, match=rf"a model of type {name} cannot caption: .*; use a model of"):
            model_type(name)
