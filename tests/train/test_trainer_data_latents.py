"""Batches of latents depend on the step alone, and count tokens by the factors of both networks."""

import runpy
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from trainer.checkpoints import save_model
from trainer.config import (
    EncodeConfig,
    FlowConfig,
    TextChoice,
)
from trainer.data.encode import encode
from trainer.data.latents import LatentData
from trainer.vae.model import VideoVae

RUNS = runpy.run_path(str(Path(__file__).with_name("training_runs.py")))
NANO, VAE = RUNS["NANO"], RUNS["VAE"]


def test_a_batch_depends_on_its_step_alone(encoded):
    def batch(step: int):
        data = LatentData(
            shards=str(encoded[0]),
            batch_size=6,
            validation_fraction=0,
            flow=FlowConfig(),
            text=TextChoice(),
            dit=NANO,
        )
        data.setup("fit")
        return data.read(step, 0)

    one, same, other = batch(5), batch(5), batch(6)
    for first, second in zip(one.groups, same.groups, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert not np.array_equal(one.groups[0].noise_BCTHW[0], other.groups[0].noise_BCTHW[0])
    tokens = sum(int((g.sigma_BT > 0).sum()) * 2 * g.data_BCTHW.shape[4] // 2 for g in one.groups)
    assert one.num_tokens == tokens


def test_token_counts_follow_the_factors_of_both_networks(packer, tmp_path):
    shards = packer(tmp_path / "shards", clips_a_bucket=2)
    save_model(tmp_path / "vae", "vae", VideoVae(replace(VAE, patch=2, time_factor=2)), {})
    encode(EncodeConfig(shards=str(shards), vae=str(tmp_path / "vae")), progress=lambda line: None)
    for patch in (1, 2, 4):
        data = LatentData(
            shards=str(shards),
            batch_size=6,
            validation_fraction=0,
            flow=FlowConfig(clean_prob=0.5),
            text=TextChoice(),
            dit=replace(NANO, patch=patch),
        )
        data.setup("fit")
        batch = data.read(0, 0)
        assert {group.data_BCTHW.shape[2:] for group in batch.groups} <= {(9, 8, 8), (5, 8, 12), (1, 8, 8)}
        values = sum(int((g.sigma_BT > 0).sum()) * g.data_BCTHW[0, 0, 0].numel() for g in batch.groups)
        assert batch.num_tokens == values // patch**2
