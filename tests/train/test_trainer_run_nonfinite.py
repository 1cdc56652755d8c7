"""A loss that is not finite ends a run before the weights change, and names the clips that made it so."""

import runpy
from pathlib import Path

import numpy as np
import pytest
import torch

from trainer.data.latents import LatentData
from trainer.dit.module import DitModule
from trainer.run.stopping import first_nonfinite

RUNS = runpy.run_path(str(Path(__file__).with_name("training_runs.py")))
train, TINY_VAE, TINY_DIT, dit_run, assert_equal = (
    RUNS[name] for name in ("train", "TINY_VAE", "TINY_DIT", "dit_run", "assert_equal")
)
pytestmark = pytest.mark.filterwarnings("ignore")


def weights(out: Path) -> dict[int, dict[str, torch.Tensor]]:
    """Return the weights in each checkpoint of a run, by step."""
    paths = (out / "checkpoints").glob("*.ckpt")
    states = [torch.load(path, weights_only=True) for path in paths]
    return {state["global_step"]: state["state_dict"] for state in states}


def test_a_diverged_run_ends_with_4_and_keeps_finite_weights(encoded, tmp_path, capsys):
    shards, vae = encoded
    flags = ["--model.vae", str(vae), "--max_steps=8", "--data.warmup_bucket_steps=0", *TINY_DIT]
    diverging = ["--model.optim.lr=1e20", "--watch.checkpoint_every_steps=4", "--watch.prompts=[]"]
    assert train("dit", "fit", tmp_path, shards, *flags, *diverging) == 4
    said = capsys.readouterr().err
    assert "is not finite; nothing was changed by it. Clips: " in said
    assert "the last good checkpoint is " in said
    assert "--resume" in said
    assert not (tmp_path / "model.safetensors").exists()
    kept = weights(tmp_path)
    assert kept
    assert not any(first_nonfinite(state) for state in kept.values())


@pytest.mark.parametrize("accumulated", [1, 2])
def test_the_clip_with_a_bad_latent_is_named_and_no_other(
    encoded, tmp_path, monkeypatch, capsys, accumulated
):
    """Of a step's clips one latent is infinite, as of an encoder that overflowed float16."""
    shards, vae = encoded
    bad: list[str] = []
    plain_clip = LatentData._noisy_clip

    def noisy_clip(self, step, row, caption):
        clip = plain_clip(self, step, row, caption)
        if step == 2 and row == self.rows_of_step(step)[1]:
            bad.append(self.index.sample(row).key)
            clip.latent_CTHW[0, 0, 0, 0] = np.inf
        return clip

    monkeypatch.setattr(LatentData, "_noisy_clip", noisy_clip)
    flags = ["--model.vae", str(vae), "--max_steps=8", "--data.warmup_bucket_steps=0", *TINY_DIT]
    more = ["--watch.prompts=[]", f"--trainer.accumulate_grad_batches={accumulated}"]
    often = "--watch.checkpoint_every_steps=1"
    assert train("dit", "fit", tmp_path / "a", shards, *flags, *more, often) == 4
    said = capsys.readouterr().err
    assert f"error: step 3: the loss is not finite; nothing was changed by it. Clips: {bad[0]};" in said
    assert f"the last good checkpoint is {tmp_path / 'a' / 'checkpoints' / 'step=2.ckpt'}" in said
    assert sorted(weights(tmp_path / "a")) == [1, 2]
    monkeypatch.setattr(LatentData, "_noisy_clip", plain_clip)
    train("dit", "fit", tmp_path / "a", shards, *flags, *more, often, "--resume")
    train("dit", "fit", tmp_path / "whole", shards, *flags, *more, often)
    assert_equal(weights(tmp_path / "a")[8], weights(tmp_path / "whole")[8])


def test_before_the_first_checkpoint_the_weights_before_the_step_are_kept(
    encoded, tmp_path, monkeypatch, capsys
):
    shards, vae = encoded
    plain_step = DitModule.training_step

    def step(self, batch, number):
        loss = plain_step(self, batch, number)
        return loss * float("nan") if batch.step == 1 else loss

    monkeypatch.setattr(DitModule, "training_step", step)
    flags = ["--model.vae", str(vae), "--max_steps=4", "--data.warmup_bucket_steps=0", *TINY_DIT]
    assert train("dit", "fit", tmp_path, shards, *flags, "--watch.prompts=[]") == 4
    assert "step=1.ckpt" in capsys.readouterr().err
    assert list(weights(tmp_path)) == [1]
