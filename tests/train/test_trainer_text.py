"""States of a text depend on that text and the encoder's content alone, for every family of encoders."""

import json
import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from manifests.digest import digest_file, digest_parts
from trainer.text import TextEncoder
from trainer.text_digest import describe_encoder
from trainer.text_files import embedded_folder

RUNS = runpy.run_path(str(Path(__file__).with_name("training_runs.py")))
assert_equal_to_float32_rounding = RUNS["assert_equal_to_float32_rounding"]

WORDS = ["a", "red", "circle", "moves", "left", "over", "the", "gray", "background"]
SPECIAL = ["<pad>", "<bos>", "<eos>", "<unk>"]
SIZE = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 3, "num_attention_heads": 2}
LLM = {**SIZE, "num_key_value_heads": 1, "head_dim": 8, "initializer_range": 0.4}
T5 = {"d_model": 16, "d_kv": 8, "d_ff": 24, "num_layers": 2, "num_heads": 2, "decoder_start_token_id": 0}
VISION = {**SIZE, "num_hidden_layers": 1, "image_size": 32, "patch_size": 16}
FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "bert": ("BertModel", SIZE),
    "roberta": ("RobertaModel", {**SIZE, "max_position_embeddings": 20, "pad_token_id": 0}),
    "t5 encoder": ("T5EncoderModel", T5),
    "t5 whole": ("T5ForConditionalGeneration", T5),
    "umt5 whole": ("UMT5ForConditionalGeneration", T5),
    "bart": (
        "BartModel",
        {"d_model": 16, "encoder_layers": 2, "decoder_layers": 1, "max_position_embeddings": 20},
    ),
    "clip text": ("CLIPTextModel", {**SIZE, "max_position_embeddings": 12, "eos_token_id": 2}),
    "clip whole": (
        "CLIPModel",
        {
            "text_config": {**SIZE, "vocab_size": 13, "max_position_embeddings": 12, "eos_token_id": 2},
            "vision_config": VISION,
            "projection_dim": 16,
        },
    ),
    "gemma": ("Gemma2ForCausalLM", LLM),
    "qwen2": ("Qwen2ForCausalLM", LLM),
    "qwen3": ("Qwen3Model", LLM),
    "qwen vl": (
        "Qwen2_5_VLForConditionalGeneration",
        {
            "text_config": {
                **LLM,
                "vocab_size": 13,
                "rope_scaling": {"type": "mrope", "mrope_section": [1, 1, 2]},
            },
            "vision_config": {
                "hidden_size": 16,
                "intermediate_size": 16,
                "depth": 1,
                "num_heads": 2,
                "out_hidden_size": 16,
            },
        },
    ),
}
"""A class of each family, with a tiny shape."""
ENDED = {"bert", "roberta", "t5 encoder", "t5 whole", "umt5 whole", "bart", "clip text", "clip whole"}
"""Families whose tokenizers add an end to every text."""


def write_tokenizer(folder: Path, *, ended: bool, padding_side: str = "right") -> None:
    core = Tokenizer(
        models.WordLevel({word: n for n, word in enumerate([*SPECIAL, *WORDS])}, unk_token="<unk>")
    )
    core.pre_tokenizer = pre_tokenizers.Whitespace()
    if ended:
        core.post_processor = processors.TemplateProcessing(single="$A <eos>", special_tokens=[("<eos>", 2)])
    names = {"pad_token": "<pad>", "eos_token": "<eos>", "unk_token": "<unk>"}
    PreTrainedTokenizerFast(tokenizer_object=core, padding_side=padding_side, **names).save_pretrained(folder)


def build(family: str) -> Any:
    """Return a network of a family with random weights."""
    name, shape = FAMILIES[family]
    cls = getattr(transformers, name)
    vocabulary = {} if "text_config" in shape else {"vocab_size": len(SPECIAL) + len(WORDS)}
    torch.manual_seed(0)
    return cls(cls.config_class(**vocabulary, **shape)).eval()


