"""The VAE is causal, streams without a seam, and encodes an image as a one-frame video."""

import pytest
import torch

from trainer.config import VaeConfig
from trainer.vae.model import VideoVae, depth_to_space, space_to_depth

TINY = VaeConfig(latent_channels=4, widths=(8, 12), encoder_depths=(1, 1), decoder_depths=(1, 1))


@pytest.fixture
def vae() -> VideoVae:
    torch.manual_seed(0)
    network = VideoVae(TINY).eval()
    for parameter in network.parameters():  # no layer may stay zero-initialized
        torch.nn.init.normal_(parameter, std=0.2)
    return network


def test_depth_to_space_inverts_space_to_depth():
    x_BCTHW = torch.randn(2, 3, 8, 16, 24)
    assert torch.equal(depth_to_space(space_to_depth(x_BCTHW, 4, 4), 4, 4), x_BCTHW)


@pytest.mark.parametrize(("frames", "latents"), [(1, 1), (5, 2), (17, 5)])
def test_shapes_of_videos_and_images(vae, frames, latents):
    pixels_BCTHW = torch.rand(1, 3, frames, 16, 24)
    with torch.no_grad():
        latent_BCTHW = vae.encode(pixels_BCTHW)
        assert latent_BCTHW.shape == (1, 4, latents, 2, 3)
        assert latent_BCTHW.shape[1:] == vae.latent_shape(frames, 16, 24)
        assert vae.decode(latent_BCTHW).shape == pixels_BCTHW.shape


def assert_close(actual: torch.Tensor, expected: torch.Tensor) -> None:
    """Allow float32 rounding, which depends on the order of sums."""
    atol = 64 * torch.finfo(torch.float32).eps * float(expected.abs().max())
    torch.testing.assert_close(actual, expected, atol=atol, rtol=0)


def test_streaming_equals_one_pass(vae):
    pixels_BCTHW = torch.rand(1, 3, 21, 16, 16)
    with torch.no_grad():
        whole_latent = vae.encode(pixels_BCTHW)
        cache = {}
        chunks = [
            vae.encode(pixels_BCTHW[:, :, cut], cache) for cut in (slice(5), slice(5, 13), slice(13, 21))
        ]
        assert_close(torch.cat(chunks, 2), whole_latent)
        whole = vae.decode(whole_latent)
        cache = {}
        parts = [vae.decode(whole_latent[:, :, cut], cache) for cut in (slice(1), slice(1, 4), slice(4, 6))]
        assert_close(torch.cat(parts, 2), whole)


def test_the_future_does_not_reach_the_past(vae):
    pixels_BCTHW = torch.rand(1, 3, 9, 16, 16)
    changed = pixels_BCTHW.clone()
    changed[:, :, 5:] = 0
    with torch.no_grad():
        before, after = vae.encode(pixels_BCTHW), vae.encode(changed)
    assert_close(before[:, :, :2], after[:, :, :2])
    assert not torch.allclose(before[:, :, 2], after[:, :, 2])


def test_a_clip_that_does_not_divide_is_refused(vae):
    with pytest.raises(ValueError, match="1 \\+ 4k frames"):
        vae.encode(torch.rand(1, 3, 4, 16, 16))
    with pytest.raises(ValueError, match="multiples of 8"):
        vae.encode(torch.rand(1, 3, 5, 16, 20))
