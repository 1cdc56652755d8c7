"""The command line of training: shipped configurations parse, a small run works, bad usage is refused."""

import runpy
from pathlib import Path

import numpy as np
import pytest
import torch

from trainer.cli import main
from trainer.config import EncodeConfig, SampleConfig
from trainer.data.encode import encode
from trainer.run.saving import newest_checkpoint
from trainer.sample import generate, load_model

RUNS = runpy.run_path(str(Path(__file__).with_name("training_runs.py")))
CONFIGS, VAE, DIT, train = (RUNS[name] for name in ("CONFIGS", "TINY_VAE", "TINY_DIT", "train"))


@pytest.mark.parametrize("kind", ["vae", "dit"])
def test_shipped_configurations_parse(kind, capsys):
    config = next(CONFIGS.glob(f"{kind}_tiny.yaml"))
    args = ["fit", "--config", str(config), "--data.shards", "s", "--out", "o", "--print_config"]
    if kind == "dit":
        args[3:3] = ["--model.vae", "v"]
    with pytest.raises(SystemExit) as done:
        main(kind, args)
    assert done.value.code == 0
    assert "lr: 0.00" in capsys.readouterr().out


def test_every_shipped_configuration_is_tested():
    assert {path.name for path in CONFIGS.iterdir()} == {"vae_tiny.yaml", "dit_tiny.yaml"}


def test_an_unknown_key_is_refused(capsys):
    with pytest.raises(SystemExit) as done:
        main("vae", ["fit", "--data.shardz", "x"])
    assert done.value.code == 2
    assert "shardz" in capsys.readouterr().err


@pytest.mark.filterwarnings("ignore")
def test_from_shards_to_a_video(packer, tmp_path, capsys):
    shards, vae, dit = packer(tmp_path / "shards"), tmp_path / "vae", tmp_path / "dit"
    assert train("vae", "fit", vae, shards, "--max_steps=3", *VAE) == 0
    encode(EncodeConfig(shards=str(shards), vae=str(vae)), progress=lambda line: None)
    settings = ["--model.vae", str(vae), *DIT, "--trainer.val_check_interval=2"]
    short = ["--max_steps=4", "--trainer.limit_train_batches=2", "--trainer.max_epochs=1"]
    train("dit", "fit", dit, shards, *settings, *short, "--watch.checkpoint_every_steps=2")
    assert {path.name for path in (dit / "samples" / "step-000002").iterdir()} >= {"00.mp4", "sheet.png"}

    with pytest.raises(ValueError, match="holds another run"):
        train("dit", "fit", dit, shards, *settings, "--max_steps=4")
    train("dit", "fit", dit, shards, *settings, "--max_steps=4", "--resume")
    assert train("dit", "validate", dit, shards, *settings) == 0
    assert "step 4/4" in capsys.readouterr().out
    assert "val/loss" in "".join(path.read_text() for path in (dit / "logs").rglob("metrics.csv"))

    model = load_model(dit)
    shape = {"height": 32, "width": 48, "num_frames": 9, "sample": SampleConfig(steps=2)}
    both = generate(model, ["a red square", "a blue square"], seeds=[1, 2], **shape)
    assert both.shape == (2, 9, 32, 48, 3)
    assert both.dtype == np.uint8
    again = generate(model, ["a red square", "a blue square"], seeds=[1, 2], **shape)
    assert np.array_equal(both, again)
    assert not np.array_equal(generate(model, ["a red square"], seeds=[7], **shape)[0], both[0])
    image = generate(model, ["a red square"], seeds=[1], **{**shape, "num_frames": 1})
    assert image.shape == (1, 1, 32, 48, 3)
    with pytest.raises(ValueError, match="such as 9 frames of 48x32"):
        generate(model, ["a red square"], seeds=[1], **{**shape, "num_frames": 8})


@pytest.mark.filterwarnings("ignore")
def test_checkpoints_are_plain_state(packer, tmp_path):
    shards, out = packer(tmp_path / "shards"), tmp_path / "vae"
    train("vae", "fit", out, shards, "--max_steps=3", "--watch.checkpoint_every_steps=1", *VAE)
    newest = newest_checkpoint(out / "checkpoints")
    assert newest is not None
    state = torch.load(newest, weights_only=True)
    assert state["global_step"] == 3
    assert state["PixelData"]["next_step"] == 3
