"""Training of the VAE: an interrupted run equals an uninterrupted one, for any number of workers; a decoder
trained alone leaves latents and transformers valid."""

import runpy
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from trainer.checkpoints import load_vae
from trainer.config import EncodeConfig, VaeLossConfig
from trainer.data.encode import encode
from trainer.model_files import latents_digest, pixels_digest, read_about
from trainer.sample.model import load_model
from trainer.vae.module import VaeModule

RUNS = runpy.run_path(str(Path(__file__).with_name("training_runs.py")))
vae_run, assert_equal, train, OPTIM = (RUNS[name] for name in ("vae_run", "assert_equal", "train", "OPTIM"))
TINY_VAE, TINY_DIT = RUNS["TINY_VAE"], RUNS["TINY_DIT"]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("before", "after"), [(0, 0), (2, 1)])
def test_a_resumed_vae_equals_an_uninterrupted_one(shards, tmp_path, before, after):
    whole = vae_run(shards, tmp_path / "whole", steps=6)
    vae_run(shards, tmp_path / "cut", steps=4, every=3, workers=before)
    step_3 = next((tmp_path / "cut").glob("step=3.ckpt"))
    assert_equal(vae_run(shards, tmp_path / "rest", steps=6, ckpt=step_3, workers=after), whole)


@pytest.mark.filterwarnings("ignore")
def test_a_decoder_trained_alone_keeps_latents_and_transformers_valid(packer, tmp_path):
    shards, vae, dit, better = (
        packer(tmp_path / "shards"),
        *(tmp_path / name for name in ("vae", "dit", "better")),
    )
    assert train("vae", "fit", vae, shards, "--max_steps=2", *TINY_VAE) == 0
    encode(EncodeConfig(shards=str(shards), vae=str(vae)), progress=lambda line: None)
    assert train("dit", "fit", dit, shards, "--max_steps=1", "--model.vae", str(vae), *TINY_DIT) == 0

    depths = read_about(vae, "vae")["config"]["decoder_depths"]
    deeper = f"--model.vae.decoder_depths=[{depths[0]},{depths[1] + 1}]"
    kept = ["--model.keep_encoder_of", str(vae), "--model.latent_noise=0.2", deeper, *TINY_VAE]
    assert train("vae", "fit", better, shards, "--max_steps=2", *kept) == 0
    (before, about), (after, about_after) = load_vae(vae), load_vae(better)
    for name, value in before.state_dict().items():
        changed = not torch.equal(value, after.state_dict()[name])
        assert changed == name.startswith(("decoder_", "from_latent", "upsample", "conv_out")), name
    assert latents_digest(about_after) == about["digest"] != about_after["digest"]

    assert train("vae", "fit", better, shards, "--max_steps=3", "--resume", *kept) == 0
    again = ["--init_from", str(better), *kept]
    assert train("vae", "fit", tmp_path / "again", shards, "--max_steps=1", *again) == 0
    for run in (better, tmp_path / "again"):
        assert latents_digest(read_about(run, "vae")) == about["digest"]

    figures = encode(EncodeConfig(shards=str(shards), vae=str(better)), progress=lambda line: None)
    assert (figures["encoded"], figures["failed"]) == (0, [])
    more = ["--model.vae", str(better), *TINY_DIT]
    assert train("dit", "fit", tmp_path / "more", shards, "--max_steps=1", *more) == 0
    digest = pixels_digest(dit)
    for name in ("vae.json", "vae.safetensors"):
        shutil.copy(better / name, dit / name)
    assert load_model(dit).vae.config.decoder_depths[1] == depths[1] + 1
    assert pixels_digest(dit) != digest  # other pixels, so nothing that the former decoder made is reused


@pytest.mark.filterwarnings("ignore")
def test_weights_with_another_encoder_do_not_pass_for_those_of_the_kept_one(shards, tmp_path):
    vae, other, new = (tmp_path / name for name in ("vae", "other", "new"))
    args = ["--max_steps=1", *TINY_VAE]
    assert train("vae", "fit", vae, shards, *args) == 0
    assert train("vae", "fit", other, shards, *args, "--seed_everything=1") == 0
    kept = ["--model.keep_encoder_of", str(vae)]
    with pytest.raises(ValueError, match="the weights to go on from have another encoder"):
        train("vae", "fit", new, shards, *args, *kept, "--init_from", str(other))
    assert not (new / "vae.json").exists()
    with pytest.raises(FileNotFoundError, match=r"gone: no vae\.json; train one with"):
        train("vae", "fit", new, shards, *args, "--model.keep_encoder_of", str(tmp_path / "gone"))
    assert train("vae", "fit", new, shards, *args, *kept) == 0
    for name in ("vae.json", "vae.safetensors"):
        shutil.copy(other / name, vae / name)
    with pytest.raises(ValueError, match="the weights to go on from have another encoder"):
        train("vae", "fit", new, shards, "--resume", "--max_steps=2", *TINY_VAE, *kept)


def test_an_encoder_of_another_shape_cannot_be_kept(encoded):
    vae = encoded[1]
    former = load_vae(vae)[0].config
    for fields in (
        {"widths": (8, 16)},
        {"latent_channels": 8},
        {"encoder_depths": (0, 0)},
        {"decoder_depths": (1, 0)},
        {"time_patch": 1, "time_factor": 1, "patch": 8},  # its weights have the same shapes
    ):
        config = replace(former, **fields)
        with pytest.raises(
            ValueError, match=r"does not fit model\.vae; give model\.vae the values in .*vae\.json"
        ):
            VaeModule(config, VaeLossConfig(), OPTIM, keep_encoder_of=str(vae))
