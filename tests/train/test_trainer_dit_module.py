"""Training of the transformer: exact resume, accumulation, and weights that come back."""

import runpy
from pathlib import Path

import pytest
import torch

from trainer.checkpoints import load_dit, load_vae

RUNS = runpy.run_path(str(Path(__file__).with_name("training_runs.py")))
NANO, OPTIM, vae_run, dit_run, assert_equal = (
    RUNS[name] for name in ("NANO", "OPTIM", "vae_run", "dit_run", "assert_equal")
)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("workers", "micro_batches"), [(0, 1), (2, 2)])
def test_a_resumed_dit_equals_an_uninterrupted_one(encoded, tmp_path, workers, micro_batches):
    how = {"workers": workers, "micro_batches": micro_batches}
    whole = dit_run(*encoded, tmp_path / "whole", steps=6, micro_batches=micro_batches)
    dit_run(*encoded, tmp_path / "cut", steps=4, every=2, **how)
    step_2 = next((tmp_path / "cut").glob("step=2.ckpt"))
    rest = dit_run(*encoded, tmp_path / "rest", steps=6, ckpt=step_2, seed=9, **how)
    assert_equal(rest, whole)


@pytest.mark.filterwarnings("ignore")
def test_accumulated_micro_batches_make_the_same_step(encoded, tmp_path):
    whole = dit_run(*encoded, tmp_path / "whole", steps=2)
    split = dit_run(*encoded, tmp_path / "split", steps=2, micro_batches=2)
    rounding = torch.finfo(torch.bfloat16).eps  # Muon orthogonalizes in bfloat16
    for name, value in whole.items():
        torch.testing.assert_close(split[name], value, atol=16 * OPTIM.lr * rounding, rtol=rounding / 8)


@pytest.mark.filterwarnings("ignore")
def test_weights_come_back_and_a_changed_file_is_refused(encoded, tmp_path):
    dit_run(*encoded, tmp_path, steps=2)
    dit, about = load_dit(tmp_path)
    assert dit.config == NANO
    assert about["fps"] == 8.0
    vae, _ = load_vae(tmp_path)
    assert not torch.equal(vae.latent_scale_CC, torch.eye(4))
    with (tmp_path / "model.safetensors").open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x7f")
    with pytest.raises(ValueError, match=r"not what model\.json names"):
        load_dit(tmp_path)


@pytest.mark.filterwarnings("ignore")
def test_latents_of_another_vae_are_refused(encoded, shards, tmp_path):
    vae_run(shards, tmp_path / "other", steps=1)
    with pytest.raises(ValueError, match="another compression network"):
        dit_run(encoded[0], tmp_path / "other", tmp_path / "out", steps=1)