def write_encoder(folder: Path, family: str, *, padding_side: str = "right", **how: Any) -> Path:
    """Write a network of a family with random weights, and a tokenizer of a few words."""
    build(family).save_pretrained(folder, **how)
    write_tokenizer(folder, ended=family in ENDED, padding_side=padding_side)
    return folder


def text_digest(name: str) -> str:
    return describe_encoder(name)[0]


SHORT, LONG = "a red circle", "a red circle moves left over the gray background"


@pytest.mark.parametrize("padding_side", ["left", "right"])
@pytest.mark.parametrize("family", FAMILIES)
def test_states_do_not_depend_on_the_other_texts(tmp_path, family, padding_side):
    encoder = TextEncoder(str(write_encoder(tmp_path / "e", family, padding_side=padding_side)))
    texts = [SHORT, LONG, "", "a gray circle", "left"]
    together = encoder.states(texts)
    ends = int(family in ENDED)
    assert [len(state_LD) for state_LD in together] == [3 + ends, 9 + ends, 1, 3 + ends, 1 + ends]
    assert encoder.width == 16
    for state_LD, text in zip(together, texts, strict=True):
        assert np.isfinite(state_LD).all()
        alone_LD = encoder.states([text])[0]
        assert_equal_to_float32_rounding(state_LD.astype(np.float32), alone_LD.astype(np.float32))


@pytest.mark.parametrize("family", ["t5 whole", "umt5 whole", "bart"])
def test_an_encoder_decoder_gives_the_states_of_its_encoder(tmp_path, family):
    encoder = TextEncoder(str(write_encoder(tmp_path / "e", family)))
    ids = torch.tensor([[4, 5, 6, 2]])
    with torch.no_grad():
        expected = build(family).get_encoder()(input_ids=ids).last_hidden_state[0].numpy()
    assert_equal_to_float32_rounding(encoder.states([SHORT])[0].astype(np.float32), expected)


@pytest.mark.parametrize("family", ["gemma", "qwen2", "qwen vl"])
def test_a_decoder_only_model_gives_its_last_hidden_states(tmp_path, family):
    encoder = TextEncoder(str(write_encoder(tmp_path / "e", family)))
    ids, base = torch.tensor([[4, 5, 6]]), build(family).model
    with torch.no_grad():
        expected = getattr(base, "language_model", base)(input_ids=ids).last_hidden_state[0].numpy()
    assert_equal_to_float32_rounding(encoder.states([SHORT])[0].astype(np.float32), expected)


def test_whole_clip_gives_the_states_of_its_text_model(tmp_path):
    whole = TextEncoder(str(write_encoder(tmp_path / "whole", "clip whole")))
    ids = torch.tensor([[4, 5, 6, 2]])
    with torch.no_grad():
        expected = build("clip whole").text_model(input_ids=ids).last_hidden_state[0].numpy()
    assert_equal_to_float32_rounding(whole.states([SHORT])[0].astype(np.float32), expected)


def test_texts_are_cut_at_the_encoders_own_limit_and_counted(tmp_path):
    clip = TextEncoder(str(write_encoder(tmp_path / "e", "clip text")))
    assert clip.max_length == 12
    fits, cut = " ".join(WORDS + WORDS[:2]), " ".join(WORDS + WORDS[:3])
    states = clip.encode([fits, cut, "a"])
    assert [(len(each.state_LD), each.truncated) for each in states] == [(12, False), (12, True), (2, False)]
    with pytest.warns(UserWarning, match="1 of 2 texts are longer than the 12 tokens .* truncated"):
        clip.states([cut, "a"])
    roberta = TextEncoder(str(write_encoder(tmp_path / "r", "roberta")))
    assert roberta.max_length == 19  # 20 positions, the first for padding
    assert [len(each.state_LD) for each in roberta.encode(["a " * 40])] == [19]
    assert TextEncoder(str(write_encoder(tmp_path / "t", "t5 encoder"))).max_length == 512
    assert TextEncoder().max_length == 256  # of all-MiniLM-L6-v2, which has 512 positions


