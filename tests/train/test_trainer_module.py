"""Training through Lightning: an interrupted run equals an uninterrupted one, for any number of workers."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import lightning as L
import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint

from manifests.shards import ShardIndex
from trainer.checkpoints import load_dit, load_vae, save_model
from trainer.config import (
    CropConfig,
    DitConfig,
    EncodeConfig,
    FlowConfig,
    OptimConfig,
    TextChoice,
    VaeConfig,
    VaeLossConfig,
)
from trainer.data.decode import decode_sample, read_sample
from trainer.data.encode import encode
from trainer.data.latent_cache import EncodedSet
from trainer.data.latents import LatentData
from trainer.data.pixels import PixelData
from trainer.data.shards import RUN_CLIPS, WINDOW_STEPS
from trainer.dit.module import DitModule
from trainer.pixels import to_pixels
from trainer.text import TextEncoder
from trainer.vae.model import VideoVae
from trainer.vae.module import VaeModule

OPTIM = OptimConfig(lr=1e-3, warmup_steps=2)
VAE = VaeConfig(latent_channels=4, widths=(8, 12), encoder_depths=(1, 1), decoder_depths=(1, 1))
NANO = DitConfig(width=16, depth=1, heads=2, latent_channels=4, refiner_depth=1)
QUIET = {"accelerator": "cpu", "logger": False, "enable_progress_bar": False, "enable_model_summary": False}


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
    return fit(DitModule(NANO, flow, OPTIM, str(vae)), data, out, **how)


@pytest.fixture(scope="session")
def encoded(tmp_path_factory, packer) -> tuple[Path, Path]:
    """Return shards with latents and text states, and the folder of the VAE that encoded them."""
    root = tmp_path_factory.mktemp("encoded")
    shards = packer(root / "shards")
    vae_run(shards, root / "vae", steps=2)
    figures = encode(EncodeConfig(shards=str(shards), vae=str(root / "vae")), progress=lambda line: None)
    assert figures["encoded"] == figures["clips"] == 18
    return shards, root / "vae"


def assert_equal(one, other) -> None:
    assert one.keys() == other.keys()
    different = [name for name in one if not torch.equal(one[name], other[name])]
    assert not different


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("before", "after"), [(0, 0), (2, 1)])
def test_a_resumed_vae_equals_an_uninterrupted_one(shards, tmp_path, before, after):
    whole = vae_run(shards, tmp_path / "whole", steps=6)
    vae_run(shards, tmp_path / "cut", steps=4, every=3, workers=before)
    step_3 = next((tmp_path / "cut").glob("step=3.ckpt"))
    assert_equal(vae_run(shards, tmp_path / "rest", steps=6, ckpt=step_3, workers=after), whole)


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
def test_other_data_is_refused(shards, packer, tmp_path):
    vae_run(shards, tmp_path / "cut", steps=2, every=1)
    other = packer(tmp_path / "other", clips_a_bucket=5)
    with pytest.raises(ValueError, match="digest changed"):
        vae_run(other, tmp_path / "rest", steps=3, ckpt=tmp_path / "cut" / "step=2.ckpt")


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


@pytest.fixture(params=["this machine", "fast bfloat16"])
def any_machine(request, monkeypatch) -> None:
    """Run on this machine as it is, then as one with native bfloat16 (AMX)."""
    if request.param == "fast bfloat16":
        monkeypatch.setattr("trainer.precision.has_fast_bfloat16", lambda device: True)


def assert_equal_to_float32_rounding(stored: np.ndarray, expected: np.ndarray) -> None:
    """Allow one float16 step, where float32 rounding crosses a float16 boundary."""
    atol = 64 * np.finfo(np.float32).eps * np.abs(expected).max()
    np.testing.assert_allclose(stored, expected, rtol=float(np.finfo(np.float16).eps), atol=atol)


@pytest.mark.usefixtures("any_machine")
def test_encoding_a_clip_does_not_depend_on_its_batch(encoded, packer, tmp_path):
    shards, folder = packer(tmp_path / "shards"), encoded[1]
    encode(EncodeConfig(shards=str(shards), vae=str(folder)), progress=lambda line: None)
    index, (vae, _), text = ShardIndex.load(shards), load_vae(folder), TextEncoder("minilm")
    stored = EncodedSet.load(index)
    for row in range(index.num_samples):
        sample = read_sample(index, index.sample(row))
        frames_THWC = decode_sample(sample, index.sample(row).bucket, index.fps)
        with torch.inference_mode():
            latent_BCTHW = vae.encode(to_pixels(torch.from_numpy(frames_THWC[None])))
        assert_equal_to_float32_rounding(stored.latent(row), latent_BCTHW[0].half().float().numpy())
        state_LD = text.states([sample.dense])[0].astype(np.float32)
        assert_equal_to_float32_rounding(stored.text(row, "dense"), state_LD)


@pytest.mark.usefixtures("any_machine")
def test_text_states_do_not_depend_on_the_other_texts():
    text = TextEncoder("minilm")
    same_length = [f"a square number {n} moves right. It is a very plain square." for n in range(6)]
    texts = ["", "a red circle", *same_length, "a blue square moves left over a gray background"]
    together = text.states(texts)
    assert [len(state_LD) for state_LD in together] == [2, 5, *[16] * 6, 11]
    for state_LD, words in zip(together, texts, strict=True):
        alone_LD = text.states([words])[0]
        assert_equal_to_float32_rounding(state_LD.astype(np.float32), alone_LD.astype(np.float32))


def test_a_second_encode_does_nothing(encoded):
    shards, vae = encoded
    assert encode(EncodeConfig(shards=str(shards), vae=str(vae)))["encoded"] == 0


@pytest.mark.filterwarnings("ignore")
def test_latents_of_another_vae_are_refused(encoded, shards, tmp_path):
    vae_run(shards, tmp_path / "other", steps=1)
    with pytest.raises(ValueError, match="another compression network"):
        dit_run(encoded[0], tmp_path / "other", tmp_path / "out", steps=1)


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


def test_a_window_reads_its_planned_clips_in_runs_of_one_bucket(shards):
    data = PixelData(shards=str(shards), batch_size=6, validation_fraction=0, crop=CropConfig(side_px=16))
    data.setup("fit")
    steps = range(WINDOW_STEPS, 2 * WINDOW_STEPS)
    planned = [int(data.training_rows[number]) for step in steps for number in data.plan.at(step)]
    read = [row for step in steps for row in data.rows_of_step(step)]
    assert sorted(read) == sorted(planned)
    assert data.rows_of_step(3) != data.rows_of_step(4) == data.rows_of_step(4)
    names = [data.index.sample(row).bucket.name for row in read]
    assert sum(one != other for one, other in pairwise(names)) <= 2 * len(read) // RUN_CLIPS


def test_training_may_start_with_the_squarest_bucket(shards):
    def data(warmup_bucket_steps: int) -> PixelData:
        made = PixelData(
            shards=str(shards),
            batch_size=6,
            warmup_bucket_steps=warmup_bucket_steps,
            validation_fraction=0,
            crop=CropConfig(side_px=16),
        )
        made.setup("fit")
        return made

    staged, plain = data(3), data(0)
    sides = {(b.height, b.width) for b in plain.index.counts()}
    squarest = max(sides, key=lambda side: min(side) / max(side))
    assert len(sides) > 1
    for step in range(3):
        buckets = {staged.index.sample(row).bucket for row in staged.rows_of_step(step)}
        assert len(buckets) == 1
        assert {(b.height, b.width) for b in buckets} == {squarest}
    assert [staged.rows_of_step(3 + step) for step in range(5)] == [plain.rows_of_step(s) for s in range(5)]
    with pytest.raises(ValueError, match="warmup_bucket_steps changed since the checkpoint"):
        plain.load_state_dict(staged.state_dict())
