"""A resume uses or refuses each changed setting, and ignores none."""

import runpy
from pathlib import Path

import pytest
import torch

from trainer.run.settings import REFUSED, USED, changes, check_resume, flatten, is_refused

RUNS = runpy.run_path(str(Path(__file__).with_name("training_runs.py")))
train, TINY_VAE = RUNS["train"], RUNS["TINY_VAE"]
DOCS = Path(__file__).parents[2] / "docs" / "trainer.md"


def test_nested_settings_are_named_with_dots():
    tree = {"data": {"batch_size": 4, "crop": {"lengths": (1, 9)}}, "prompts": [], "logger": None}
    flat = {"data.batch_size": 4, "data.crop.lengths": [1, 9], "prompts": [], "logger": None}
    assert flatten(tree) == flat


@pytest.mark.parametrize(
    ("name", "refused"),
    [
        ("data.batch_size", True),
        ("data.seed", True),
        ("data.flow.shift_tokens", True),
        ("data.text.drop_prob", True),
        ("data.crop.side_px", True),
        ("data.validation_fraction", True),
        ("model.vae.widths", True),
        ("model.dit.width", True),
        ("seed_everything", True),
        ("data.shards", False),
        ("data.num_workers", False),
        ("data.crop.cache_mb", False),
        ("model.optim.lr", False),
        ("model.loss.kl", False),
        ("model.vae", False),
        ("trainer.accumulate_grad_batches", False),
        ("watch.checkpoint_every_steps", False),
    ],
)
def test_what_decides_the_data_or_the_network_is_refused(name, refused):
    assert is_refused(name) == refused


def test_a_refusal_names_both_values_and_what_is_used_is_named_too():
    before = {"data.batch_size": 4, "data.seed": 0, "model.optim.lr": 1e-3, "out": "a"}
    now = {**before, "model.optim.lr": 1e-5, "out": "b", "data.new": 1}
    assert check_resume(before, now, "a") == ["model.optim.lr: 0.001 -> 1e-05"]
    assert changes(before, before) == {}
    with pytest.raises(ValueError, match=r"data\.batch_size: 4 -> 8, data\.seed: 0 -> 1: .*--init-from a"):
        check_resume(before, {**now, "data.batch_size": 8, "data.seed": 1}, "a")


def test_the_guide_lists_every_rule():
    text = DOCS.read_text()
    missing = [name for name in (*REFUSED, *USED) if f"`{name.rstrip('.')}" not in text]
    assert not missing


@pytest.mark.filterwarnings("ignore")
def test_a_resume_uses_a_new_learning_rate_and_refuses_another_batch(shards, tmp_path, capsys):
    half = ["--trainer.limit_train_batches=2", "--trainer.max_epochs=1", "--max_steps=4"]
    flags = [*TINY_VAE, "--watch.checkpoint_every_steps=2"]
    train("vae", "fit", tmp_path, shards, *flags, *half)
    other = ["--data.batch_size=5", "--data.crop.side_px=24", "--max_steps=4", "--resume"]
    with pytest.raises(ValueError, match=r"data\.batch_size: 4 -> 5, data\.crop\.side_px: 16 -> 24"):
        train("vae", "fit", tmp_path, shards, *flags, *other)
    assert not (tmp_path / "logs" / "version_1").exists()
    new = ["--model.optim.lr=1e-5", "--model.optim.weight_decay=0.5", "--max_steps=5", "--resume"]
    train("vae", "fit", tmp_path, shards, *flags, *new)
    said = capsys.readouterr().out
    assert "from step 2 on: model.optim.lr: 0.004 -> 1e-05" in said
    assert "from step 2 on: model.optim.weight_decay: 0.0 -> 0.5" in said
    state = torch.load(tmp_path / "checkpoints" / "step=5.ckpt", weights_only=True)
    groups = [g for each in state["optimizer_states"][0].values() for g in each["param_groups"]]
    assert [(g["initial_lr"], g["weight_decay"]) for g in groups] == [(1e-5, 0.5)] * 2
    assert state["lr_schedulers"][0]["base_lrs"] == [1e-5, 1e-5]
    assert state["settings"]["model.optim.lr"] == 1e-5
