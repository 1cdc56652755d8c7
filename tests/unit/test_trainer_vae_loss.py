"""The loss of the VAE: errors where a video changes, and at edges, weigh more; everywhere else as before."""

import pytest
import torch

from trainer.config import OptimConfig, VaeConfig, VaeLossConfig
from trainer.vae.model import DiagonalGaussian
from trainer.vae.module import VaeModule, changing, contrast, noise_of


def square(at: list[int], size: int = 4) -> torch.Tensor:
    """Return a gray video in which a white square is at these columns."""
    pixels_BCTHW = torch.zeros(1, 3, len(at), 16, 24)
    for t, x in enumerate(at):
        pixels_BCTHW[:, :, t, 6 : 6 + size, x : x + size] = 1
    return pixels_BCTHW


def test_what_moves_changes_in_both_frames_of_a_step_and_what_rests_does_not():
    changed = changing(square([2, 2, 10, 10]))[0, 0]
    assert changed.shape == (4, 16, 24)
    assert [bool(frame.any()) for frame in changed] == [False, True, True, False]
    for t in (1, 2):
        where = changed[t].nonzero()
        assert where.amin(0).tolist() == [5, 1]  # the old and the new place, and a pixel around
        assert where.amax(0).tolist() == [10, 14]
        assert changed[t, 7, 8] == 0
        assert changed[t, 7, 3] == changed[t, 7, 11] == 1


def test_a_slight_change_counts_in_part_and_a_still_not_at_all():
    faint = 0.05 * square([2, 10])
    assert changing(faint).max() == pytest.approx(0.2)
    assert changing(square([3])).sum() == 0


@pytest.mark.parametrize(("place", "factor"), [((slice(6, 10), slice(10, 14)), 4.0), ((0, 0), 1.0)])
def test_errors_weigh_more_where_the_video_changes(place, factor):
    pixels = square([2, 10])
    out = pixels.clone()
    out[:, :, 1, place[0], place[1]] += 0.5
    posterior = DiagonalGaussian(torch.zeros(1), torch.zeros(1))
    terms = {}
    for motion in (0.0, 3.0):
        loss = VaeLossConfig(motion=motion)
        module = VaeModule(VaeConfig(widths=(8, 8)), loss, OptimConfig(lr=1e-3))
        terms[motion] = module._loss_terms(out, pixels, posterior)
    for name in ("l1", "l2"):
        assert terms[3.0][name] / terms[0.0][name] == pytest.approx(factor)
    assert terms[3.0]["kl"] == terms[0.0]["kl"] == 0


def test_both_sides_of_an_edge_count_and_what_is_plain_does_not():
    edge = contrast(square([2], size=6))[0, 0, 0]
    plain = torch.zeros(16, 24)
    plain[5:13, 1:9] = 1  # the square and a pixel around it
    plain[5, 1] = plain[5, 8] = plain[12, 1] = plain[12, 8] = 0  # corners touch no edge
    plain[7:11, 3:7] = 0  # its inside
    assert torch.equal(edge, plain)
    assert contrast(0.05 * square([2])).max() == pytest.approx(0.2)


def test_errors_weigh_more_at_edges():
    pixels, posterior = square([2, 2]), DiagonalGaussian(torch.zeros(1), torch.zeros(1))
    terms = {}
    for weight in (0.0, 4.0):
        module = VaeModule(VaeConfig(widths=(8, 8)), VaeLossConfig(contrast=weight), OptimConfig(lr=1e-3))
        for place in ((6, 2), (0, 0)):
            out = pixels.clone()
            out[:, :, 1, place[0], place[1]] += 0.5
            terms[weight, place] = module._loss_terms(out, pixels, posterior)["l2"]
    assert terms[4.0, (6, 2)] / terms[0.0, (6, 2)] == pytest.approx(5)
    assert terms[4.0, (0, 0)] == terms[0.0, (0, 0)]


def test_flicker_is_what_the_error_changes_from_frame_to_frame():
    pixels = square([2, 2, 2])
    posterior = DiagonalGaussian(torch.zeros(1), torch.zeros(1))
    module = VaeModule(VaeConfig(widths=(8, 8)), VaeLossConfig(flicker=2.0), OptimConfig(lr=1e-3))
    assert module._loss_terms(pixels + 0.25, pixels, posterior)["flicker"] == 0
    flickering = pixels.clone()
    flickering[:, :, 1] += 0.25
    assert module._loss_terms(flickering, pixels, posterior)["flicker"] == pytest.approx(2 * 0.25)
    still = module._loss_terms(pixels[:, :, :1] + 0.25, pixels[:, :, :1], posterior)
    assert still["flicker"] == 0


def test_noise_on_latents_follows_from_each_seed_and_is_between_none_and_the_most():
    latent_BCTHW = torch.zeros(64, 4, 3, 8, 8)
    noise_BCTHW = noise_of(latent_BCTHW, [*range(64)], 0.2)
    levels_B = noise_BCTHW.flatten(1).std(dim=1)
    assert levels_B.max() < 0.22
    assert levels_B.mean() == pytest.approx(0.1, abs=0.02)
    assert levels_B.min() < 0.02
    assert torch.equal(noise_of(latent_BCTHW[:1], [7], 0.2), noise_BCTHW[7:8])


def test_noise_on_latents_is_not_below_none():
    with pytest.raises(ValueError, match=r"latent_noise"):
        VaeModule(VaeConfig(widths=(8, 8)), VaeLossConfig(), OptimConfig(lr=1e-3), latent_noise=-0.1)


def test_noise_on_latents_needs_those_of_a_trained_network():
    with pytest.raises(ValueError, match=r"model\.latent_noise needs model\.keep_encoder_of"):
        VaeModule(VaeConfig(widths=(8, 8)), VaeLossConfig(), OptimConfig(lr=1e-3), latent_noise=0.1)