def test_states_that_overflow_float16_are_kept_in_float32(tmp_path):
    folder = write_encoder(tmp_path / "e", "t5 encoder")
    weights = load_file(folder / "model.safetensors")
    weights["encoder.final_layer_norm.weight"] *= 1e6
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    state_LD = TextEncoder(str(folder)).states([SHORT])[0]
    assert state_LD.dtype == np.float32
    assert np.isfinite(state_LD).all()
    assert np.abs(state_LD).max() > 65504


def test_the_digest_names_the_content_and_not_the_path(tmp_path, monkeypatch):
    folder = write_encoder(tmp_path / "one", "qwen2")
    digest = TextEncoder(str(folder)).digest
    copied = Path(shutil.copytree(folder, tmp_path / "two"))
    split = write_encoder(tmp_path / "split", "qwen2", max_shard_size="2KB")
    assert len([*split.glob("*.safetensors")]) > 1
    other_side = write_encoder(tmp_path / "left", "qwen2", padding_side="left")
    monkeypatch.chdir(tmp_path)
    for same in (f"{folder}/", "one", "./one/../one", str(copied), str(split), str(other_side)):
        assert text_digest(same) == TextEncoder(same).digest == digest
    state_LD = TextEncoder("one").states([LONG])[0]
    np.testing.assert_array_equal(TextEncoder("split").states([LONG])[0], state_LD)
    weights = load_file(folder / "model.safetensors")
    next(iter(weights.values())).view(-1)[0] += 1e-3
    save_file(weights, copied / "model.safetensors", metadata={"format": "pt"})
    assert text_digest("two") != digest
    write_tokenizer(folder, ended=True)
    assert text_digest("one") != digest


def test_the_embedded_encoder_keeps_its_digest_by_any_path():
    digest = "61d90fe1e8d3d61d13d89ba057ed9ba7"  # of tests/golden/legacy
    assert text_digest("minilm") == text_digest(f"{embedded_folder()}/") == TextEncoder().digest == digest


def test_a_model_of_an_older_version_finds_its_encoder_by_the_path(tmp_path):
    folder = write_encoder(tmp_path / "e", "bert")
    old = digest_parts(str(folder), digest_file(folder / "model.safetensors"), 256, -2)
    encoder = TextEncoder.load(str(folder), old)
    assert (encoder.digest, encoder.max_length, encoder.layer) == (old, 256, -2)
    with pytest.raises(ValueError, match=f"has digest {text_digest(str(folder))}, but other is needed"):
        TextEncoder.load(str(folder), "other")


def test_a_tokenizer_beside_a_pipelines_text_encoder_is_found(tmp_path):
    folder = write_encoder(tmp_path / "text_encoder_2", "t5 encoder")
    digest = text_digest(str(folder))
    (tmp_path / "tokenizer_2").mkdir()
    for path in folder.glob("*token*"):
        path.rename(tmp_path / "tokenizer_2" / path.name)
    assert TextEncoder(str(folder)).digest == digest


