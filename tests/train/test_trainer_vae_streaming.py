"""Video in chunks of any size equals one pass, a loop has no seam, and memory does not grow with length."""

import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from trainer.config import VaeConfig
from trainer.vae.boundaries import encode_given
from trainer.vae.model import Cache, RepeatCache, VideoVae
from trainer.vae.streaming import decode_loop, decode_stream, encode_stream

TINY = VaeConfig(latent_channels=4, widths=(8, 16))
CONFIGS = {
    "default": TINY,
    "encoder blocks": replace(TINY, encoder_depths=(1, 1)),
    "encoder without time": replace(TINY, encoder_depths=(1, 1), encoder_time_kernel=1),
    "more time": replace(TINY, time_factor=8, encoder_depths=(0, 1)),
    "time in two steps": replace(TINY, time_patch=2, encoder_depths=(1, 1), decoder_depths=(1, 3)),
}
CHUNKS_BYTES = (1, 40_000, 1 << 30)


@pytest.fixture(params=CONFIGS, ids=[name.replace(" ", "-") for name in CONFIGS])
def vae(request) -> VideoVae:
    return build(CONFIGS[request.param])


def build(config: VaeConfig) -> VideoVae:
    """Return a VAE whose temporal convolutions, which start at zero, have weights."""
    torch.manual_seed(0)
    vae = VideoVae(config)
    for name, weight in vae.named_parameters():
        if name.endswith("temporal_conv.weight"):
            torch.nn.init.normal_(weight, std=0.2)
    return vae.eval().requires_grad_(False)


def video(frames: int) -> torch.Tensor:
    return torch.rand(2, 3, frames, 16, 24, generator=torch.Generator().manual_seed(0)) * 2 - 1


def assert_near(actual: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(actual, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("max_bytes", CHUNKS_BYTES)
def test_streamed_video_equals_one_pass(vae, max_bytes):
    factor = vae.config.time_factor
    frames = video(1 + 6 * factor)
    latent = vae.encode(frames)
    for lengths in ([frames.shape[2]], [1, factor - 1, 0, 2 * factor, 1, 3 * factor], [1] * frames.shape[2]):
        chunks = frames.split(lengths, dim=2)
        assert_near(torch.cat([*encode_stream(vae, chunks, max_bytes)], 2), latent)
    given = frames[:, :, -2 * factor :]
    streamed = encode_stream(vae, given.split(3, dim=2), max_bytes, RepeatCache())
    assert_near(torch.cat([*streamed], 2), encode_given(vae, given))
    parts = [*decode_stream(vae, latent, max_bytes)]
    if max_bytes == 1:
        assert [part.shape[2] for part in parts] == [1, *[factor] * 6]
    assert_near(torch.cat(parts, 2), vae.decode(latent))


@pytest.mark.parametrize("max_bytes", CHUNKS_BYTES)
@pytest.mark.parametrize("latents", [3, 20])
def test_rotating_the_latents_of_a_loop_rotates_its_frames(vae, max_bytes, latents):
    latent = torch.randn(1, 4, latents, 2, 3, generator=torch.Generator().manual_seed(0))
    frames = decode_loop(vae, latent, max_bytes)
    assert frames.shape[2] == latents * vae.config.time_factor
    for turn in (1, latents - 1):
        rotated = decode_loop(vae, latent.roll(turn, dims=2), max_bytes)
        assert_near(rotated, frames.roll(turn * vae.config.time_factor, dims=2))


def test_the_cache_holds_the_last_inputs_and_no_chunk(vae):
    sizes = []
    for latents in (8, 32):
        encoded: Cache = {}
        latent = vae.encode(video(1 + latents * vae.config.time_factor), encoded)
        decoded: Cache = {}
        vae.decode(latent, decoded)
        sizes.append([sum(x.untyped_storage().nbytes() for x in c.values()) for c in (encoded, decoded)])
    assert sizes[0] == sizes[1]


def test_frames_that_fill_no_latent_are_refused(vae):
    factor = vae.config.time_factor
    with pytest.raises(ValueError, match=f"the last 2 frames fill no latent .*give 1 \\+ {factor}k frames"):
        [*encode_stream(vae, [video(factor + 3)], 1)]
    assert [*encode_stream(vae, [], 1)] == []


PEAK = """
import resource, sys, torch
from trainer.config import VaeConfig
from trainer.vae.model import VideoVae
from trainer.vae.streaming import decode_stream, encode_stream
torch.set_num_threads(1)
latents, height, width = map(int, sys.argv[1:])
vae = VideoVae(VaeConfig(widths=(32, 64), encoder_depths=(1, 1))).eval().requires_grad_(False)
frames = (torch.zeros(1, 3, 1 if number == 0 else 4, height, width) for number in range(latents))
latent = torch.cat([*encode_stream(vae, frames, 1 << 22)], 2)
count = sum(chunk.shape[2] for chunk in decode_stream(vae, latent, 1 << 22))
assert count == 1 + 4 * (latents - 1)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
def test_peak_memory_is_flat_in_the_length():
    def peak_kb(latents: int) -> int:
        command = [sys.executable, "-c", PEAK, str(latents), "128", "160"]
        return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    short, long = peak_kb(8), peak_kb(120)
    assert long < short + 30_000  # of 480 frames, 118 MB of pixels
