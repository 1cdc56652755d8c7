"""The weights of a run: validated as they are, and what a new run starts from."""

import re
import runpy
from pathlib import Path

import pytest
import torch

from trainer.checkpoints import load_vae
from trainer.run.weights import load_run_weights
from trainer.vae.module import VaeModule

RUNS = runpy.run_path(str(Path(__file__).with_name("training_runs.py")))
train, TINY_VAE = RUNS["train"], RUNS["TINY_VAE"]
pytestmark = pytest.mark.filterwarnings("ignore")


def psnr_db(text: str) -> list[float]:
    return [float(value) for value in re.findall(r"val/psnr_db (-?[\d.]+)", text)]


def test_validate_gives_the_number_that_fit_gave(packer, tmp_path, capsys):
    shards, out = packer(tmp_path / "shards", clips_a_bucket=12), tmp_path / "vae"
    every = ["--trainer.val_check_interval=6", "--watch.log_every_s=100"]
    train("vae", "fit", out, shards, *TINY_VAE, "--max_steps=12", *every)
    fitted = psnr_db(capsys.readouterr().out)[-1]
    files = {path for path in tmp_path.rglob("*") if path.is_file()}
    assert train("vae", "validate", out, shards, *TINY_VAE) == 0
    said = capsys.readouterr().out
    assert f"validating {out / 'checkpoints' / 'step=12.ckpt'}, step 12" in said
    assert psnr_db(said) == [fitted]
    named = ["--ckpt_path", str(out / "checkpoints" / "step=12.ckpt")]
    train("vae", "validate", tmp_path / "elsewhere", shards, *TINY_VAE, *named)
    assert psnr_db(capsys.readouterr().out) == [fitted]
    for path in (out / "checkpoints").iterdir():
        path.unlink()  # what was exported holds the same weights
        files.discard(path)
    train("vae", "validate", out, shards, *TINY_VAE)
    assert psnr_db(capsys.readouterr().out) == [fitted]
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == files
    train("vae", "validate", out, shards, *TINY_VAE, "--data.validation_fraction=0.4")
    assert "not the data of the run" not in capsys.readouterr().out  # exported weights hold no settings


def test_validate_names_what_differs_and_refuses_what_is_not_there(shards, tmp_path, capsys):
    train("vae", "fit", tmp_path / "vae", shards, *TINY_VAE, "--max_steps=1")
    train("vae", "validate", tmp_path / "vae", shards, *TINY_VAE, "--data.validation_fraction=0.4")
    assert "not the data of the run: data.validation_fraction: 0.2 -> 0.4" in capsys.readouterr().out
    with pytest.raises(FileNotFoundError, match="nothing: no such folder"):
        train("vae", "validate", tmp_path / "nothing", shards, *TINY_VAE)
    assert not (tmp_path / "nothing").exists()
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=r"holds no checkpoint and no vae\.safetensors"):
        train("vae", "validate", tmp_path / "empty", shards, *TINY_VAE)
    with pytest.raises(ValueError, match=r"step=1\.ckpt: .* is \(.*\), but \(.*\) in the network"):
        train("vae", "validate", tmp_path / "vae", shards, *TINY_VAE, "--model.vae.latent_channels=8")


def test_a_new_run_starts_from_the_weights_of_another(shards, tmp_path, monkeypatch, capsys):
    old, new = tmp_path / "old", tmp_path / "new"
    train("vae", "fit", old, shards, *TINY_VAE, "--max_steps=3")
    stored = load_run_weights(old, "vae")
    assert (stored.step, stored.path) == (3, old / "checkpoints" / "step=3.ckpt")
    exported = load_vae(old)[0].state_dict()
    assert torch.equal(stored.ema["conv_in.weight"], exported["conv_in.weight"])
    seen = []
    plain_step = VaeModule.training_step

    def step(self, batch, number):
        seen.append((self.trainer.global_step, self.model.conv_in.weight.detach().clone()))
        return plain_step(self, batch, number)

    monkeypatch.setattr(VaeModule, "training_step", step)
    start = [*TINY_VAE, "--max_steps=2", "--init_from", str(old), "--watch.checkpoint_every_steps=1"]
    train("vae", "fit", new, shards, *start)
    assert "starting from the weights of" in capsys.readouterr().out
    assert seen[0][0] == 0
    assert torch.equal(seen[0][1], stored.ema["conv_in.weight"])
    train("vae", "fit", new, shards, *start[:-4], "--max_steps=3", *start[-3:], "--resume")
    assert [number for number, _ in seen] == [0, 1, 2]
    with pytest.raises(ValueError, match=r"init_from: .*old -> .*elsewhere"):
        train("vae", "fit", new, shards, *TINY_VAE, "--max_steps=4", "--init_from=elsewhere", "--resume")
    with pytest.raises(FileNotFoundError, match="no such folder"):
        train("vae", "fit", tmp_path / "b", shards, *TINY_VAE, "--max_steps=1", "--init_from=nothing")
