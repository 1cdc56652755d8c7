"""Actors encode what one process does, more of them than fit included, and survive the death of one."""

import os
import runpy
import shutil
import signal
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch

from kinora.training.encode_on_ray import on_ray
from manifests.shards import ShardIndex
from pipeline.config import PoolConfig, RayConfig
from trainer.checkpoints import save_model
from trainer.config import EncodeConfig, VaeConfig
from trainer.data.encode import encode
from trainer.data.latent_cache import EncodedSet
from trainer.vae.model import VideoVae

PACK = runpy.run_path(str(Path(__file__).parents[1] / "train" / "conftest.py"))["pack"]
WORKERS = on_ray(PoolConfig(), RayConfig(num_cpus=2))


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A folder with shards, and with a VAE of random weights."""
    root = tmp_path_factory.mktemp("encode")
    PACK(root / "shards", clips_a_bucket=20)
    torch.manual_seed(0)
    vae = VaeConfig(latent_channels=4, widths=(8, 12), encoder_depths=(1, 1), decoder_depths=(1, 1))
    save_model(root / "vae", "vae", VideoVae(vae), {})
    return root


def config(place: Path, **settings) -> EncodeConfig:
    return EncodeConfig(shards=str(place / "shards"), vae=str(place / "vae"), **settings)


def tensors(place: Path) -> list[np.ndarray]:
    index = ShardIndex.load(place / "shards")
    stored = EncodedSet.load(index)
    rows = range(index.num_samples)
    suffixes = [stored.latent(row, 0, suffix) for row in rows for suffix in stored.suffixes(row)]
    return [
        *(stored.latent(row) for row in rows),
        *suffixes,
        *(stored.text(row, "short") for row in rows),
        stored.empty_text(),
    ]


def test_actors_encode_what_one_process_does(place):
    one = encode(config(place), progress=lambda line: None)
    expected = tensors(place)
    shutil.rmtree(place / "shards" / "encoded")
    killed: list[int] = []

    def kill_one(line: str) -> None:
        if not killed:
            killed.extend(p.pid for p in psutil.process_iter() if p.name().startswith("ray::_Encoder"))
            os.kill(killed[0], signal.SIGKILL)

    figures = encode(config(place, processes=5), progress=kill_one, workers=WORKERS)
    assert killed
    assert (figures["encoded"], figures["failed"]) == (one["encoded"], []) == (60, [])
    for actual, wanted in zip(tensors(place), expected, strict=True):
        np.testing.assert_allclose(actual, wanted, rtol=2e-3, atol=2e-3)
    assert encode(config(place), progress=lambda line: None)["encoded"] == 0


def test_errors_of_an_actor_are_those_of_one_process(place, tmp_path):
    with pytest.raises(FileNotFoundError, match="train one with `kinora train vae"):
        encode(
            EncodeConfig(shards=str(place / "shards"), vae=str(tmp_path)),
            progress=lambda line: None,
            workers=WORKERS,
        )


def test_resources_that_this_machine_lacks_are_refused(place):
    workers = on_ray(PoolConfig(cpus=64), RayConfig(num_cpus=2))
    with pytest.raises(ValueError, match=r"pool\.cpus=64, but Ray has 2 CPUs on this machine: lower it"):
        encode(config(place), progress=lambda line: None, workers=workers)
