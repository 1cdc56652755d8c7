"""Batches of latents depend on the step alone, and count tokens by the factors of both networks."""

import json
import runpy
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from manifests.digest import digest_parts
from manifests.shards import ShardIndex, write_index
from trainer.checkpoints import save_model
from trainer.config import (
    EncodeConfig,
    FlowConfig,
    TextChoice,
)
from trainer.data.encode import encode
from trainer.data.latents import LatentData
from trainer.data.windows import draw_encoded_start
from trainer.masks import clean_suffix
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


def window_data(shards, **flow) -> LatentData:
    data = LatentData(
        shards=str(shards),
        batch_size=6,
        validation_fraction=0,
        flow=FlowConfig(**flow),
        text=TextChoice(),
        dit=NANO,
    )
    data.setup("fit")
    return data


def test_clean_last_frames_are_latents_without_the_frames_before(packer, tmp_path):
    torch.manual_seed(0)
    vae = VideoVae(VAE)
    for block in (*vae.encoder_fine, *vae.encoder_coarse):  # they start at zero
        torch.nn.init.normal_(block.temporal_conv.weight, std=0.3)
    save_model(tmp_path / "vae", "vae", vae, {})
    shards = packer(tmp_path / "shards", clips_a_bucket=3)
    encode(EncodeConfig(shards=str(shards), vae=str(tmp_path / "vae")), progress=lambda line: None)
    data = window_data(shards, clean_prob=1.0)
    seen = set()
    for step in range(24):
        for row in data.rows_of_step(step):
            clip = data._noisy_clip(step, row, "short")
            whole_CTHW, frames = data.encoded.latent(row), clip.latent_CTHW.shape[1]
            suffix = clean_suffix(clip.sigma_T == 0)
            given = frames - suffix
            np.testing.assert_array_equal(clip.latent_CTHW[:, :given], whole_CTHW[:, :given])
            if suffix:
                alone_CTHW = data.encoded.latent(row, 0, suffix)
                np.testing.assert_array_equal(clip.latent_CTHW[:, given:], alone_CTHW)
                assert not np.array_equal(clip.latent_CTHW[:, given:], whole_CTHW[:, given:])
            seen.add((frames, suffix))
    assert {(5, 0), (5, 1), (5, 2), (3, 0), (3, 1), (1, 0)} == seen


def test_first_steps_may_train_on_first_frames_alone(encoded):
    def data(first_frame_steps: int) -> LatentData:
        made = LatentData(
            shards=str(encoded[0]),
            batch_size=6,
            validation_fraction=0,
            flow=FlowConfig(clean_prob=1.0),
            text=TextChoice(),
            dit=NANO,
            first_frame_steps=first_frame_steps,
        )
        made.setup("fit")
        return made

    stills, plain = data(2), data(0)
    for step in (0, 1):
        batch, tokens = stills.read(step, 0), 0
        for group in batch.groups:
            assert group.data_BCTHW.shape[2] == 1
            assert (group.sigma_BT > 0).all()  # the mask of clean frames needs others
            tokens += len(group.data_BCTHW) * group.data_BCTHW[0, 0].numel() // NANO.patch**2
        assert batch.num_tokens == tokens
        for row in stills.rows_of_step(step):
            clip = stills._noisy_clip(step, row, "short")
            np.testing.assert_array_equal(clip.latent_CTHW, stills.encoded.latent(row)[:, :1])
    assert stills.read(2, 0).num_tokens == plain.read(2, 0).num_tokens
    assert max(group.data_BCTHW.shape[2] for group in stills.read(2, 0).groups) > 1
    with pytest.raises(ValueError, match=r"first_frame_steps changed .*first_frame_steps: 2 -> 0"):
        plain.load_state_dict(stills.state_dict())


def test_a_start_within_the_window_is_drawn_from_those_that_are_encoded(packer, encoded, tmp_path):
    shards = packer(tmp_path / "shards")
    index = ShardIndex.load(shards)
    refs = [index.sample(row) for row in range(index.num_samples)]
    window = {17: 17, 9: 9 + 8, 1: 1}  # the media of 9 frames are long enough
    refs = [replace(ref, window_frames=window[ref.bucket.num_frames]) for ref in refs]
    write_index(shards, refs, fps=index.fps)
    encode(EncodeConfig(shards=str(shards), vae=str(encoded[1])), progress=lambda line: None)
    data = window_data(shards, clean_prob=0.0)
    (row, *_) = [row for row in range(len(refs)) if refs[row].bucket.num_frames == 9]
    assert data.encoded.starts(row) == (0, 8)
    first, second = data.encoded.latent(row, 0), data.encoded.latent(row, 8)
    assert not np.array_equal(first, second)
    drawn = {data._noisy_clip(step, row, "short").latent_CTHW.tobytes() for step in range(12)}
    assert drawn == {first.tobytes(), second.tobytes()}
    key = refs[row].key
    start = draw_encoded_start(0, 7, key, (0, 8))
    np.testing.assert_array_equal(
        data._noisy_clip(7, row, "short").latent_CTHW, data.encoded.latent(row, start)
    )


def test_a_set_of_an_older_version_that_leaks_is_told(encoded, tmp_path):
    shards = Path(shutil.copytree(encoded[0], tmp_path / "shards"))
    shutil.rmtree(shards / "encoded")
    index = ShardIndex.load(shards)
    (shards / "encoded").mkdir()
    latents = {f"{row}.latent": np.zeros((4, 1, 4, 4), np.float16) for row in range(index.num_samples)}
    save_file(latents, shards / "encoded" / "part-00000.safetensors")
    save_file({"empty": np.zeros((2, 8), np.float16)}, shards / "encoded" / "empty.safetensors")
    about = {"index": index.digest, "vae": "v", "text": "t", "vae_config": asdict(VAE)}
    (shards / "encoded" / "encoded.json").write_text(json.dumps(about))
    with pytest.warns(UserWarning, match="encoded by an older version: latents of last frames tell"):
        data = window_data(shards)
    assert data.encoded.suffixes(0) == ()
    assert data.data_digest() == digest_parts(index.digest, "v", "t")  # which checkpoints hold


def test_noise_in_given_frames_is_small_and_untold(encoded):
    plain = window_data(encoded[0], clean_prob=1.0)
    noisy = window_data(encoded[0], clean_prob=1.0, given_noise=0.1)
    shares = []
    for row in range(plain.index.num_samples):
        before, after = (data._noisy_clip(3, row, "short") for data in (plain, noisy))
        assert np.array_equal(before.sigma_T, after.sigma_T)
        given = after.sigma_T == 0
        assert np.array_equal(before.latent_CTHW[:, ~given], after.latent_CTHW[:, ~given])
        if given.any():
            added = (after.latent_CTHW - before.latent_CTHW)[:, given]
            full = (before.noise_CTHW - before.latent_CTHW)[:, given]
            shares.append(float((added * full).sum() / np.square(full).sum()))
            np.testing.assert_allclose(added, shares[-1] * full, atol=1e-5)
    assert 0 < min(shares) < max(shares) <= 0.1


def test_a_checkpoint_from_before_masks_were_a_setting_goes_on(encoded):
    data = window_data(encoded[0])
    state = data.state_dict()
    old = {**state, "flow": {k: v for k, v in state["flow"].items() if k not in ("masks", "given_noise")}}
    data.load_state_dict(old)
    other = window_data(encoded[0], masks=("first", "continue"))
    with pytest.raises(ValueError, match="flow changed since the checkpoint"):
        other.load_state_dict(old)
