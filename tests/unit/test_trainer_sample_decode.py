"""Decoding is streamed; a loop has no seam; kept pixels are in their places."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_sampler import HEIGHT, WIDTH, tiny_model, video

from trainer.sample.conditions import Conditions, Kept, Prompt
from trainer.sample.decode import decode, decode_result, reconstruct
from trainer.sample.given import encode_start

LATENT_BYTES = 4 * 3 * 4 * HEIGHT * WIDTH


@pytest.fixture(scope="module")
def model():
    return tiny_model()


def latents(count: int) -> torch.Tensor:
    return torch.randn(4, count, 2, 4, generator=torch.Generator().manual_seed(count))


def whole(chunks) -> np.ndarray:
    return np.concatenate([*chunks]).astype(int)


@pytest.mark.parametrize("loop", [False, True])
def test_chunks_of_any_size_give_the_same_frames(model, loop):
    latent_CTHW = latents(9)
    one_pass = whole(decode(model, latent_CTHW, loop=loop))
    for chunk in (1, 2 * LATENT_BYTES, 5 * LATENT_BYTES):
        chunks = [*decode(model, latent_CTHW, loop=loop, chunk_bytes=chunk)]
        assert np.abs(whole(chunks) - one_pass).max() <= 1  # rounding to uint8
        assert max(each.nbytes for each in chunks) * 4 <= max(chunk, LATENT_BYTES)
    assert len(one_pass) == (36 if loop else 33)


def test_the_stream_of_a_video_equals_one_call_of_the_decoder(model):
    latent_CTHW = latents(6)
    pixels_CTHW = model.vae.decode(latent_CTHW[None])[0]
    frames_THWC = ((pixels_CTHW + 1) * 127.5).round().movedim(0, -1).numpy()
    assert np.abs(whole(decode(model, latent_CTHW, chunk_bytes=1)) - frames_THWC).max() <= 1


@pytest.mark.parametrize("count", [2, 3, 12])
def test_rotating_the_latents_of_a_loop_rotates_its_frames(model, count):
    latent_CTHW = latents(count)
    frames_THWC = whole(decode(model, latent_CTHW, loop=True))
    rotated_THWC = whole(decode(model, latent_CTHW.roll(1, dims=1), loop=True))
    assert np.abs(np.roll(frames_THWC, 4, axis=0) - rotated_THWC).max() <= 1
    video_THWC = whole(decode(model, latent_CTHW))
    assert np.abs(frames_THWC[:4] - video_THWC[:1]).max() > 1  # without the wrap, the seam is another


def test_a_round_trip_is_that_of_the_vae(model):
    frames_THWC = video(9)
    streamed = whole(decode(model, encode_start(model, frames_THWC), chunk_bytes=1))
    assert np.abs(streamed - reconstruct(model.vae, frames_THWC[None], dtype=model.dtype)[0]).max() <= 1


def test_a_round_trip_in_chunks_equals_one_in_one_pass(model, monkeypatch):
    frames_BTHWC = np.stack([video(9), video(9)[::-1]])
    once_BTHWC = reconstruct(model.vae, frames_BTHWC, dtype=model.dtype)
    monkeypatch.setattr("trainer.sample.decode.CHUNK_BYTES", 1)
    chunked_BTHWC = reconstruct(model.vae, frames_BTHWC, dtype=model.dtype)
    assert np.abs(once_BTHWC.astype(int) - chunked_BTHWC).max() <= 1
    assert reconstruct(model.vae, frames_BTHWC[:, :5]).shape == (2, 5, *frames_BTHWC.shape[2:])


@pytest.mark.parametrize("chunk", [1, 1 << 25])
def test_kept_pixels_replace_what_is_decoded(model, chunk):
    latent_CTHW, given = latents(3), video(7)
    conditions = Conditions(
        latent_CTHW=latent_CTHW,
        level_T=torch.ones(3),
        prompts=(Prompt("a"),),
        kept=(Kept(0, given), Kept(14, given[:2])),
        frames_before=5,
        frames_after=2,
    )
    frames_THWC = whole(decode_result(model, conditions, latent_CTHW, chunk_bytes=chunk))
    decoded = whole(decode(model, latent_CTHW))
    assert len(frames_THWC) == conditions.num_frames(4) == 5 + 9 + 2
    assert np.array_equal(frames_THWC[:7], given)
    assert np.array_equal(frames_THWC[14:], given[:2])
    assert np.abs(frames_THWC[7:14] - decoded[2:]).max() <= 1
    shorter = replace(conditions, kept=(), frames_before=0, frames_after=-3)
    assert len(whole(decode_result(model, shorter, latent_CTHW, chunk_bytes=chunk))) == 6
