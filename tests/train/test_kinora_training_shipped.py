"""The recipe of the shipped weights runs from worlds to a model, and goes on where it was stopped."""

import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from kinora.training import shipped
from kinora.training.shipped import ShippedConfig, train_shipped, write_curves
from kinora.training.shipped_worlds import EVERYTHING, FPS, Mixture, middle_square, sample_of, write_worlds
from manifests.shards import ShardIndex
from trainer.data.decode import decode_sample, read_sample
from trainer.sample.model import load_model
from worlds import families


def write(root: Path, num_worlds: int, lines: list[str] | None = None) -> int:
    progress = (lambda line: None) if lines is None else lines.append
    return write_worlds(root, num_worlds, seed=3, processes=1, progress=progress, shard_worlds=4)


def test_samples_are_whole_and_a_stopped_run_goes_on(tmp_path):
    lines: list[str] = []
    assert write(tmp_path / "once", 10, lines) == 10
    assert lines[-1] == "3 of 3 shards of worlds"
    assert write(tmp_path / "twice", 8) == 8
    (tmp_path / "twice" / "tars" / "000001-4.refs.json").unlink()  # as if it had been stopped
    assert write(tmp_path / "twice", 10) == 6
    assert write(tmp_path / "twice", 10) == 0
    once, twice = (ShardIndex.load(tmp_path / name) for name in ("once", "twice"))
    assert once.digest == twice.digest
    assert (once.num_samples, once.fps) == (10, FPS)
    for row in range(10):
        ref, world = once.sample(row), sample_of(3, row)
        sample = read_sample(once, ref)
        frames_THWC = decode_sample(sample, ref.bucket, once.fps)
        assert frames_THWC.shape == (world.num_frames, world.height, world.width, 3)
        assert sample.short == families.short_caption(world, row)
        assert sample.dense == families.dense_caption(world, row)
        error = frames_THWC.astype(float) - families.render(world)
        assert (error**2).mean() < 100  # of H.264 with 4:2:0 chroma


@pytest.mark.parametrize(("height", "width", "top", "left"), [(4, 8, 0, 2), (9, 6, 1, 0), (5, 5, 0, 0)])
def test_the_middle_square(height, width, top, left):
    frames_THWC = np.arange(2 * height * width * 3).reshape(2, height, width, 3)
    side = min(height, width)
    square_THWC = middle_square(frames_THWC)
    assert square_THWC.shape == (2, side, side, 3)
    assert (square_THWC == frames_THWC[:, top : top + side, left : left + side]).all()


def test_a_mixture_of_squares_crops_the_same_worlds_with_the_same_captions(tmp_path):
    sizes = (((80, 48), 1.0), ((48, 80), 1.0))
    indices = {}
    for square in (False, True):
        mixture = Mixture(sizes=sizes, frames=((1, 1.0), (9, 1.0)), square=square)
        root = tmp_path / str(square)
        write_worlds(root, 6, seed=3, processes=1, progress=lambda line: None, mixture=mixture)
        indices[square] = ShardIndex.load(root)
    for row in range(6):
        whole, square = (indices[key].sample(row) for key in (False, True))
        world = sample_of(3, row, mixture)
        assert (square.bucket.height, square.bucket.width) == (48, 48)
        assert (whole.bucket.height, whole.bucket.width) == (world.height, world.width)
        one, other = read_sample(indices[False], whole), read_sample(indices[True], square)
        assert (one.short, one.dense) == (other.short, other.dense)
        error = decode_sample(other, square.bucket, FPS).astype(float) - middle_square(families.render(world))
        assert (error**2).mean() < 100  # of H.264 with 4:2:0 chroma


def test_samples_cover_families_styles_and_shapes_without_held_out_pairs():
    worlds = [sample_of(0, number) for number in range(300)]
    assert {world.family for world in worlds} == {name for name, _ in EVERYTHING.families}
    assert {world.style for world in worlds} == {name for name, _ in EVERYTHING.styles}
    assert {(world.width, world.height) for world in worlds} == {size for size, _ in EVERYTHING.sizes}
    assert {world.num_frames for world in worlds} == {1, 9, 17, 25, 33}
    assert not any(families.has_unseen_pair(world) for world in worlds)
    shapes = [world for world in worlds if world.family == "shapes"]
    counts = Counter(len(families.from_json(world.to_json()).things) for world in shapes)  # type: ignore[attr-defined]
    assert set(counts) == {1, 2, 3}