def test_what_is_no_text_encoder_is_refused_with_the_remedy(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere: neither `minilm`, nor a folder"):
        TextEncoder(str(tmp_path / "nowhere"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="no configuration of a text encoder"):
        TextEncoder(str(tmp_path / "empty"))

    pickled = write_encoder(tmp_path / "pickled", "bert")
    weights = load_file(pickled / "model.safetensors")
    torch.save(weights, pickled / "pytorch_model.bin")
    (pickled / "model.safetensors").unlink()
    with pytest.raises(ValueError, match=r"pytorch_model\.bin is a pickle"):
        TextEncoder(str(pickled))

    lacking = write_encoder(tmp_path / "lacking", "bert")
    first = next(name for name in weights if "layer.0" in name)
    del weights[first]
    save_file(weights, lacking / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ValueError, match=f"the weights lack 1 tensors of BertModel, such as {first}"):
        TextEncoder(str(lacking))

    part_missing = write_encoder(tmp_path / "part", "bert", max_shard_size="2KB")
    sorted(part_missing.glob("*.safetensors"))[0].unlink()
    with pytest.raises(ValueError, match="which is missing; copy the whole folder"):
        TextEncoder(str(part_missing))

    wordless = write_encoder(tmp_path / "wordless", "bert")
    for path in wordless.glob("*token*"):
        path.unlink()
    with pytest.raises(ValueError, match=r"no tokenizer \(such as tokenizer\.json"):
        TextEncoder(str(wordless))
    (wordless / "tokenizer.json").write_text("{}")
    with pytest.raises(ValueError, match=r"tokenizer\.json: no tokenizer that can be loaded"):
        TextEncoder(str(wordless))

    torch.manual_seed(0)
    vision = transformers.CLIPVisionConfig(**VISION)
    transformers.CLIPVisionModel(vision).save_pretrained(tmp_path / "vision")
    write_tokenizer(tmp_path / "vision", ended=False)
    with pytest.raises(ValueError, match="does not read text"):
        TextEncoder(str(tmp_path / "vision"))


def test_an_empty_text_without_any_token_is_refused(tmp_path):
    folder = write_encoder(tmp_path / "e", "qwen2")
    path = folder / "tokenizer_config.json"
    kept = {k: v for k, v in json.loads(path.read_text()).items() if k not in ("pad_token", "eos_token")}
    path.write_text(json.dumps(kept))
    encoder = TextEncoder(str(folder))
    assert len(encoder.states([SHORT])[0]) == 3
    with pytest.raises(ValueError, match="no token for the empty text"):
        encoder.states([""])


@pytest.mark.usefixtures("any_machine")
def test_states_of_the_embedded_encoder_do_not_depend_on_the_other_texts():
    text = TextEncoder("minilm")
    same_length = [f"a square number {n} moves right. It is a very plain square." for n in range(6)]
    texts = ["", "a red circle", *same_length, "a blue square moves left over a gray background"]
    together = text.states(texts)
    assert [len(state_LD) for state_LD in together] == [2, 5, *[16] * 6, 11]
    for state_LD, words in zip(together, texts, strict=True):
        alone_LD = text.states([words])[0]
        assert_equal_to_float32_rounding(state_LD.astype(np.float32), alone_LD.astype(np.float32))


@pytest.mark.parametrize("layer", [-1, -2, -7])
def test_the_embedded_encoder_gives_the_states_of_transformers(tmp_path, layer):
    copied = Path(shutil.copytree(embedded_folder(), tmp_path / "copied"))
    texts = ["", "A red circle — [SEP] Ünïcode, 圆!", "a red circle moves left. " * 80]
    ours, theirs = (TextEncoder(name, layer=layer).encode(texts) for name in ("minilm", str(copied)))
    for own, other in zip(ours, theirs, strict=True):
        assert own.truncated == other.truncated
        assert_equal_to_float32_rounding(own.state_LD.astype(np.float32), other.state_LD.astype(np.float32))


def test_the_embedded_encoder_needs_no_transformers():
    code = (
        "import sys; from trainer.text import TextEncoder; TextEncoder().states(['a']); "
        "print([name for name in ('transformers', 'huggingface_hub') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_hub_name_is_its_snapshot(tmp_path, monkeypatch):
    snapshot = tmp_path / "models--some--encoder" / "snapshots" / "0123abcd"
    digest = text_digest(str(write_encoder(snapshot, "t5 encoder", max_shard_size="2KB")))
    (tmp_path / "models--some--encoder" / "refs").mkdir()
    (tmp_path / "models--some--encoder" / "refs" / "main").write_text("0123abcd")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert text_digest("some/encoder") == TextEncoder("some/encoder").digest == digest
    old = digest_parts("some/encoder", "0123abcd", 256, -2)
    assert TextEncoder.load("some/encoder", old).digest == old
    with pytest.raises(FileNotFoundError, match="other/encoder: neither"):
        TextEncoder("other/encoder")
