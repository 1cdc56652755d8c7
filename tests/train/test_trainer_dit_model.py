"""The transformer reads packs of any shapes, and the flow leaves clean frames alone."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from trainer.config import DitConfig, FlowConfig, dit_config
from trainer.dit.model import (
    Dit,
    Group,
    num_position_features,
    pack_segments,
    patchify,
    position_features,
    unpatchify,
)
from trainer.flow import (
    draw_sigmas,
    sample_adams_bashforth,
    sampling_sigmas,
    shift,
    velocity_error,
)

NANO = DitConfig(width=32, depth=2, heads=2, latent_channels=4, text_width=16)


@pytest.fixture
def dit() -> Dit:
    torch.manual_seed(0)
    network = Dit(NANO).eval()
    for parameter in network.parameters():  # no layer may stay zero-initialized
        torch.nn.init.normal_(parameter, std=0.2)
    return network


def group(clips: int, frames: int, height: int, width: int, words: int) -> Group:
    lengths_B = torch.randint(1, words + 1, (clips,))
    text_BLD = torch.randn(clips, words, 16) * (torch.arange(words) < lengths_B[:, None])[..., None]
    latent_BCTHW = torch.randn(clips, 4, frames, height, width)
    return Group(latent_BCTHW, torch.rand(clips, frames), text_BLD, lengths_B)


def assert_close(actual: torch.Tensor, expected: torch.Tensor) -> None:
    """Allow float32 rounding, which depends on the order of sums."""
    atol = 64 * torch.finfo(torch.float32).eps * float(expected.abs().max())
    torch.testing.assert_close(actual, expected, atol=atol, rtol=0)


def test_packed_equals_unpacked(dit):
    pack = [group(2, 5, 8, 8, 7), group(3, 3, 6, 10, 12), group(1, 1, 4, 4, 3)]
    with torch.no_grad():
        together, alone = dit(pack), [dit([each])[0] for each in pack]
        one_clip = [Group(*(value[:1] for value in each)) for each in pack]
        first_alone = [dit([each])[0] for each in one_clip]
    for packed, single, first, given in zip(together, alone, first_alone, pack, strict=True):
        assert packed.shape == given.latent_BCTHW.shape
        assert_close(packed, single)
        assert_close(packed[:1], first)


def test_text_sigma_and_position_all_matter(dit):
    given = group(1, 3, 4, 4, 5)
    with torch.no_grad():
        base = dit([given])[0]
        for change in (
            given._replace(text_BLD=given.text_BLD.flip(1), text_length_B=torch.tensor([5])),
            given._replace(sigma_BT=given.sigma_BT + torch.tensor([[0, 0.3, 0]])),
            given._replace(latent_BCTHW=given.latent_BCTHW.flip(2)),
        ):
            assert (dit([change])[0] - base).abs().max() > 1e-3
        moved = dit(
            [given._replace(latent_BCTHW=given.latent_BCTHW.flip(2), sigma_BT=given.sigma_BT.flip(1))]
        )
        assert (moved[0].flip(2) - base).abs().max() > 1e-3  # positions in time matter


def test_larger_sizes_know_positions_by_rotation_alone():
    small = dit_config("small")
    assert (small.rope_base, small.rope_max_angle, small.pos_embed_octaves) == (10000, 1, 0)
    assert (small.timestep_channels, small.timestep_min_frequency, small.timestep_max_frequency) == (
        256,
        0.1,
        1000,
    )
    config = replace(small, width=32, depth=2, heads=2, latent_channels=4, text_width=16)
    torch.manual_seed(0)
    network = Dit(config).eval()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    assert not any(name.startswith("pos_embed") for name in network.state_dict())
    clip = group(1, 3, 4, 4, 5)
    reversed_clip = clip._replace(latent_BCTHW=clip.latent_BCTHW.flip(2), sigma_BT=clip.sigma_BT.flip(1))
    with torch.no_grad():
        assert (network([reversed_clip])[0].flip(2) - network([clip])[0]).abs().max() > 1e-3


def test_padding_of_the_text_is_masked(dit):
    given = group(1, 1, 4, 4, 6)._replace(text_length_B=torch.tensor([3]))
    noisy = given.text_BLD.clone()
    noisy[:, 3:] = 9.0
    with torch.no_grad():
        torch.testing.assert_close(dit([given])[0], dit([given._replace(text_BLD=noisy)])[0])


def test_texts_encoded_once_give_the_same_velocity(dit):
    pack = [group(2, 5, 8, 8, 7), group(3, 3, 6, 10, 12)]
    with torch.no_grad():
        texts = dit.encode_text([(each.text_BLD, each.text_length_B) for each in pack])
        bare = [Group(each.latent_BCTHW, each.sigma_BT) for each in pack]
        for cached, computed in zip(dit(bare, texts), dit(pack), strict=True):
            assert torch.equal(cached, computed)
    with pytest.raises(ValueError, match="has no text states"):
        dit(bare)


def test_each_span_of_time_follows_its_own_text(dit):
    for block in dit.blocks:  # what one frame sees of the others is left out
        torch.nn.init.zeros_(block.self_attn.out.weight)
    one, other = group(2, 5, 4, 4, 7), group(2, 5, 4, 4, 7)
    text_BLD = torch.stack([one.text_BLD, other.text_BLD], dim=1).flatten(0, 1)
    lengths_B = torch.stack([one.text_length_B, other.text_length_B], dim=1).flatten()
    both = one._replace(text_BLD=text_BLD, text_length_B=lengths_B, spans=(0, 2))
    with torch.no_grad():
        first = dit([one])[0]
        second = dit([one._replace(text_BLD=other.text_BLD, text_length_B=other.text_length_B)])[0]
        assert_close(dit([both])[0], torch.cat([first[:, :, :2], second[:, :, 2:]], dim=2))
        assert (first - second).abs().max() > 1e-2


def test_two_spans_of_one_text_are_as_one(dit):
    one = group(2, 5, 4, 4, 7)
    twice = one._replace(
        text_BLD=one.text_BLD.repeat_interleave(2, dim=0),
        text_length_B=one.text_length_B.repeat_interleave(2),
        spans=(0, 3),
    )
    with torch.no_grad():
        assert_close(dit([twice])[0], dit([one])[0])


def test_unpatchify_inverts_patchify(dit):
    given = group(2, 3, 4, 6, 2)
    segment = pack_segments([given], NANO)[0]
    assert torch.equal(unpatchify(patchify(given.latent_BCTHW, 2), segment, 2), given.latent_BCTHW)


def test_shift_grows_with_tokens_and_keeps_the_ends():
    flow = FlowConfig()
    assert shift(0.5, 16, flow) == shift(0.5, 4, flow) == pytest.approx(0.5)
    assert shift(0.5, 256, flow) > shift(0.5, 64, flow) > 0.5
    sigmas = sampling_sigmas(8, 256, flow)
    assert (sigmas[0], sigmas[-1], len(sigmas)) == (1, 0, 9)
    assert sigmas == sorted(sigmas, reverse=True)
    few = sampling_sigmas(8, 256, flow, factor=2, spacing=1.5)
    assert (few[0], few[-1], len({*few})) == (1, 0, 9)
    odds = [sigma / (1 - sigma) for sigma in (few[4], shift(0.5**1.5, 256, flow))]
    assert odds[0] == pytest.approx(2 * odds[1])


def test_sigmas_follow_the_configuration():
    flow = FlowConfig(clean_prob=0.5)
    drawn = [draw_sigmas(np.random.default_rng(seed), 5, 80, flow) for seed in range(400)]
    has_clean = [(sigma_T == 0).any() for sigma_T in drawn]
    assert 0.4 < np.mean(has_clean) < 0.6
    assert all(len({*sigma_T.tolist()} - {0.0}) == 1 for sigma_T in drawn)
    assert all((sigma_T >= 0).all() and (sigma_T <= 1).all() for sigma_T in drawn)


def test_the_loss_is_on_target_frames_alone():
    data, noise = torch.randn(2, 4, 3, 4, 4), torch.randn(2, 4, 3, 4, 4)
    sigma_BT = torch.tensor([[0.0, 0.5, 0.5], [0.7, 0.7, 0.0]])
    error_BT = velocity_error(torch.zeros_like(data), data, noise, sigma_BT)
    assert ((error_BT == 0) == (sigma_BT == 0)).all()
    assert (velocity_error(noise - data, data, noise, sigma_BT) == 0).all()


def test_the_sampler_reaches_the_data_and_keeps_clean_frames():
    target, start = torch.randn(1, 2, 3, 2, 2), torch.randn(1, 2, 3, 2, 2)
    level_BT = torch.tensor([[0.0, 1, 1]])
    start[:, :, 0] = target[:, :, 0]

    def velocity(x_BCTHW: torch.Tensor, sigma_BT: torch.Tensor) -> torch.Tensor:
        assert sigma_BT[0, 0] == 0
        return (x_BCTHW - target) / sigma_BT[:, None, :, None, None].clamp_min(1e-6)

    end = sample_adams_bashforth(velocity, start, level_BT, sampling_sigmas(6, 64, FlowConfig()))
    assert_close(end, target)
    assert math.isclose(float((end - start)[:, :, 0].abs().max()), 0)


def test_position_features_separate_left_from_right_linearly():
    grid = (5, 4, 6)
    t, _, x = (place.flatten().float() for place in torch.meshgrid(*map(torch.arange, grid), indexing="ij"))
    goes_right = (t - t.mean()) * (x - x.mean())
    octaves = NANO.pos_embed_octaves
    wave_NF = position_features(grid, octaves)
    assert wave_NF.shape == (5 * 4 * 6, num_position_features(octaves))

    def unexplained(features_NF):
        left = goes_right - features_NF @ torch.linalg.lstsq(features_NF, goes_right, driver="gelsd").solution
        return float(left.square().mean() / goes_right.square().mean())

    single_axes = 3 * 2 * octaves
    assert unexplained(wave_NF) < 1e-3 < 0.99 < unexplained(wave_NF[:, :single_axes])
