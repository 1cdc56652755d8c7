"""The prompts and the version of a caption configuration."""

from dataclasses import replace
from pathlib import Path

import pytest

from captioner.config import CaptionerConfig, VlmConfig
from manifests.records import LENGTHS
from pipeline.caption.load import caption_spec
from pipeline.config import CaptionConfig


@pytest.fixture
def vlm(tmp_path: Path) -> CaptionerConfig:
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    return CaptionerConfig(kind="vlm", vlm=VlmConfig(model=str(tmp_path)))


def spec_of(captioner: CaptionerConfig):
    return caption_spec(CaptionConfig(captioner=captioner))


def test_lengths_have_prompts_of_their_own_or_share_one(vlm):
    plain, more = spec_of(vlm), spec_of(replace(vlm, medium_prompt="medium"))
    joint = spec_of(replace(vlm, joint_prompt="lengths"))
    assert [name for name, prompt in plain.prompts.items() if prompt] == ["dense", "short"]
    assert [name for name, prompt in more.prompts.items() if prompt] == ["dense", "short", "medium"]
    assert [name for name, prompt in joint.prompts.items() if prompt] == ["joint"]
    assert joint.joint is not None
    assert joint.joint.lengths == LENGTHS
    assert len({plain.version, more.version, joint.version}) == 3
    alone = spec_of(replace(vlm, short_prompt=""))
    dense, _, dense_still, _ = plain.prompt_digest.split("+")
    assert alone.prompt_digest == f"{dense}+{dense_still}"


def test_parts_are_asked_for_beside_any_lengths(vlm):
    beside, joint = (
        spec_of(replace(vlm, parts_prompt="parts", joint_prompt=name)) for name in ("", "lengths")
    )
    assert [name for name, prompt in beside.prompts.items() if prompt] == ["dense", "short", "parts"]
    assert [name for name, prompt in joint.prompts.items() if prompt] == ["joint", "parts"]
    assert beside.parts is not None
    assert beside.parts.asks_parts
    assert spec_of(replace(vlm, parts_prompt="")).version == spec_of(vlm).version != beside.version


def test_built_in_prompts_expect_english_and_ones_of_your_own_what_you_say(vlm, tmp_path):
    def expected(**more):
        dense = spec_of(replace(vlm, short_prompt="", **more)).dense
        assert dense is not None
        assert dense.still is None or dense.still.language == dense.language
        return dense.language

    (tmp_path / "dense.md").write_text("Décris la vidéo.")
    assert expected() == "English"
    assert expected(caption_language="French") == "French"
    assert expected(prompt_folder=str(tmp_path)) == ""
    assert expected(prompt_folder=str(tmp_path), caption_language="French") == "French"


def test_settings_without_effect_are_refused(vlm):
    with pytest.raises(ValueError, match=r"captioner\.medium_prompt: captioner facts has texts of its own"):
        spec_of(CaptionerConfig(kind="facts", medium_prompt="medium"))
    both = VlmConfig(model="owner/name", fps=2.0, frames_by="content")
    with pytest.raises(ValueError, match=r"captioner\.vlm: fps samples at fixed times .* set one of them"):
        spec_of(CaptionerConfig(kind="vlm", vlm=both))
    with pytest.raises(ValueError, match="no prompt is set"):
        spec_of(replace(vlm, dense_prompt="", short_prompt=""))


@pytest.mark.parametrize("model", ["/nowhere", "../nowhere", "a/b/c"])
def test_a_model_folder_that_does_not_exist_is_refused_before_anything_runs(model):
    with pytest.raises(FileNotFoundError, match=rf"captioner\.vlm\.model: {model}: no such folder"):
        spec_of(CaptionerConfig(kind="vlm", vlm=VlmConfig(model=model)))
    assert spec_of(CaptionerConfig(kind="vlm", vlm=VlmConfig(model="owner/name"))).version
