"""Short trainings of tiny networks, for the tests of this folder."""

import shutil
from pathlib import Path
from typing import Literal

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import ModelCheckpoint

from trainer.cli import main
from trainer.config import (
    EMBEDDED_TEXT_ENCODER,
    CropConfig,
    DitConfig,
    FlowConfig,
    OptimConfig,
    TextChoice,
    VaeConfig,
    VaeLossConfig,
)
from trainer.data.latents import LatentData
from trainer.data.pixels import PixelData
from trainer.dit.module import DitModule
from trainer.text_files import encoder_folder
from trainer.vae.module import VaeModule

CONFIGS = Path(__file__).parents[2] / "trainer" / "configs"
TINY_VAE = ["--model.vae.widths=[8,12]", "--model.vae.latent_channels=4", "--data.crop.side_px=16"]
TINY_DIT = [
    *("--model.dit.width=16", "--model.dit.depth=1", "--model.dit.heads=2", "--model.dit.latent_channels=4"),
    *("--watch.sample_size=[5,32,32]", "--sample.steps=2"),
]
QUICK = ["--data.batch_size=4", "--data.validation_fraction=0.2", "--trainer.accelerator=cpu"]
OPTIM = OptimConfig(lr=1e-3, warmup_steps=2)
VAE = VaeConfig(latent_channels=4, widths=(8, 12), encoder_depths=(1, 1), decoder_depths=(1, 1))
NANO = DitConfig(width=16, depth=1, heads=2, latent_channels=4, refiner_depth=1)
QUIET = {"accelerator": "cpu", "logger": False, "enable_progress_bar": False, "enable_model_summary": False}


def train_args(kind: str, verb: str, out: Path, shards: Path, *more: str) -> list[str]:
    """Return the arguments of `kinora train KIND` with the shipped configuration."""
    config = str(CONFIGS / f"{kind}_tiny.yaml")
    return [verb, "--config", config, "--data.shards", str(shards), "--out", str(out), *QUICK, *more]


def train(kind: Literal["vae", "dit"], verb: str, out: Path, shards: Path, *more: str) -> int:
    """Run `kinora train KIND` in this process; return its exit code."""
    return main(kind, train_args(kind, verb, out, shards, *more))


def other_text_encoder(folder: Path) -> Path:
    """Write an encoder like the embedded one, with other weights."""
    shutil.copytree(encoder_folder(EMBEDDED_TEXT_ENCODER), folder)
    with (folder / "model.safetensors").open("r+b") as file:
        file.seek(-2, 2)
        file.write(b"\0\0")
    return folder


def fit(
    module,
    data,
    out: Path,
    *,
    steps: int,
    every: int = 100,
    ckpt: Path | None = None,
    micro_batches: int = 1,
):
    """Train to optimizer step `steps` of 6, keep every checkpoint, and return the weights."""
    keep = ModelCheckpoint(dirpath=out, filename="{step}", every_n_train_steps=every, save_top_k=-1)
    trainer = L.Trainer(
        max_steps=6,
        limit_train_batches=steps * micro_batches,
        max_epochs=1,
        limit_val_batches=0,
        callbacks=[keep],
        default_root_dir=out,
        accumulate_grad_batches=micro_batches,
        **QUIET,
    )
    trainer.fit(module, datamodule=data, ckpt_path=ckpt, weights_only=True)
    return {name: value.clone() for name, value in module.state_dict().items()}


def vae_run(shards: Path, out: Path, *, workers: int = 0, **how):
    torch.manual_seed(0)
    crop = CropConfig(side_px=16, lengths=(1, 9))
    data = PixelData(shards=str(shards), batch_size=4, num_workers=workers, validation_fraction=0, crop=crop)
    module = VaeModule(VAE, VaeLossConfig(), OPTIM, statistics_clips=4)
    return fit(module, data, out, **how)


def dit_run(shards: Path, vae: Path, out: Path, *, workers: int = 0, seed: int = 0, **how):
    torch.manual_seed(seed)
    flow, text = FlowConfig(clean_prob=0.5), TextChoice(dense_prob=0.5)
    data = LatentData(
        shards=str(shards),
        batch_size=4,
        num_workers=workers,
        validation_fraction=0,
        flow=flow,
        text=text,
        dit=NANO,
    )
    return fit(DitModule(NANO, OPTIM, str(vae)), data, out, **how)


def assert_equal(one, other) -> None:
    assert one.keys() == other.keys()
    different = [name for name in one if not torch.equal(one[name], other[name])]
    assert not different


def assert_equal_to_float32_rounding(stored: np.ndarray, expected: np.ndarray) -> None:
    """Allow one float16 step, where float32 rounding crosses a float16 boundary."""
    atol = 64 * np.finfo(np.float32).eps * np.abs(expected).max()
    np.testing.assert_allclose(stored, expected, rtol=float(np.finfo(np.float16).eps), atol=atol)
