"""Latents of given frames tell nothing of the frames before them, and are near those of the whole video."""

import runpy
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from manifests.records import Bucket
from trainer.data.encode_worker import encode_float32
from trainer.data.encoded_keys import suffixes_of
from trainer.masks import FIXED_MASKS, clean_frames, clean_suffix, suffix_lengths
from trainer.vae.boundaries import encode_given, encode_in_chunks, encode_with_suffixes
from trainer.vae.model import VideoVae

VAE = runpy.run_path(str(Path(__file__).with_name("training_runs.py")))["VAE"]


@pytest.fixture
def vae() -> VideoVae:
    torch.manual_seed(0)
    vae = VideoVae(VAE)
    for block in (*vae.encoder_fine, *vae.encoder_coarse):  # they start at zero
        torch.nn.init.normal_(block.temporal_conv.weight, std=0.3)
    return vae.eval()


def video(seed: int, frames: int = 17) -> torch.Tensor:
    return torch.rand(2, 3, frames, 32, 32, generator=torch.Generator().manual_seed(seed)) * 2 - 1


@torch.no_grad()
def test_the_frames_before_do_not_change_given_latents(vae):
    one = video(0)
    other = torch.cat([video(1)[:, :, :9], one[:, :, 9:]], dim=2)
    whole_one, whole_other = vae.encode(one)[:, :, -2:], vae.encode(other)[:, :, -2:]
    assert (whole_one - whole_other).abs().max() > 0.01  # latents of the whole video tell what came before
    assert torch.equal(encode_given(vae, one[:, :, -8:]), encode_given(vae, other[:, :, -8:]))
    assert encode_given(vae, one[:, :, -8:]).shape == whole_one.shape


@torch.no_grad()
def test_given_frames_are_as_in_a_video_that_repeats_the_first_of_them(vae):
    given = video(0, 8)
    warm_up = [given[:, :, :1], *[given[:, :, :4]] * VAE.encoder_history]
    whole = vae.encode(torch.cat([*warm_up, given], dim=2))
    torch.testing.assert_close(encode_given(vae, given), whole[:, :, -2:], atol=1e-5, rtol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("change", [{"encoder_depths": (0, 0)}, {"encoder_time_kernel": 1}])
def test_without_history_given_latents_and_chunks_are_those_of_the_video(change):
    torch.manual_seed(0)
    vae = VideoVae(replace(VAE, **change)).eval()
    for block in (*vae.encoder_fine, *vae.encoder_coarse):
        torch.nn.init.normal_(block.temporal_conv.weight, std=0.3)
    assert vae.config.encoder_history == 0
    assert suffixes_of(vae.config, Bucket(num_frames=17, height=32, width=32)) == ()
    whole = vae.encode(video(0))
    for suffix in (1, 2):
        given = encode_given(vae, video(0)[:, :, -4 * suffix :])
        torch.testing.assert_close(given, whole[:, :, -suffix:], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(encode_in_chunks(vae, video(0), 1), whole)


@torch.no_grad()
def test_the_history_of_the_encoder_is_what_its_config_says(vae):
    one, other = video(0, 33), video(0, 33)
    other[:, :, 1:5] += 0.5  # latent frame 1
    changed = (vae.encode(one) - vae.encode(other)).abs().amax(dim=(0, 1, 3, 4)) > 1e-6
    assert changed.nonzero().flatten().tolist() == [*range(1, 2 + vae.config.encoder_history)]


@torch.no_grad()
@pytest.mark.parametrize("max_bytes", [1, 2 * 3 * 9 * 32 * 32 * 4, 1 << 30])
def test_chunks_of_a_long_clip_equal_one_pass(vae, max_bytes):
    frames = video(0, 33)
    whole = vae.encode(frames)
    torch.testing.assert_close(encode_in_chunks(vae, frames, max_bytes), whole, atol=1e-5, rtol=1e-5)
    for encode in (encode_with_suffixes, encode_float32):
        encoded = encode(vae, frames, (0, 1, 4), max_bytes)
        torch.testing.assert_close(encoded[0], whole, atol=1e-5, rtol=1e-5)
        for suffix in (1, 4):
            given = encode_given(vae, frames[:, :, -4 * suffix :])
            torch.testing.assert_close(encoded[suffix], given, atol=1e-5, rtol=1e-5)


def test_the_other_number_of_given_frames_is_refused(vae):
    with pytest.raises(ValueError, match="does not divide into latents: need 4k frames"):
        encode_given(vae, video(0, 6))


def test_suffixes_are_those_that_the_masks_leave_clean():
    lengths = {1: (), 2: (1,), 3: (1,), 4: (1, 2), 5: (1, 2), 9: (1, 4)}
    assert {frames: suffix_lengths(frames) for frames in lengths} == lengths
    for frames in range(2, 12):
        for mask in FIXED_MASKS:
            clean = [t in clean_frames(mask, frames) for t in range(frames)]
            suffix = clean_suffix(clean)
            assert suffix == 0 or suffix in suffix_lengths(frames)
            assert suffix == (0 if not clean[-1] else clean[::-1].index(False))
    assert clean_suffix([True, True]) == 0