def test_each_step_is_a_command_and_training_resumes(tmp_path, monkeypatch):
    commands: list[tuple[str, ...]] = []
    monkeypatch.setattr(shipped, "write_worlds", lambda *args, **kwargs: 0)
    monkeypatch.setattr(shipped, "run_kinora", lambda *words: commands.append(words))
    monkeypatch.setattr(shipped, "_export", lambda run, name, out: commands.append(("export", name)))
    (tmp_path / "vae" / "checkpoints").mkdir(parents=True)
    (tmp_path / "vae" / "checkpoints" / "step=20.ckpt").touch()
    train_shipped(ShippedConfig(out=tmp_path, vae_steps=20))
    assert [words[:2] for words in commands] == [
        ("train", "vae"),
        ("train", "vae"),
        ("export", "vae"),
        ("encode", "--shards"),
        ("encode", "--shards"),
        ("train", "dit"),
        ("train", "dit"),
        ("export", "model"),
    ]
    vae, decoder, stills, dit = (words for words in commands if words[0] == "train")
    assert {"--resume", "--max_steps"} <= {*vae}
    assert decoder[decoder.index("--model.keep_encoder_of") + 1] == vae[vae.index("--out") + 1]
    assert stills[stills.index("--data.shards") + 1] == str(tmp_path / "stills")
    assert dit[dit.index("--init_from") + 1] == stills[stills.index("--out") + 1]
    assert not {"--resume", "--max_steps"} & {*stills, *dit}


def test_a_transformer_that_goes_on_does_not_start_from_stills_again(tmp_path, monkeypatch):
    commands: list[tuple[str, ...]] = []
    monkeypatch.setattr(shipped, "write_worlds", lambda *args, **kwargs: 0)
    monkeypatch.setattr(shipped, "run_kinora", lambda *words: commands.append(words))
    monkeypatch.setattr(shipped, "_export", lambda run, name, out: None)
    (tmp_path / "dit" / "checkpoints").mkdir(parents=True)
    (tmp_path / "dit" / "checkpoints" / "step=20.ckpt").touch()
    train_shipped(ShippedConfig(out=tmp_path))
    assert "--resume" in commands[-1]
    assert "--init_from" not in commands[-1]


def test_the_transformer_is_trained_on_a_vae_that_is_named(tmp_path, monkeypatch):
    commands: list[tuple[str, ...]] = []
    monkeypatch.setattr(shipped, "write_worlds", lambda *args, **kwargs: 0)
    monkeypatch.setattr(shipped, "run_kinora", lambda *words: commands.append(words))
    monkeypatch.setattr(shipped, "_export", lambda run, name, out: commands.append(("export", name)))
    train_shipped(ShippedConfig(out=tmp_path, vae=Path("shipped")))
    assert [words[:2] for words in commands] == [
        ("encode", "--shards"),
        ("encode", "--shards"),
        ("train", "dit"),
        ("train", "dit"),
        ("export", "model"),
    ]
    _, encode, _, train, _ = commands
    assert encode[encode.index("--vae") + 1] == train[train.index("--model.vae") + 1] == "shipped"


def test_a_command_that_fails_ends_the_run(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(shipped, "write_worlds", lambda *args, **kwargs: 0)
    monkeypatch.setattr(sys, "executable", "false")
    assert shipped.main(["--out", str(tmp_path)]) == 1
    assert "train vae fit" in capsys.readouterr().err


@pytest.mark.slow
def test_from_worlds_to_a_model(tmp_path):
    config = ShippedConfig(
        out=tmp_path,
        num_worlds=48,
        num_stills=32,
        processes=1,
        vae_steps=2,
        decoder_steps=2,
        still_steps=2,
        dit_steps=2,
    )
    train_shipped(config)
    weights = tmp_path / "weights"
    before = {name: (weights / f"{name}.safetensors").read_bytes() for name in ("vae", "model")}
    model = load_model(weights)
    assert model.vae.conv_in.weight.dtype == torch.float32
    stored = load_file(weights / "vae.safetensors")
    assert stored["conv_in.weight"].dtype == torch.bfloat16
    assert stored["latent_scale_CC"].dtype == torch.float32
    train_shipped(config)  # all is there
    assert before == {name: (weights / f"{name}.safetensors").read_bytes() for name in before}


def test_the_curves_of_all_runs_are_one_table(tmp_path):
    for number, text in enumerate(
        ("step,train/loss,val/psnr_db\n9,1.4168420,\n19,,29.1069\n", "step,train/loss\n29,0.5,\n")
    ):
        log = tmp_path / "vae" / "logs" / f"version_{number}" / "metrics.csv"
        log.parent.mkdir(parents=True)
        log.write_text(text)
    write_curves([tmp_path / "vae", tmp_path / "absent"], tmp_path / "training.csv")
    lines = (tmp_path / "training.csv").read_text().splitlines()
    assert lines == [
        "run,step,train/loss,val/psnr_db,val/loss",
        "vae,9,1.4168,,",
        "vae,19,,29.107,",
        "vae,29,0.5,,",
    ]
