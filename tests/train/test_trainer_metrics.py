"""Numbers over ranks are those of one process."""

import csv
import json
import os
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from trainer.config import EncodeConfig
from trainer.data.encode import encode
from trainer.metrics import MeanOverRanks, SumOverRanks

WORKER = Path(__file__).with_name("metrics_rank.py")
ROOT = Path(__file__).parents[2]
VALUES = runpy.run_path(str(WORKER))["VALUES"]


def test_one_process():
    means = MeanOverRanks(["a", "b"])
    means.add("a", torch.tensor([1.0, 2.0]))
    means.add("a", torch.tensor(6.0))
    assert means.reduce(torch.device("cpu")) == {"a": 3.0}
    assert means.reduce(torch.device("cpu")) == {}
    sums = SumOverRanks()
    sums.add({"x": torch.tensor(1e8)})
    sums.add({"x": torch.tensor(1.0)})  # float32 would lose it
    assert sums.reduce() == {"x": 1e8 + 1}


@pytest.mark.parametrize("ranks", [2, 3])
def test_uneven_ranks_and_a_name_that_one_rank_lacks(ranks, tmp_path):
    file, env = tmp_path / "store", os.environ | {"PYTHONPATH": str(ROOT)}
    workers = [
        subprocess.Popen([sys.executable, str(WORKER), str(rank), str(ranks), str(file)], env=env)
        for rank in range(ranks)
    ]
    assert [worker.wait(timeout=120) for worker in workers] == [0] * ranks
    flat = {name: [value for batch in batches for value in batch] for name, batches in VALUES.items()}
    means = {name: pytest.approx(np.mean(values), rel=1e-12) for name, values in flat.items()}
    sums = {name: pytest.approx(np.sum(values), rel=1e-12) for name, values in flat.items()}
    for rank in range(ranks):
        assert json.loads(Path(f"{file}.{rank}.json").read_text()) == [means, sums] * 2


SHARED = ["--data.batch_size=6", "--data.validation_fraction=0.4", "--max_steps=4", "--watch.prompts=[]"]
SHARED += ["--trainer.accelerator=cpu", "--trainer.precision=32-true", "--trainer.val_check_interval=2"]
SHARED += ["--trainer.log_every_n_steps=1"]
VAE = ["--model.vae.widths=[8,12]", "--model.vae.latent_channels=4", "--data.crop.side_px=16"]
DIT = ["--model.dit.width=16", "--model.dit.depth=1", "--model.dit.heads=2", "--model.dit.latent_channels=4"]
FROZEN = ["--model.optim.lr=1e-12"]
"""Muon makes the rounding of ranks larger: numbers are compared where weights stay as they are."""


def train(kind: str, out: Path, shards: Path, ranks: int, *more: str) -> list[dict[str, float]]:
    """Train by the command line; return the logged numbers."""
    config = ROOT / "trainer" / "configs" / f"{kind}_tiny.yaml"
    command = [sys.executable, "-m", "kinora", "train", kind, "fit", "--config", str(config), *SHARED]
    command += ["--data.shards", str(shards), "--out", str(out), f"--trainer.devices={ranks}", *more]
    env = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    with next((out / "logs").rglob("metrics.csv")).open() as rows:
        return [
            {
                name: float(value)
                for name, value in row.items()
                if value and name.startswith(("train/", "val/"))
            }
            for row in csv.DictReader(rows)
        ]


@pytest.mark.slow
def test_training_on_ranks_is_training_in_one_process(packer, tmp_path):
    shards = packer(tmp_path / "shards", clips_a_bucket=9)
    one, two, three = (train("vae", tmp_path / f"vae{n}", shards, n, *VAE, *FROZEN) for n in (1, 2, 3))
    assert {"train/loss", "train/kl", "val/psnr_db"} <= {name for row in one for name in row}
    assert two == [pytest.approx(row, rel=1e-6) for row in one]
    assert three == [pytest.approx(row, rel=1e-6) for row in one]

    encode(EncodeConfig(shards=str(shards), vae=str(tmp_path / "vae1")), progress=lambda line: None)
    vae = ["--model.vae", str(tmp_path / "vae1"), "--data.warmup_bucket_steps=0", *DIT]
    one, two, three = (train("dit", tmp_path / f"dit{n}", shards, n, *vae, *FROZEN) for n in (1, 2, 3))
    assert {"train/loss", "val/loss", "val/loss_at_0.1", "val/loss_at_0.9"} <= {n for row in one for n in row}
    assert two == [pytest.approx(row, rel=1e-6) for row in one]
    assert three == [pytest.approx(row, rel=1e-6) for row in one]

    rounding = torch.finfo(torch.bfloat16).eps  # Muon orthogonalizes in bfloat16
    for ranks in (1, 2):
        train("dit", tmp_path / f"trained{ranks}", shards, ranks, *vae, "--model.optim.lr=1e-3")
    weights, other = (load_file(tmp_path / f"trained{n}" / "model.safetensors") for n in (1, 2))
    for name, value in weights.items():
        torch.testing.assert_close(other[name], value, atol=16 * 4e-3 * rounding, rtol=rounding / 8)
