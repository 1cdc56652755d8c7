"""Adapters are trained on any vision-language model, merged, and the result captions as any folder does."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import worlds_dataset as made
from tiny_captioner import TINY

from captioner.captions import ClipFrames, caption_clips
from captioner.config import VlmConfig
from captioner.prompts import Prompt
from captioner.protocol import CaptionRequest
from captioner.train.build import build_model, build_processor, build_tokenizer, save_pretrained
from captioner.train.config import LoraConfig
from captioner.train.lora import IGNORED, CaptionTarget, add_lora, merge_lora, target_inputs, tune
from captioner.vlm import TransformersCaptioner
from captioner.vlm_generate import end_tokens
from kinora.commands.train_captioner import main
from kinora.training.tuning_examples import TuneData, tuning_examples
from worlds import families

ASK = Prompt(name="short", text="what moves?")
SAID = ("a red circle moves left", "a blue square stays still")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Qwen2-VL of random weights."""
    torch.manual_seed(0)
    found = tmp_path_factory.mktemp("qwen")
    size = replace(TINY, frames=4, pixels=(1600, 1600), vision_width=24)
    tokenizer = build_tokenizer([*SAID, ASK.text])
    save_pretrained(build_model(tokenizer, size), build_processor(tokenizer, size), found)
    return found


def config(folder: Path, out: Path, **changes) -> LoraConfig:
    vlm = VlmConfig(model=str(folder), frames=4, device="cpu", dtype="float32", max_new_tokens=24)
    given = {"steps": 60, "batch_size": 2, "lr": 5e-3, "warmup_steps": 2, "save_every_n_steps": 5}
    given |= {"rank": 32, "alpha": 64.0}
    return LoraConfig(**{"vlm": vlm, "out": str(out)} | given | changes)


def frames(number: int) -> np.ndarray:
    return np.full((4, 40, 64, 3), (250, 10, 10) if number == 0 else (10, 10, 250), np.uint8)


def examples(step: int) -> list[CaptionTarget]:
    times = (0.0, 0.25, 0.5, 0.75)
    return [
        CaptionTarget(
            request=CaptionRequest(
                clip_id=str(n), media_id=str(n), frames_THWC=frames(n), times_s=times, prompt=ASK
            ),
            text=text,
        )
        for n, text in enumerate(SAID)
    ]


def test_the_loss_is_of_the_answer_and_its_end_alone(folder, tmp_path):
    captioner = TransformersCaptioner(config(folder, tmp_path).vlm)
    inputs, labels_BL = target_inputs(captioner, examples(0)[0])
    tokenizer = captioner.processor.tokenizer
    learned = labels_BL[0][labels_BL[0] != IGNORED]
    assert tokenizer.decode(learned, skip_special_tokens=True).strip() == SAID[0]
    assert learned[-1] in end_tokens(captioner.model, tokenizer)
    assert inputs["input_ids"].shape == labels_BL.shape == inputs["attention_mask"].shape
    assert inputs["input_ids"][0, -len(learned) :].tolist() == learned.tolist()


def test_adapters_begin_as_nothing_and_merge_into_what_they_did(folder, tmp_path):
    settings = config(folder, tmp_path)
    captioner = TransformersCaptioner(settings.vlm)
    inputs, _ = target_inputs(captioner, examples(0)[0])
    with torch.no_grad():
        plain = captioner.model(**inputs).logits
        layers = add_lora(captioner.model, settings)
        assert {name.rpartition(".")[2] for name in layers} == {*settings.targets}
        assert not any("visual" in name for name in layers)
        assert torch.equal(captioner.model(**inputs).logits, plain)
        for layer in layers.values():
            layer.up_OR.normal_(std=0.1, generator=torch.Generator().manual_seed(1))
        adapted = captioner.model(**inputs).logits
        merge_lora(captioner.model, layers)
        assert not torch.allclose(adapted, plain, atol=1e-3)
        torch.testing.assert_close(captioner.model(**inputs).logits, adapted, atol=1e-4, rtol=1e-4)
    with pytest.raises(ValueError, match=r"targets: no linear layer .*; there are .*q_proj"):
        add_lora(captioner.model, replace(settings, targets=("query",)))


def test_a_tuned_model_says_what_it_was_taught_and_a_stopped_run_goes_on_equally(folder, tmp_path):
    losses: list[float] = []
    exported = tune(config(folder, tmp_path / "a"), examples, lambda step, loss: losses.append(loss))
    assert losses[-1] < losses[0] / 2  # the frozen embeddings are too short for more
    captioner = TransformersCaptioner(replace(config(folder, tmp_path).vlm, model=str(exported)))
    clips = [
        ClipFrames(clip_id=str(n), media_id=str(n), frames_THWC=frames(n), times_s=(0.0, 0.25, 0.5, 0.75))
        for n in (0, 1)
    ]
    assert [caption.short for caption in caption_clips(captioner, clips, short=ASK)] == [*SAID]

    def dies(step: int) -> list[CaptionTarget]:
        if step == 12:
            raise KeyboardInterrupt
        return examples(step)

    with pytest.raises(KeyboardInterrupt):
        tune(config(folder, tmp_path / "b"), dies)
    steps: list[int] = []
    again = tune(config(folder, tmp_path / "b"), examples, lambda step, loss: steps.append(step))
    assert steps[0] == 10
    assert (again / "model.safetensors").read_bytes() == (exported / "model.safetensors").read_bytes()
    with pytest.raises(ValueError, match="is of a run with other settings"):
        tune(config(folder, tmp_path / "b", rank=4), examples)


def test_examples_are_of_worlds_of_all_families_or_of_a_dataset(tmp_path):
    sample = tuning_examples(TuneData(worlds=tuple(families.FAMILIES), lengths=("dense",)), 12, seed=1)
    first = sample(0)
    assert [each.text for each in first] == [each.text for each in sample(0)]
    assert [each.text for each in first] != [each.text for each in sample(1)]
    assert len({each.text for each in first}) == 12
    assert {each.request.prompt.name for each in first} == {"dense"}
    found = made.write_dataset(tmp_path, 12)
    texts = made.dense_captions(found.worlds)
    for each in tuning_examples(TuneData(dataset=found.uri), 4, seed=1)(0):
        place = found.media_ids.index(each.request.media_id)
        assert each.text == texts[place]
        assert len(each.request.times_s) == len(each.request.frames_THWC) == made.FRAMES
    with pytest.raises(ValueError, match="no version x; there are"):
        tuning_examples(TuneData(dataset=found.uri, captions="x"), 4, seed=1)
    with pytest.raises(ValueError, match="no family ships; there are shapes"):
        tuning_examples(TuneData(worlds=("ships",)), 4, seed=1)
    with pytest.raises(ValueError, match="and not both"):
        tuning_examples(TuneData(), 4, seed=1)


def test_the_command_tunes_on_a_dataset(folder, tmp_path, capsys):
    found = made.write_dataset(tmp_path / "d", 6)
    model = ["--vlm.model", str(folder), "--vlm.frames", "4", "--vlm.device", "cpu"]
    run = ["--out", str(tmp_path / "run"), "--steps", "2", "--batch_size", "1", "--data.dataset", found.uri]
    assert main(["lora", *model, *run]) == 0
    printed = capsys.readouterr().out
    assert "step 2 of 2: loss" in printed
    assert (tmp_path / "run" / "export" / "model.safetensors").is_file()
