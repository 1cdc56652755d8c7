"""Weights, checkpoints, encoded sets and YAML of an earlier version (tests/golden/legacy) still work."""

import json
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch.optim.lr_scheduler import LambdaLR

from trainer.cli import main
from trainer.config import EncodeConfig, SampleConfig
from trainer.data.encode import encode
from trainer.migrations import migrate_state
from trainer.optim import ConfiguredLR, MuonWithAdamW
from trainer.sample.model import load_model
from trainer.sample.sampler import generate
from trainer.sample.verbs import text_to_video

LEGACY = Path(__file__).parents[1] / "golden" / "legacy"
WEIGHTS = {"vae": "vae", "dit": "model"}


def read_checkpoint(folder: Path) -> dict[str, Any]:
    """Rebuild a Lightning checkpoint from safetensors and JSON: a repository holds nothing pickled."""
    tensors = load_file(folder / "checkpoint.safetensors")

    def rebuild(node: dict[str, Any]) -> Any:
        if "tensor" in node:
            return tensors[node["tensor"]]
        if "dict" in node:
            return {key: rebuild(child) for key, child in node["dict"]}
        if "value" in node:
            return node["value"]
        kind = list if "list" in node else tuple
        return kind(rebuild(child) for child in node[kind.__name__])

    return rebuild(json.loads((folder / "checkpoint.json").read_text()))


@pytest.fixture
def legacy(tmp_path, monkeypatch) -> Path:
    """A folder with shards, encoded set, models and checkpoints as the earlier version left them."""
    monkeypatch.setattr("trainer.precision.has_fast_bfloat16", lambda device: False)
    shutil.copytree(LEGACY / "shards", tmp_path / "shards")
    shutil.copytree(LEGACY / "encoded", tmp_path / "shards" / "encoded")
    for network in ("vae", "dit"):
        (tmp_path / network / "checkpoints").mkdir(parents=True)
        for path in (LEGACY / network).iterdir():
            if path.stem in ("vae", "model"):
                shutil.copyfile(path, tmp_path / network / path.name)
        checkpoint = read_checkpoint(LEGACY / network)
        torch.save(checkpoint, tmp_path / network / "checkpoints" / "step=4.ckpt")
    for path in (LEGACY / "vae").glob("vae.*"):
        shutil.copyfile(path, tmp_path / "dit" / path.name)
    return tmp_path


def resume(legacy: Path, network: str) -> dict[str, torch.Tensor]:
    """Resume to optimizer step 6 with the earlier version's YAML; return the exported weights."""
    folders = ["--data.shards", str(legacy / "shards"), "--out", str(legacy / network)]
    if network == "dit":
        folders += ["--model.vae", str(legacy / "vae")]
    length = ["--max_steps=6", "--resume", "--trainer.log_every_n_steps=1", "--trainer.accelerator=cpu"]
    assert main(network, ["fit", "--config", str(LEGACY / f"{network}.yaml"), *folders, *length]) == 0
    return load_file(legacy / network / f"{WEIGHTS[network]}.safetensors")


@pytest.fixture
def former_rate(monkeypatch) -> None:
    """Give the first step after a resume the learning rate of the old length, as the earlier version did."""

    def load_state_dict(self: MuonWithAdamW, state_dict: dict[str, Any]) -> None:
        self.muon.load_state_dict(state_dict["muon"])
        self.adamw.load_state_dict(state_dict["adamw"])
        self._share_groups()

    monkeypatch.setattr(MuonWithAdamW, "load_state_dict", load_state_dict)
    monkeypatch.setattr(ConfiguredLR, "load_state_dict", LambdaLR.load_state_dict)


def test_a_model_generates_what_it_generated(legacy):
    model = load_model(legacy / "dit")
    assert (model.flow.logit_mean, model.flow.clean_prob) == (0.7, 0.4)
    prompt = "a red circle moves left over a gray background"
    conditions = text_to_video(model, prompt, num_frames=5, height=32, width=32, seed=3)
    videos_BTHWC = np.stack(generate(model, [conditions], SampleConfig(steps=4)))
    expected = np.load(LEGACY / "generated.npz")["frames_BTHWC"].astype(int)
    assert np.abs(videos_BTHWC - expected).max() <= 1  # rounding to uint8


@pytest.mark.filterwarnings("ignore")
@pytest.mark.usefixtures("former_rate")
@pytest.mark.parametrize("network", ["vae", "dit"])
def test_a_checkpoint_resumes_with_its_yaml(legacy, network, capsys, monkeypatch):
    former = partial(torch.optim.Muon, adjust_lr_fn="match_rms_adamw")
    monkeypatch.setattr("trainer.optim.BatchedMuon", former)
    weights = resume(legacy, network)
    expected = migrate_state(load_file(LEGACY / network / "resumed.safetensors"), WEIGHTS[network])
    assert weights.keys() == expected.keys()
    rounding = torch.finfo(torch.bfloat16).eps  # Muon orthogonalizes in bfloat16
    for name, value in weights.items():
        torch.testing.assert_close(value, expected[name], atol=4e-3 * rounding, rtol=rounding / 8)
    assert "`model.optim.decay_share` in " in capsys.readouterr().err


@pytest.mark.filterwarnings("ignore")
@pytest.mark.usefixtures("former_rate")
def test_the_optimizer_state_of_a_checkpoint_is_used(legacy):
    path = legacy / "dit" / "checkpoints" / "step=4.ckpt"
    checkpoint = torch.load(path, weights_only=True)
    for state in checkpoint["optimizer_states"][0]["both"][0]["state"].values():
        state["momentum_buffer"] *= -1
    torch.save(checkpoint, path)
    name = "blocks.0.self_attn.qkv.weight"
    expected = migrate_state(load_file(LEGACY / "dit" / "resumed.safetensors"), "model")
    assert (resume(legacy, "dit")[name] - expected[name]).abs().max() > 1e-4


@pytest.mark.filterwarnings("ignore")
def test_losses_are_logged_by_their_new_names(legacy):
    resume(legacy, "vae")
    (log,) = (legacy / "vae" / "logs").glob("version_*/metrics.csv")
    columns = log.read_text().splitlines()[0].split(",")
    assert {"train/loss", "train/l1", "train/l2", "train/gradient", "train/kl"} <= set(columns)


def test_an_encoded_set_is_found_and_nothing_is_encoded_again(legacy):
    config = EncodeConfig(shards=str(legacy / "shards"), vae=str(legacy / "vae"))
    before = (legacy / "shards" / "encoded" / "encoded.json").read_bytes()
    assert encode(config)["encoded"] == 0
    assert (legacy / "shards" / "encoded" / "encoded.json").read_bytes() == before


@pytest.mark.filterwarnings("ignore")
def test_other_warmup_bucket_steps_are_refused_by_their_new_name(legacy):
    path = legacy / "dit" / "checkpoints" / "step=4.ckpt"
    checkpoint = torch.load(path, weights_only=True)
    checkpoint["LatentData"]["start_steps"] = 3
    torch.save(checkpoint, path)
    with pytest.raises(ValueError, match="warmup_bucket_steps changed"):
        resume(legacy, "dit")


@pytest.mark.parametrize("network", ["vae", "model"])
def test_new_weights_pass_through_the_migration(legacy, network):
    folder = legacy / ("vae" if network == "vae" else "dit")
    once = migrate_state(load_file(folder / f"{network}.safetensors"), network)
    assert migrate_state(once, network).keys() == once.keys()
