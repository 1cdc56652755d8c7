"""What does not go together is refused before the first step, with both numbers."""

import runpy
from pathlib import Path

import pytest

from manifests.records import Bucket
from trainer.config import CropConfig, DitConfig, VaeConfig
from trainer.dit.module import DitModule
from trainer.run.preflight import check_buckets, check_channels, check_crop

RUNS = runpy.run_path(str(Path(__file__).with_name("training_runs.py")))
train, TINY_VAE, TINY_DIT = (RUNS[name] for name in ("train", "TINY_VAE", "TINY_DIT"))
VAE = VaeConfig(latent_channels=4)


def bucket(frames: int, height: int = 32, width: int = 32) -> Bucket:
    return Bucket(num_frames=frames, height=height, width=width)


def test_buckets_divide_into_latents_and_patches():
    check_buckets([bucket(1), bucket(17), bucket(9, 32, 48)], VAE, patch=2)
    with pytest.raises(ValueError, match=r"16x32x32 .* has 16 frames, but .*time_factor=4 needs 1 \+ k \* 4"):
        check_buckets([bucket(17), bucket(16)], VAE)
    check_buckets([bucket(11)], VaeConfig(time_factor=2))
    with pytest.raises(ValueError, match=r"24x32 pixels, .* multiples of 16 .*space_factor 8 x patch 2"):
        check_buckets([bucket(17, 32, 24)], VAE, patch=2)
    check_buckets([bucket(17, 32, 24)], VAE, patch=1)


@pytest.mark.parametrize(
    ("crop", "message"),
    [
        (CropConfig(lengths=(1, 8)), r"lengths has 8 frames, but model\.vae\.time_factor=4"),
        (CropConfig(lengths=()), "lengths is empty"),
        (CropConfig(side_px=20), r"side_px=20 is no multiple of the VAE's space_factor 8"),
    ],
)
def test_crops_divide_into_latents(crop, message):
    check_crop(CropConfig(), VAE)
    with pytest.raises(ValueError, match=message):
        check_crop(crop, VAE)


def test_channels_are_those_of_the_latents_and_the_texts():
    dit = DitConfig(width=16, depth=1, heads=2, latent_channels=4, text_width=384)
    check_channels(dit, VAE, 384)
    with pytest.raises(ValueError, match=r"latent_channels=4, but the latents have 8"):
        check_channels(dit, VaeConfig(latent_channels=8), 384)
    with pytest.raises(ValueError, match=r"text_width=384, but the states of the text encoder have 768"):
        check_channels(dit, VAE, 768)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            ["--trainer.accumulate_grad_batches=5"],
            r"batch_size=4 is less than 1 ranks x 5 accumulated .* = 5",
        ),
        (["--model.dit.latent_channels=8"], r"latent_channels=8, but the latents have 4"),
        (["--model.dit.text_width=512"], r"text_width=512, but .* have 384"),
        (["--watch.sample_size=[16,32,32]"], r"sample_size=\[16, 32, 32\]: .* such as 17 frames of 32x32"),
        (["--model.dit.patch=3"], r"multiples of 24"),
        (["--model.text_encoder=ENCODER"], r"model\.text_encoder=.* has digest .*, but the texts were"),
        (["--trainer.gradient_clip_val=-1"], "gradient_clip_val"),
        (["--max_steps=0"], "max_steps"),
    ],
)
def test_a_run_of_the_transformer_is_refused_before_its_first_step(
    encoded, tmp_path, monkeypatch, flags, message
):
    shards, vae = encoded
    monkeypatch.setattr(DitModule, "training_step", lambda *_: pytest.fail("a step was trained"))
    other = RUNS["other_text_encoder"](tmp_path / "encoder") if "ENCODER" in flags[0] else ""
    flags = [flag.replace("ENCODER", str(other)) for flag in flags]
    plain = ["--model.vae", str(vae), "--max_steps=2", "--data.warmup_bucket_steps=0", *TINY_DIT]
    with pytest.raises((ValueError, OSError), match=message):
        train("dit", "fit", tmp_path / "dit", shards, *plain, *flags)
    assert not (tmp_path / "dit" / "checkpoints").exists()


@pytest.mark.filterwarnings("ignore")
def test_a_run_of_the_vae_is_refused_before_its_first_step(shards, tmp_path):
    more = ["--max_steps=2", "--data.batch_size=2", "--trainer.accumulate_grad_batches=4"]
    with pytest.raises(ValueError, match=r"batch_size=2 is less than 1 ranks x 4 .* = 4: raise it to 4"):
        train("vae", "fit", tmp_path / "a", shards, *TINY_VAE, *more)
    more = ["--max_steps=2", "--model.vae.time_factor=5", "--data.crop.lengths=[1]"]
    with pytest.raises(ValueError, match=r"bucket 17x32x32 .* time_factor=5"):
        train("vae", "fit", tmp_path / "b", shards, *TINY_VAE, *more)
    with pytest.raises(ValueError, match=r"ema_decay=1\.5 is out of range"):
        train("vae", "fit", tmp_path / "c", shards, *TINY_VAE, "--model.optim.ema_decay=1.5")
