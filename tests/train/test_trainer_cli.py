"""The command line of training: shipped configurations parse, a small run works, bad usage is refused."""

import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from trainer.cli import main
from trainer.config import EncodeConfig, SampleConfig
from trainer.data.encode import encode
from trainer.run.saving import newest_checkpoint
from trainer.sample.model import load_model
from trainer.sample.sampler import generate
from trainer.sample.verbs import text_to_video
from trainer.vae.module import VaeModule

RUNS = runpy.run_path(str(Path(__file__).with_name("training_runs.py")))
CONFIGS, VAE, DIT, train = (RUNS[name] for name in ("CONFIGS", "TINY_VAE", "TINY_DIT", "train"))


@pytest.mark.parametrize("config", sorted(CONFIGS.iterdir()), ids=lambda path: path.stem)
def test_shipped_configurations_parse(config, capsys):
    kind = config.stem.split("_")[0]
    args = ["fit", "--config", str(config), "--data.shards", "s", "--out", "o", "--print_config"]
    if kind == "dit":
        args[3:3] = ["--model.vae", "v"]
    with pytest.raises(SystemExit) as done:
        main(kind, args)
    assert done.value.code == 0
    assert "lr: 0.00" in capsys.readouterr().out


def test_an_unknown_key_is_refused(capsys):
    with pytest.raises(SystemExit) as done:
        main("vae", ["fit", "--data.shardz", "x"])
    assert done.value.code == 2
    said = capsys.readouterr().err
    assert "shardz" in said
    assert said.startswith("usage: kinora train vae fit --config FILE.yaml [--FIELD VALUE …]\n")
    assert "run: kinora train vae fit --help" in said
    assert len(said.splitlines()) == 3


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

    def videos(*seeds: int, num_frames: int = 9) -> np.ndarray:
        shape: dict[str, Any] = {"num_frames": num_frames, "height": 32, "width": 48}
        conditions = [text_to_video(model, "a red square", seed=seed, **shape) for seed in seeds]
        return np.stack(generate(model, conditions, SampleConfig(steps=2)))

    both = videos(1, 2)
    assert both.shape == (2, 9, 32, 48, 3)
    assert both.dtype == np.uint8
    assert np.array_equal(both, videos(1, 2))
    assert not np.array_equal(both[0], both[1])
    assert videos(1, num_frames=1).shape == (1, 1, 32, 48, 3)
    with pytest.raises(ValueError, match="such as 9 frames of 48x32"):
        videos(1, num_frames=8)


@pytest.mark.filterwarnings("ignore")
def test_checkpoints_are_plain_state(packer, tmp_path):
    shards, out = packer(tmp_path / "shards"), tmp_path / "vae"
    train("vae", "fit", out, shards, "--max_steps=3", "--watch.checkpoint_every_steps=1", *VAE)
    newest = newest_checkpoint(out / "checkpoints")
    assert newest is not None
    state = torch.load(newest, weights_only=True)
    assert state["global_step"] == 3
    assert state["PixelData"]["next_step"] == 3


@pytest.mark.filterwarnings("ignore")
def test_own_callbacks_and_loggers_are_used_next_to_ours(shards, tmp_path):
    own = tmp_path / "own.yaml"
    own.write_text(
        f"""
trainer:
  log_every_n_steps: 1
  callbacks:
    - class_path: lightning.pytorch.callbacks.LearningRateMonitor
      init_args: {{logging_interval: step}}
    - class_path: lightning.pytorch.callbacks.ModelCheckpoint
      init_args: {{dirpath: {tmp_path}/best, monitor: train/loss, every_n_train_steps: 1}}
  logger:
    class_path: lightning.pytorch.loggers.CSVLogger
    init_args: {{save_dir: {tmp_path}/mine, name: own}}
"""
    )
    assert train("vae", "fit", tmp_path / "run", shards, "--config", str(own), "--max_steps=2", *VAE) == 0
    ours, theirs = (
        next(folder.rglob("metrics.csv")).read_text()
        for folder in (tmp_path / "run" / "logs", tmp_path / "mine")
    )
    assert "lr-MuonWithAdamW" in ours
    assert ours == theirs
    assert list((tmp_path / "run" / "logs").rglob("events.out.tfevents.*"))
    assert len(list((tmp_path / "best").glob("*.ckpt"))) == 1
    assert [path.name for path in (tmp_path / "run" / "checkpoints").iterdir()] == ["step=2.ckpt"]
    config = tmp_path / "run" / "logs" / "version_0" / "config.yaml"
    more = ["--config", str(config), "--max_steps=3", "--resume"]
    assert main("vae", ["fit", *more]) == 0  # the configuration that a run wrote is enough to go on
    off = ["--config", str(config), "--trainer.logger=false", "--trainer.callbacks=[]"]
    assert main("vae", ["fit", *off, "--max_steps=1", "--out", str(tmp_path / "quiet")]) == 0
    assert not (tmp_path / "quiet" / "logs").exists()
    assert main("vae", ["validate", "--config", str(config)]) == 0


@pytest.mark.filterwarnings("ignore")
def test_the_clip_norm_of_the_optimizer_is_used(shards, tmp_path, monkeypatch):
    norms = []
    plain = VaeModule.configure_gradient_clipping

    def clip(self, *args, **kwargs):
        plain(self, *args, **kwargs)
        norms.append(torch.nn.utils.get_total_norm([p.grad for p in self.model.parameters()]).item())

    monkeypatch.setattr(VaeModule, "configure_gradient_clipping", clip)
    flags = [*VAE, "--max_steps=2"]
    train("vae", "fit", tmp_path / "a", shards, *flags, "--model.optim.clip_norm=0.001")
    assert norms == pytest.approx([0.001, 0.001], rel=1e-3)
    norms.clear()
    train("vae", "fit", tmp_path / "b", shards, *flags, "--model.optim.clip_norm=0")
    assert min(norms) > 1
    norms.clear()
    train("vae", "fit", tmp_path / "c", shards, *flags, "--trainer.gradient_clip_val=0.01")
    assert norms == pytest.approx([0.01, 0.01], rel=1e-3)


@pytest.mark.filterwarnings("ignore")
def test_the_flow_that_was_trained_is_stored_and_sampled(encoded, tmp_path):
    shards, vae = encoded
    flags = ["--model.vae", str(vae), "--max_steps=1", "--data.warmup_bucket_steps=0", "--watch.prompts=[]"]
    shifts = ["--data.flow.shift_tokens=7", "--model.flow.shift_tokens=9"]
    train("dit", "fit", tmp_path, shards, *DIT, *flags, *shifts)
    assert load_model(tmp_path).flow.shift_tokens == 7
